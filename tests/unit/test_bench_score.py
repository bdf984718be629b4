"""The benchmark of detection tells what it should, on suites whose answer is known."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bench import accuracy, scoring, training
from ml.builtin import builtin_model
from sensus import times
from sensus.errors import ConfigurationError
from tests.unit.ml.made import PER_DAY, daily


def quiet(_: str) -> None:
    pass


@pytest.fixture
def suites(tmp_path: Path) -> Path:
    """One suite: a series with an event that cannot be missed, one with an event that is none, one without."""
    folder = tmp_path / "suites" / "made" / "group"
    folder.mkdir(parents=True)
    labels = {}
    for name, shift, marked in (("seen", 60.0, True), ("unseen", 0.0, True), ("plain", 0.0, False)):
        at, values = daily(7)
        first, last = 5 * PER_DAY, 5 * PER_DAY + 12
        values[first:last] = [value + shift for value in values[first:last]]
        (folder / f"{name}.csv").write_text(
            "timestamp,value\n" + "".join(f"{one:.0f},{value!r}\n" for one, value in zip(at, values, strict=True))
        )
        window = [times.isoformat(times.parse(str(int(at[place])))) for place in (first, last - 1)]
        labels[f"group/{name}.csv"] = [window] if marked else []
    (folder.parent / "labels.json").write_text(json.dumps(labels))
    return tmp_path / "suites"


def test_accuracy_counts_what_was_found_and_what_was_not(suites: Path) -> None:
    (figure,) = accuracy.measure(suites, builtin_model(), quiet)
    assert figure.name == "accuracy_made"
    assert 0.2 < figure.value < 1.0
    facts = figure.facts
    assert (facts["series"], facts["windows"], facts["windows_found"]) == (3, 2, 1)
    assert facts["false_alarms_per_week"] == 0.0


def test_a_folder_without_suites_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"no folder with a labels\.json"):
        list(accuracy.measure(tmp_path, builtin_model(), quiet))


def test_speed_is_told_for_one_and_for_many_series_with_the_size_of_a_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scoring, "SERIES", (1, 20))
    one, many = scoring.measure(builtin_model(), 40, quiet)
    assert (one.name, many.name) == ("score_1", "score_20")
    assert min(one.value, many.value) > 0
    assert (one.facts["batches"], many.facts["batches"]) == (40, 12)
    assert 0 < many.facts["state_bytes"] <= 20_000


def test_training_tells_its_time_and_its_memory() -> None:
    (figure,) = training.measure((3,), 3, "seasonal_baseline", quiet)
    assert (figure.name, figure.facts["samples"]) == ("train_3", 3 * 3 * PER_DAY)
    assert 0 < figure.facts["gather_s"] < figure.value
    assert figure.facts["peak_mb"] > 50
