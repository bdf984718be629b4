"""Every alert is explained, tested for firing and for silence, and rests on figures that exist."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client import REGISTRY

from ops import runbook
from sensus import metrics
from tests.dashboards import promql, questions

ROOT = Path(__file__).parent.parent.parent
PROMETHEUS = ROOT / "ops" / "prometheus"
TESTS = sorted((PROMETHEUS / "tests").glob("*.test.yml"))
NAMES = {
    "CollectorDown",
    "AIServiceDown",
    "PostgreSQLDown",
    "RedisDown",
    "OllamaServiceDown",
    "HighRequestLatency",
    "VeryHighRequestLatency",
    "SlowDatabaseQueries",
    "HighAlertVolume",
    "NoAlertsReceived",
    "HighMetricVolume",
    "IngestQuarantine",
    "HighMemoryUsage",
    "HighCPUUsage",
    "HighAnomalyRate",
    "NoAnomaliesDetected",
    "HighLLMResponseTime",
    "QueueStalled",
    "ScoringBehind",
    "AuditStreamDown",
    "ModelStale",
    "BeatStopped",
    "GroupingBehind",
    "NotificationsUntold",
}
# What is not made by `sensus.metrics`, by who makes it.
_BY_OTHERS = re.compile(
    r"up|ALERTS|probe_success|(?:flask|flower|celery|pg|redis|node|alertmanager)_\w+"  # exporters
)


def _rules() -> Iterator[dict[str, Any]]:
    for path in sorted((PROMETHEUS / "rules").glob("*.yml")):
        for group in yaml.safe_load(path.read_text("utf-8"))["groups"]:
            yield from group["rules"]


RULES = list(_rules())
ALERTS = {rule["alert"]: rule for rule in RULES if "alert" in rule}
RECORDED = {rule["record"] for rule in RULES if "record" in rule}


def _made_by_us() -> set[str]:
    """The names of our figures as Prometheus has them."""
    source = (ROOT / "web" / "figures.py").read_text("utf-8") + (ROOT / "sensus" / "usage.py").read_text("utf-8")
    asked = {*re.findall(r'"(sensus_\w+)"', source)}
    # A counter that is made by hand gets its ending when it is shown.
    asked |= {f"{name}_total" for name in re.findall(r'CounterMetricFamily\(\s*"(sensus_\w+)"', source)}
    counted = set()
    for family in REGISTRY.collect():
        endings = {"counter": ("_total",), "histogram": ("_bucket", "_count", "_sum")}.get(family.type, ("",))
        counted |= {family.name + ending for ending in endings}
    assert metrics.alerts_received
    return asked | counted


def _named(expr: str) -> set[str]:
    """The figures that an expression names."""
    bare = re.sub(r'"[^"]*"', '""', expr)
    bare = re.sub(r"\b(?:by|on|without|ignoring)\s*\([^)]*\)", "", bare)
    bare = re.sub(r"\{[^}]*\}|\[[^\]]*\]", "", bare)
    words = re.findall(r"(?<![\w.])[A-Za-z_][\w:]*\b(?!\s*\()", bare)
    return set(words) - {"or", "and", "unless", "bool"}


def test_the_alerts_that_people_route_by_exist() -> None:
    assert ALERTS.keys() >= NAMES


@pytest.mark.parametrize("name", ALERTS)
def test_an_alert_says_how_bad_it_is_what_it_means_and_where_to_read_on(name: str) -> None:
    rule = ALERTS[name]
    assert rule["labels"]["severity"] in {"critical", "warning", "info"}
    assert rule["annotations"].keys() == {"summary", "description", "runbook_url"}
    assert all(text.endswith(".") for key, text in rule["annotations"].items() if key != "runbook_url")
    assert rule["annotations"]["runbook_url"] == f"{runbook.address()}#{name.lower()}"


def test_the_runbook_is_where_the_links_lead() -> None:
    """As a file of ours, or elsewhere by a whole address."""
    address = runbook.address()
    assert address.startswith(("http://", "https://")) or (ROOT / address).is_file()


def test_the_runbook_has_one_heading_for_each_alert_with_its_four_parts() -> None:
    text = (ROOT / "docs" / "runbook.md").read_text("utf-8")
    parts = re.split(r"^## (\w+)$", text, flags=re.MULTILINE)[1:]
    headings = dict(zip(parts[::2], parts[1::2], strict=True))
    assert len(parts) == 2 * len(headings)
    assert headings.keys() == ALERTS.keys()
    for name, body in headings.items():
        assert re.findall(r"^\*\*([\w ]+)\.\*\*", body, re.MULTILINE) == ["Meaning", "First look", "Fix", "Verify"], (
            name
        )
        first_look = body.split("**First look.**")[1].split("**Fix.**")[0]
        assert "`" in first_look, f"{name} begins with no query"


def test_every_alert_is_tested_for_firing_and_for_silence() -> None:
    cases = [
        case for path in TESTS for one in yaml.safe_load(path.read_text())["tests"] for case in one["alert_rule_test"]
    ]
    firing = {case["alertname"] for case in cases if case.get("exp_alerts")}
    silent = {case["alertname"] for case in cases if not case.get("exp_alerts")}
    assert firing == ALERTS.keys()
    assert silent == ALERTS.keys()


def test_every_figure_that_rules_panels_and_the_runbook_name_exists() -> None:
    known = _made_by_us() | RECORDED
    runbook = (ROOT / "docs" / "runbook.md").read_text("utf-8")
    asked = [
        *(rule["expr"] for rule in RULES),
        *(promql(question.text, rate_s=60, range_s=60) for question in questions() if not question.is_sql),
    ]
    named = {name for expr in asked for name in _named(expr)}
    named |= set(re.findall(r"(?<!:)\bsensus_[a-z_]+\b(?!:)", runbook)) - {"sensus_reporting"}
    assert len(named) > 50
    unknown = {name for name in named - known if not _BY_OTHERS.fullmatch(name)}
    assert not unknown
    for recorded in re.findall(r"\b\w+:\w+:\w+\b", runbook):
        assert recorded in RECORDED, recorded


def test_every_recorded_figure_is_used() -> None:
    texts = [rule["expr"] for rule in RULES] + [question.text for question in questions()]
    for name in RECORDED:
        assert any(name in text for text in texts) or name in (ROOT / "docs" / "runbook.md").read_text(), name


@pytest.mark.peers
def test_promtool_finds_configuration_and_rules_good(peers: None) -> None:
    rules = sorted(map(str, (PROMETHEUS / "rules").glob("*.yml")))
    for command in (
        ["promtool", "check", "config", str(PROMETHEUS / "prometheus.yml")],
        ["promtool", "check", "rules", "--lint=all", "--lint-fatal", *rules],
        ["promtool", "test", "rules", *map(str, TESTS)],
        ["amtool", "check-config", str(ROOT / "ops" / "alertmanager" / "alertmanager.yml")],
    ):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.peers
@pytest.mark.parametrize(
    ("labels", "receivers"),
    [
        ("alertname=SensusAnomaly severity=warning", ["people"]),
        # Nobody hears of the API's end from the API.
        ("alertname=CollectorDown severity=critical", ["people", "sensus"]),
        ("alertname=ScoringBehind severity=warning", ["people", "sensus"]),
        ("alertname=NoAnomaliesDetected severity=info", ["sensus"]),
        # Sensus would count it as an alert that came in, which ends it.
        ("alertname=NoAlertsReceived severity=warning", ["people"]),
        ("alertname=OfNoSeverity", ["sensus"]),
    ],
)
def test_an_alert_goes_where_the_routes_say(peers: None, labels: str, receivers: list[str]) -> None:
    assert _receivers(labels) == receivers


@pytest.mark.peers
def test_people_are_told_of_everything_that_is_more_than_a_note(peers: None) -> None:
    for name, rule in ALERTS.items():
        severity = rule["labels"]["severity"]
        assert ("people" in _receivers(f"alertname={name} severity={severity}")) == (severity != "info"), name


def _receivers(labels: str) -> list[str]:
    """Where Alertmanager sends an alert with these labels, in the order of its routes."""
    config = f"--config.file={ROOT / 'ops' / 'alertmanager' / 'alertmanager.yml'}"
    done = subprocess.run(
        ["amtool", "config", "routes", "test", config, *labels.split()], capture_output=True, text=True, check=True
    )
    return done.stdout.strip().split(",")
