"""`sensus bench analyse` as a user types it, as small as it gets: that it measures, not how fast this machine is."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from bench import made_incidents
from sensus import cli

FAULTS = ("cpu", "failing", "slow")


def bench(capsys: pytest.CaptureFixture[str], *words: str) -> dict[str, dict[str, Any]]:
    assert cli.main(["bench", "analyse", "--quick", "--metrics", "20", *words]) == 0
    return {line["name"]: line for line in map(json.loads, capsys.readouterr().out.splitlines())}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three cases of two systems as files; of one of them the truth is told wrongly, so that it counts as wrong."""
    truth = {}
    for number, fault in enumerate(FAULTS):
        broken, incident = made_incidents.incident(number, 60, fault=fault)
        name = f"case-{fault}"
        case = tmp_path / "metrics" / name
        case.mkdir(parents=True)
        assert incident.alert is not None
        facts = {
            "case_id": name,
            "dataset": "shop" if number < 2 else "trains",
            "incident_start": incident.start,
            "alert": {"service": incident.alert.service, "metric": incident.alert.metric, "time": incident.start},
            "topology": incident.calls,
        }
        (case / "case.json").write_text(json.dumps(facts))
        with (case / "metrics.csv").open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["time", *("|".join(series) for series in incident.series)])
            writer.writerows([at, *row] for at, row in zip(incident.times, incident.values, strict=True))
        truth[name] = {"services": ["nobody"] if number == 1 else [broken], "fault": fault}
    (tmp_path / "truth.json").write_text(json.dumps(truth))
    return tmp_path


def test_without_cases_a_few_are_made_and_found(capsys: pytest.CaptureFixture[str]) -> None:
    found = bench(capsys)
    assert set(found) == {
        "rank_20",
        "suspects_20",
        "right_made",
        "right_made_late_60_s",
        "confidence",
        "changed_by_units",
    }
    for name in ("rank_20", "suspects_20"):
        line = found[name]
        assert 0 < line["p50_ms"] <= line["p95_ms"] == line["value"]
        assert line["peak_mb"] > 0
    assert found["right_made"]["value"] == found["right_made_late_60_s"]["value"] == 1.0
    assert found["changed_by_units"]["value"] == 0


def test_cases_in_a_folder_are_judged_by_their_truth(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    picture = tmp_path / "curve.svg"
    found = bench(capsys, "--cases", str(folder), "--draw", str(picture))
    assert (found["right_shop"]["value"], found["right_shop"]["cases"]) == (0.5, 2)
    assert (found["right_trains"]["value"], found["right_mean"]["value"]) == (1.0, 0.75)
    assert found["confidence"]["cases"] == sum(one["cases"] for one in found["confidence"]["bins"]) == 3
    assert "changes_right" not in found
    drawn = ElementTree.fromstring(picture.read_text())
    dots = drawn.findall("{http://www.w3.org/2000/svg}circle")
    assert len(dots) == len(found["confidence"]["bins"])


def test_a_folder_without_the_truth_is_one_line_on_stderr(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "truth.json").unlink()
    assert cli.main(["bench", "analyse", "--quick", "--metrics", "20", "--cases", str(folder)]) == 1
    assert "truth.json can't be read" in capsys.readouterr().err
