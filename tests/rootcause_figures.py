"""What `sensus rootcause` answers on cases whose cause is known, judged by an evaluator that shares no code with us."""

from __future__ import annotations

import csv
import gzip
import importlib.util
import json
import random
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import ModuleType
from typing import Any

from tests.stack import SENSUS, environment

LEAST = {"ac1": 0.80, "ac3": 0.95, "avg5": 0.93}  # mean of the data sets whose faults show in metrics
NOT_IN_METRICS = "nezha_tt"  # its exceptions show in no metric of a pod
MOST_LOST_LATE = 0.02
LATE_S = 60
FACTOR = 1e6
LEAST_AUROC = 0.90
LEAST_EXACT = 0.5
MOST_DECOYS = 1 / 8

Answers = Mapping[str, list[dict[str, Any]]]


@dataclass
class Figures:
    """Answers to the cases in `data`, each kind made once when it is asked for; `work` is room for changed cases."""

    data: Path
    evaluator: Path
    work: Path

    @cached_property
    def answers(self) -> Answers:
        """To the cases as they are."""
        return _answers(self.data, self.work / "plain.json")

    def finds_the_cause(self) -> str:
        """The cause comes first, or among the first, in as many cases as promised."""
        found = self._means(self.answers)
        told = _told(found)
        assert all(found[name] >= least for name, least in LEAST.items()), told
        return told

    def may_be_told_late(self) -> str:
        """An alert that is told a minute late costs next to nothing."""
        plain = self._means(self.answers)
        late = self._means(_answers(self._changed("late", _later, lambda rows: rows), self.work / "late.json"))
        lost = {name: plain[name] - late[name] for name in LEAST}
        told = f"lost by {LATE_S} s: {', '.join(f'{name} {value:.3f}' for name, value in lost.items())}"
        assert max(lost.values()) < MOST_LOST_LATE, told
        return told

    def knows_no_units(self) -> str:
        """A metric in other units changes no order."""
        rng = random.Random(7)

        def in_other_units(rows: list[list[str]]) -> list[list[str]]:
            changed = [place > 0 and rng.random() < 0.5 for place in range(len(rows[0]))]
            return [
                rows[0],
                *([_times(cell) if far else cell for cell, far in zip(row, changed, strict=True)] for row in rows[1:]),
            ]

        changed = _answers(self._changed("units", lambda case: case, in_other_units), self.work / "units.json")
        differing = [name for name in self.answers if _order(self.answers[name]) != _order(changed[name])]
        told = f"{len(differing)} of {len(self.answers)} orders changed, with half of all metrics times {FACTOR:,.0f}"
        assert not differing, f"{told}: {differing[:3]}"
        return told

    def knows_how_sure_it_may_be(self) -> str:
        """The confidence tells the right first suspects from the wrong ones."""
        ranks = self._score(self.answers)[1]
        sure = {name: its[0]["confidence"] if its else 0.0 for name, its in self.answers.items()}
        right = [sure[name] for name, rank in ranks.items() if rank == 1]
        wrong = [sure[name] for name, rank in ranks.items() if rank != 1]
        above = sum((one > other) + 0.5 * (one == other) for one in right for other in wrong)
        auroc = above / (len(right) * len(wrong))
        told = f"AUROC {auroc:.3f} over {len(ranks)} cases, {len(right)} of them right"
        assert auroc >= LEAST_AUROC, told
        return told

    def knows_the_change(self) -> str:
        """Without a model the change that broke it is named, and hardly ever the one that was only the latest."""
        assert self.answers
        found = self._evaluator.score_changes(
            str(self.data), json.loads((self.work / "plain.changes.json").read_text())
        )
        told = f"{found['exact'] * found['n']:.0f} of {found['n']} exact, {found['decoy']} decoys"
        assert found["exact"] >= LEAST_EXACT, told
        assert found["decoy"] <= MOST_DECOYS * found["n"], told
        return told

    def _means(self, answers: Answers) -> dict[str, float]:
        groups = self._score(answers)[0]
        each = [self._evaluator.summary(ranks) for name, ranks in groups.items() if name != NOT_IN_METRICS]
        return {name: sum(one[name] for one in each) / len(each) for name in LEAST}

    def _score(self, answers: Answers) -> tuple[dict[str, list[int | None]], dict[str, int | None]]:
        groups, ranks = self._evaluator.score(str(self.data), answers)
        return groups, ranks

    @cached_property
    def _evaluator(self) -> ModuleType:
        spec = importlib.util.spec_from_file_location("evaluate_rootcause", self.evaluator)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    def _changed(
        self,
        name: str,
        facts: Callable[[dict[str, Any]], dict[str, Any]],
        rows: Callable[[list[list[str]]], list[list[str]]],
    ) -> Path:
        """The cases once more, with other facts and rows."""
        for case in sorted((self.data / "metrics").iterdir()):
            there = self.work / name / "metrics" / case.name
            there.mkdir(parents=True)
            (there / "case.json").write_text(json.dumps(facts(json.loads((case / "case.json").read_text()))))
            with gzip.open(case / "metrics.csv.gz", "rt", newline="") as file:
                told = rows(list(csv.reader(file)))
            with gzip.open(there / "metrics.csv.gz", "wt", newline="", compresslevel=1) as file:
                csv.writer(file).writerows(told)
        return self.work / name


def _answers(data: Path, output: Path) -> Answers:
    command = [*SENSUS, "rootcause", "--input", str(data), "--output", str(output)]
    done = subprocess.run(command, env=environment(), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-500:]
    answers: Answers = json.loads(output.read_text())
    return answers


def _later(case: dict[str, Any]) -> dict[str, Any]:
    alert = case["alert"] and {**case["alert"], "time": case["alert"]["time"] + LATE_S}
    return {**case, "incident_start": case["incident_start"] + LATE_S, "alert": alert}


def _times(cell: str) -> str:
    return repr(float(cell) * FACTOR) if cell else cell


def _order(suspects: list[dict[str, Any]]) -> list[tuple[str, str]]:
    return [(one["service"], one["metric"]) for one in suspects]


def _told(found: Mapping[str, float]) -> str:
    return f"AC@1 {found['ac1']:.3f}, AC@3 {found['ac3']:.3f}, Avg@5 {found['avg5']:.3f}"
