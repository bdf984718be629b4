"""What does the attribution of changes take and give, and by which constants?"""

from __future__ import annotations

from dataclasses import dataclass, field

NO_CHANGE = "none"


@dataclass(frozen=True)
class ChangeSettings:
    """Constants of the attribution. Strengths of hazards stand in the tables below."""

    threshold: float = 0.4  # a change that scores less explains nothing: answer none
    threshold_operational: float = 0.7  # ... and this much when the symptoms are plainly operational
    mismatch: float = 0.35  # share of a hazard that is left when it does not cause the family of symptoms seen
    second_hazard: float = 0.25  # share of the second hazard of the same diff
    words: float = 0.5  # weight of the words that changed lines and symptoms share (0..1)
    elsewhere: float = 0.3  # the change reached only services that show no trouble
    undeployed: float = 0.5  # no deploy is known: shared code and configuration travel without one
    too_late: float = 0.15  # it arrived after trouble had begun
    slack_s: float = (
        120.0  # ... by more than this: samples bear the start of their minute, deploys the end of their rollout
    )
    surge_ratio: float = 2.5  # requests at least so many times the usual are a surge of traffic
    shift_scales: float = 6.0  # a metric has moved when it stays beyond so many robust scales of its first part
    shift_share: float = 0.1  # ... and by at least 10 % of its level
    baseline_share: float = 0.2  # first fifth of a metric's samples is its usual level


DEFAULTS = ChangeSettings()


@dataclass(frozen=True)
class Commit:
    sha: str
    time: float  # epoch seconds
    message: str
    files: tuple[str, ...]
    diff: str


@dataclass(frozen=True)
class Deploy:
    time: float
    service: str
    sha: str


@dataclass(frozen=True)
class LogLine:
    time: float
    service: str
    severity: str
    text: str


@dataclass(frozen=True)
class Span:
    service: str
    name: str
    failed: bool
    text: str
    time: float
    span_id: str = ""
    parent_id: str = ""


@dataclass(frozen=True)
class Pattern:
    service: str
    text: str
    delta: float  # occurrences more than in the baseline
    negative: bool


@dataclass(frozen=True)
class MetricSeries:
    service: str
    metric: str
    times: tuple[float, ...]
    values: tuple[float, ...]


@dataclass(frozen=True)
class StatusEvent:
    time: float
    status: str
    text: str


@dataclass(frozen=True)
class ChangeAlert:
    service: str
    metric: str
    time: float
    text: str


@dataclass(frozen=True)
class Scenario:
    alert: ChangeAlert
    commits: tuple[Commit, ...] = ()
    deploys: tuple[Deploy, ...] = ()
    logs: tuple[LogLine, ...] = ()
    spans: tuple[Span, ...] = ()
    patterns: tuple[Pattern, ...] = ()
    metrics: tuple[MetricSeries, ...] = ()
    status: tuple[StatusEvent, ...] = ()


@dataclass(frozen=True)
class Candidate:
    sha: str
    score: float
    reasons: tuple[str, ...]


@dataclass(frozen=True)
class Attribution:
    commit: str  # sha or "none"
    first_failing_service: str
    blast_radius: tuple[str, ...]
    remediation: str
    operational: str  # what kind of operational cause the symptoms name, or ""
    candidates: tuple[Candidate, ...] = field(default=())
