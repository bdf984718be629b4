"""Cases whose cause is known: a folder of published ones, or a few that are made here."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench import made_incidents
from ml.rootcause.incident import Incident
from sensus.errors import ConfigurationError
from tasks import case_folder

MADE = "made"
_MADE_METRICS = 100
_MADE_OF_EACH_FAULT = 6


@dataclass(frozen=True, slots=True)
class KnownCase:
    """An incident, the data set that it is of, and the services that were its cause."""

    dataset: str
    incident: Incident
    truth: frozenset[str]


@dataclass(frozen=True, slots=True)
class KnownScenario:
    """A folder of changes; `truth` is the commit that broke it, or `none`, and `decoys` those that look guilty."""

    folder: Path
    truth: str
    decoys: frozenset[str]


def made() -> Iterator[KnownCase]:
    """Small ones, which any working ranking finds."""
    for fault in sorted(made_incidents.FAULTS):
        for seed in range(_MADE_OF_EACH_FAULT):
            broken, incident = made_incidents.incident(seed, _MADE_METRICS, fault=fault)
            yield KnownCase(MADE, incident, frozenset({broken}))


def cases(folder: Path) -> Iterator[KnownCase]:
    """Those under `metrics/` that `truth.json` tells of.  Raises ConfigurationError when they can't be read."""
    truth = _truth(folder / "truth.json")
    for case in case_folder.find(folder).metrics:
        name, incident = case_folder.read_incident(case)
        if name in truth:
            dataset = json.loads((case / "case.json").read_text("utf-8"))["dataset"]
            yield KnownCase(str(dataset), incident, frozenset(truth[name]["services"]))


def scenarios(folder: Path) -> list[KnownScenario]:
    """Those under `changes/` that `truth_changes.json` tells of; none without that file."""
    if not (folder / "truth_changes.json").is_file():
        return []
    truth = _truth(folder / "truth_changes.json")
    return [
        KnownScenario(
            scenario,
            str(truth[scenario.name]["root_cause_commit"]),
            frozenset(truth[scenario.name].get("decoy_deploy_commits", ())),
        )
        for scenario in case_folder.find(folder).changes
        if scenario.name in truth
    ]


def _truth(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"{path} can't be read: {error}") from None
    if not isinstance(found, dict):
        raise ConfigurationError(f"{path} is no JSON object of cases")
    return found
