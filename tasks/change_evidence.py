"""Which changes may have done it?  Those made where an incident is, or whose contents explain what it shows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session

from db.queries import changes
from db.queries.changes import ChangeMade
from db.queries.incident_evidence import IncidentRecorded
from llm.change_match import Surroundings, service_match, weigh
from llm.evidence import CHANGE, EvidenceItem, Fact
from llm.places import place_of
from llm.topology import Topology
from ml.changes.attribution import candidates_of
from ml.changes.content import in_common
from ml.changes.scenario import DEFAULTS, Candidate, ChangeAlert, Commit, Deploy, LogLine, MetricSeries, Scenario
from sensus import times
from tasks.evidence import LEAST_WEIGHT, alert_summary
from tasks.suspects import SuspectFound

# Reading a diff takes milliseconds, so those of the likeliest changes are read and no others.
_MOST_READ = 60
_MOST_DIFF, _MOST_DIFFS = 30_000, 200_000  # characters, of one and of all
_MOST_TEXT = 20_000
_MOST_ALERTS = 100
_MOST_ITEMS = 8
_FEWEST_SAMPLES = 10


@dataclass(frozen=True, slots=True)
class ChangesMade:
    """The changes before an incident, with the commits of those that may matter, read in one transaction."""

    made: tuple[ChangeMade, ...]
    commits: Mapping[int, Sequence[Mapping[str, Any]]]


def gather(
    session: Session, recorded: IncidentRecorded, topology: Topology, further_labels: Sequence[str]
) -> ChangesMade:
    """What was changed before the incident: where it is first, then what came with commits, then the rest."""
    around = surroundings(recorded, topology, (), further_labels)
    made = changes.before(session, recorded.since)

    def order(change: ChangeMade) -> tuple[float, bool, float]:
        match = service_match(change.labels, change.title, around, further_labels)
        return -match, change.commits == 0, -times.to_epoch(change.at)

    likeliest = sorted(made, key=order)[:_MOST_READ]
    with_commits = [change.id for change in likeliest if change.commits]
    found = changes.commits_of(session, with_commits) if with_commits else {}
    return ChangesMade(tuple(likeliest), found)


def change_items(
    gathered: ChangesMade,
    recorded: IncidentRecorded,
    topology: Topology,
    suspects: Sequence[SuspectFound],
    further_labels: Sequence[str],
) -> Iterator[EvidenceItem]:
    """The changes that have to do with the incident, the heaviest first."""
    if not gathered.made:
        return
    around = surroundings(recorded, topology, suspects, further_labels)
    texts = [_text_of(change, gathered.commits.get(change.id, ())) for change in gathered.made]
    trouble = " \n ".join((*_complaints(recorded), *(suspect.metric for suspect in suspects)))
    contents = in_common(texts, trouble, names=around.names())
    explained = _explained(gathered, recorded, suspects, further_labels)
    items = []
    for change, content in zip(gathered.made, contents, strict=True):
        candidate = explained.get(change.id)
        weight = weigh(
            service_match(change.labels, change.title, around, further_labels),
            content,
            None if candidate is None else min(1.0, candidate.score / DEFAULTS.threshold),
            started_at=around.started_at,
            changed_at=change.at,
        )
        if weight >= LEAST_WEIGHT:
            items.append(_item(change, weight, candidate, gathered.commits.get(change.id, ())))
    yield from sorted(items, key=lambda item: -item.weight)[:_MOST_ITEMS]


def surroundings(
    recorded: IncidentRecorded, topology: Topology, suspects: Sequence[SuspectFound], further_labels: Sequence[str]
) -> Surroundings:
    """What of the incident its changes are compared with."""
    members = frozenset(recorded.incident.services)
    places = [place_of(alert.labels, further_labels) for alert in recorded.alerts]
    lead = recorded.lead
    return Surroundings(
        started_at=recorded.since,
        labels=recorded.incident.labels if lead is None else lead.labels,
        members=members,
        hosts=frozenset(place.host for place in places if place.host),
        neighbours=frozenset(topology.near(members, 1)) - members,
        suspects={suspect.service: suspect.score / suspects[0].score for suspect in reversed(suspects)},
    )


def _text_of(change: ChangeMade, commits: Sequence[Mapping[str, Any]]) -> str:
    said = [change.title]
    for commit in commits:
        said += [str(commit.get("message", "")), " ".join(commit.get("files") or ())]
    return " \n ".join(said)[:_MOST_TEXT]


def _complaints(recorded: IncidentRecorded) -> Iterator[str]:
    """What its alerts say, each once."""
    yield from dict.fromkeys(alert_summary(alert) for alert in recorded.alerts[:_MOST_ALERTS])


def _explained(
    gathered: ChangesMade,
    recorded: IncidentRecorded,
    suspects: Sequence[SuspectFound],
    further_labels: Sequence[str],
) -> dict[int, Candidate]:
    """By the change's id, how far the best of its diffs explains the trouble; without a diff nothing is said."""
    commits: dict[str, Commit] = {}
    of_change: dict[int, list[str]] = {}
    deploys: list[Deploy] = []
    room = _MOST_DIFFS
    for change in gathered.made:
        own = of_change.setdefault(change.id, [])
        for place, told in enumerate(gathered.commits.get(change.id, ())):
            sha = str(told.get("id") or f"{change.id}.{place}")
            own.append(sha)
            if told.get("diff") and sha not in commits and room > 0:
                commits[sha] = _commit(sha, change.at, told)
                room -= len(commits[sha].diff)
        # A deploy names the revision whose commits came with an earlier push.
        if change.revision:
            own.append(change.revision)
        service = place_of(change.labels, further_labels).name
        if service is not None:
            deploys += [Deploy(times.to_epoch(change.at), service, sha) for sha in own]
    if not commits:
        return {}
    scenario = _scenario(recorded, suspects, tuple(commits.values()), tuple(deploys), further_labels)
    best = {candidate.sha: candidate for candidate in candidates_of(scenario)}
    found: dict[int, Candidate] = {}
    for id_, shas in of_change.items():
        its = [best[sha] for sha in shas if sha in best]
        if its:
            found[id_] = max(its, key=lambda candidate: candidate.score)
    return found


def _scenario(
    recorded: IncidentRecorded,
    suspects: Sequence[SuspectFound],
    commits: tuple[Commit, ...],
    deploys: tuple[Deploy, ...],
    further_labels: Sequence[str],
) -> Scenario:
    """The incident as the attribution of changes takes it: what alerts say stands for lines of a log."""
    incident = recorded.incident
    start = times.to_epoch(recorded.since)
    alerts = recorded.alerts[:_MOST_ALERTS]
    lead = recorded.lead
    lead_service = None if lead is None else place_of(lead.labels, further_labels).name
    return Scenario(
        alert=ChangeAlert(lead_service or next(iter(incident.services), ""), incident.title, start, incident.summary),
        commits=commits,
        deploys=deploys,
        logs=tuple(
            LogLine(
                times.to_epoch(alert.starts_at),
                place_of(alert.labels, further_labels).name or "",
                "ERROR",
                alert_summary(alert),
            )
            for alert in alerts
        ),
        metrics=tuple(
            MetricSeries(suspect.service, suspect.metric, suspect.times, suspect.values)
            for suspect in suspects
            if len(suspect.values) >= _FEWEST_SAMPLES
        ),
    )


def _commit(sha: str, at: datetime, told: Mapping[str, Any]) -> Commit:
    files = tuple(str(name) for name in told.get("files") or ())
    return Commit(sha, times.to_epoch(at), str(told.get("message", "")), files, str(told["diff"])[:_MOST_DIFF])


def _item(
    change: ChangeMade, weight: float, candidate: Candidate | None, commits: Sequence[Mapping[str, Any]]
) -> EvidenceItem:
    facts: dict[str, Fact] = {"id": change.id, "change": change.kind, "revision": change.revision, "url": change.url}
    if candidate is not None and candidate.score > 0:
        facts["its diff has"] = candidate.reasons[0]
    said = next((line for commit in commits for line in str(commit.get("message", "")).splitlines() if line), "")
    summary = change.title if not said or said in change.title else f"{change.title}: {said}"
    return EvidenceItem(kind=CHANGE, summary=summary, at=change.at, labels=change.labels, weight=weight, facts=facts)
