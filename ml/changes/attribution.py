"""Which change broke it, or none?"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Mapping

from ml.changes.diffs import CONFIG_FILE, INERT_FILE, LOG_CALL, parse_diff
from ml.changes.families import words_of
from ml.changes.hazards import hazards_of
from ml.changes.scenario import DEFAULTS, NO_CHANGE, Attribution, Candidate, ChangeSettings, Commit, Scenario
from ml.changes.symptoms import Symptoms, symptoms_of, troubles_of

_REMEDIES = {
    "resolver": "escalate-upstream",
    "provider": "failover",
    "record": "purge-bad-data",
    "certificate": "rotate-certificate",
    "hardware": "failover",
    "surge": "scale",
    "": "escalate-upstream",
}


def _changed_words(commit: Commit) -> Counter[str]:
    lines = [
        line
        for hunk in parse_diff(commit.diff, commit.files)
        for line in (*hunk.removed, *hunk.added)
        if not LOG_CALL.search(line)
    ]
    return words_of(" ".join(lines))


def _shared_words(commit: Commit, symptoms: Symptoms, frequency: Mapping[str, int], commits: int) -> float:
    """Share of the symptoms' rare words that the changed lines use; words that many commits use count little."""
    weights = {word: math.log((commits + 1) / (1 + frequency.get(word, 0))) for word in symptoms.words}
    common = [weights[word] for word in _changed_words(commit) if word in weights]
    # three rare words in common are as good as many
    rare = math.log(commits + 1) or 1.0
    return min(1.0, sum(common) / (3 * rare))


def _place_factor(
    commit: Commit, scenario: Scenario, symptoms: Symptoms, shared: float, settings: ChangeSettings
) -> tuple[float, str]:
    """Whether the change reached a failing service before trouble began.

    Shared code and configuration fail where they are used, not where they were deployed: words in common make up for
    a part of it.
    """
    elsewhere = settings.elsewhere + (1 - settings.elsewhere) * 0.5 * shared
    deploys = [deploy for deploy in scenario.deploys if deploy.sha == commit.sha]
    if not deploys:
        if commit.time > symptoms.onset:
            return 0.0, "made after trouble began"
        tokens = set(words_of(" ".join(commit.files)))
        near = any(tokens & set(words_of(service)) for service in symptoms.services)
        return settings.undeployed * (1.0 if near else elsewhere), "not known to be deployed"
    in_time = any(deploy.time <= symptoms.onset + settings.slack_s for deploy in deploys)
    reached = any(deploy.service in symptoms.services for deploy in deploys)
    names = ", ".join(sorted({deploy.service for deploy in deploys}))
    factor = (1.0 if in_time else settings.too_late) * (1.0 if reached else elsewhere)
    return factor, f"deployed to {names} {'before' if in_time else 'after'} the first sign of trouble"


def _score(
    commit: Commit, scenario: Scenario, symptoms: Symptoms, frequency: Mapping[str, int], settings: ChangeSettings
) -> Candidate:
    shared = _shared_words(commit, symptoms, frequency, len(scenario.commits))
    place, where = _place_factor(commit, scenario, symptoms, shared, settings)
    weighed = sorted(
        (
            (h.strength * (1.0 if h.families & symptoms.families else settings.mismatch), h.name)
            for h in hazards_of(commit)
        ),
        reverse=True,
    )
    if place == 0 or not weighed:
        return Candidate(commit.sha, 0.0, (where,))
    hazard = weighed[0][0] + settings.second_hazard * (weighed[1][0] if len(weighed) > 1 else 0.0)
    # words alone never make a culprit: a decoy is written to sound alike
    score = place * hazard * (1.0 + settings.words * shared)
    return Candidate(
        commit.sha, round(score, 4), (*(name for _, name in weighed[:2]), where, f"words in common {shared:.2f}")
    )


def candidates_of(scenario: Scenario, settings: ChangeSettings = DEFAULTS) -> tuple[Candidate, ...]:
    symptoms = symptoms_of(scenario, settings)
    frequency: Counter[str] = Counter()
    for commit in scenario.commits:
        frequency.update(set(_changed_words(commit)) | set(words_of(commit.message)))
    scored = [_score(commit, scenario, symptoms, frequency, settings) for commit in scenario.commits if commit.diff]
    return tuple(sorted(scored, key=lambda candidate: (-candidate.score, candidate.sha)))


def _remedy(commit: Commit | None, operational: str, scenario: Scenario) -> str:
    if commit is None:
        healthy = any(
            re.search(r"replica|other regions|failover|normal", event.text.lower()) for event in scenario.status
        )
        if operational == "provider" and not healthy:
            return "escalate-upstream"
        return _REMEDIES[operational]
    live = [name for name in commit.files if not INERT_FILE.search(name)]
    return "config-revert" if live and all(CONFIG_FILE.search(name) for name in live) else "rollback"


def _blast_radius(scenario: Scenario, symptoms: Symptoms) -> tuple[str, ...]:
    """Services with complaints of their own and a metric that moved, but the first."""
    complaining = {pattern.service for pattern in scenario.patterns if pattern.negative and pattern.delta > 0}
    complaining |= {line.service for line in troubles_of(scenario)}
    measured = {series.service for series in scenario.metrics}
    return tuple(sorted((complaining & measured) - {symptoms.first_service}))


def attribute(scenario: Scenario, settings: ChangeSettings = DEFAULTS) -> Attribution:
    symptoms = symptoms_of(scenario, settings)
    ranked = candidates_of(scenario, settings)
    needed = settings.threshold_operational if symptoms.operational else settings.threshold
    best = ranked[0] if ranked and ranked[0].score >= needed else None
    commit = next((c for c in scenario.commits if best is not None and c.sha == best.sha), None)
    return Attribution(
        best.sha if best is not None else NO_CHANGE,
        symptoms.first_service,
        _blast_radius(scenario, symptoms),
        _remedy(commit, symptoms.operational, scenario),
        symptoms.operational,
        ranked,
    )
