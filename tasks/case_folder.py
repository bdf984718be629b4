"""`sensus rootcause`: cases in folders become the arrays of the ranking, and its answers a file.

The format is that of the published development cases: `metrics/<case>/case.json` with `metrics.csv.gz`, and
`changes/<scenario>/` with the alert, metrics, logs, traces, patterns and `context/` of commits and deploys.
"""

from __future__ import annotations

import csv
import gzip
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

from ml.changes.attribution import attribute
from ml.changes.scenario import (
    ChangeAlert,
    Commit,
    Deploy,
    LogLine,
    MetricSeries,
    Pattern,
    Scenario,
    Span,
    StatusEvent,
)
from ml.rootcause.incident import Alert, Incident
from ml.rootcause.ranking import rank
from sensus.errors import ConfigurationError


@dataclass(frozen=True, slots=True)
class Folders:
    """The cases under a folder, of either kind; one of the two may be empty."""

    metrics: tuple[Path, ...]
    changes: tuple[Path, ...]


def find(folder: Path) -> Folders:
    """The cases under a folder.  Raises ConfigurationError when there are none."""
    metrics = _folders(folder / "metrics", "case.json")
    changes = _folders(folder / "changes", "alert.json")
    if not metrics and not changes:
        raise ConfigurationError(
            f"{folder} holds no cases: neither metrics/<case>/case.json nor changes/<case>/alert.json"
        )
    return Folders(metrics, changes)


def suspects(case: Path) -> tuple[str, list[dict[str, Any]]]:
    """The id of a case, and its suspects, best first.  Raises ConfigurationError when it can't be read."""
    name, incident = read_incident(case)
    return name, [
        {"service": one.service, "metric": one.metric, "score": one.score, "confidence": one.confidence}
        for one in rank(incident)
    ]


def attribution(scenario: Path) -> dict[str, Any]:
    """Which change broke it, as the evaluator reads it.  Raises ConfigurationError when it can't be read."""
    answer = attribute(read_scenario(scenario))
    return {
        "root_cause_commit": answer.commit,
        "first_failing_service": answer.first_failing_service,
        "blast_radius": list(answer.blast_radius),
        "remediation": answer.remediation,
    }


def read_incident(folder: Path) -> tuple[str, Incident]:
    """The id and the arrays of a case of metrics.  Raises ConfigurationError when it can't be read."""
    try:
        return _incident(folder)
    except (OSError, EOFError, ValueError, KeyError, TypeError, IndexError, AttributeError) as error:
        raise ConfigurationError(f"{folder} can't be read as a case: {type(error).__name__}: {error}") from None


def read_scenario(folder: Path) -> Scenario:
    """A scenario of changes.  Raises ConfigurationError when it can't be read."""
    try:
        return _scenario(folder)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ConfigurationError(f"{folder} can't be read as a scenario: {type(error).__name__}: {error}") from None


def _folders(parent: Path, marked_by: str) -> tuple[Path, ...]:
    if not parent.is_dir():
        return ()
    return tuple(sorted(path for path in parent.iterdir() if (path / marked_by).is_file()))


def _incident(folder: Path) -> tuple[str, Incident]:
    case: dict[str, Any] = json.loads((folder / "case.json").read_text("utf-8"))
    aliases: dict[str, str] = case.get("service_aliases") or {}
    with _table(folder) as rows:
        header = next(rows)
        table = np.array([[float(cell) if cell else np.nan for cell in row] for row in rows], dtype=np.float64)
    time_column = header.index("time")
    table = table[np.argsort(table[:, time_column], kind="stable")] if len(table) else np.empty((0, len(header)))
    kept = [column for column in range(len(header)) if column != time_column]
    alert = case.get("alert")
    return str(case["case_id"]), Incident(
        times=table[:, time_column],
        values=table[:, kept],
        series=tuple(_named(header[column], aliases) for column in kept),
        start=float(case["incident_start"]),
        alert=Alert(_alias(aliases, alert["service"]), alert["metric"], alert.get("time")) if alert else None,
        calls=tuple((_alias(aliases, one), _alias(aliases, other)) for one, other in case.get("topology") or ()),
    )


@contextmanager
def _table(folder: Path) -> Iterator[Iterator[list[str]]]:
    """The rows of `metrics.csv.gz`, or of the same unpacked."""
    packed = folder / "metrics.csv.gz"
    if packed.is_file():
        with gzip.open(packed, "rt", newline="", encoding="utf-8") as file:
            yield csv.reader(file)
    else:
        with (folder / "metrics.csv").open(newline="", encoding="utf-8") as file:
            yield csv.reader(file)


def _named(column: str, aliases: Mapping[str, str]) -> tuple[str, str]:
    service, _, metric = column.partition("|")
    return _alias(aliases, service), metric


def _alias(aliases: Mapping[str, str], service: str) -> str:
    return aliases.get(service, service)


def _scenario(folder: Path) -> Scenario:
    alert = _json(folder / "alert.json")
    logs = folder / "logs.ndjson"
    lines = [json.loads(line) for line in logs.read_text("utf-8").splitlines() if line.strip()] if logs.exists() else []
    return Scenario(
        alert=ChangeAlert(
            alert.get("service", ""),
            alert.get("metric", ""),
            _epoch(alert.get("fired_at")),
            f"{alert.get('monitor', '')} {alert.get('summary', '')}",
        ),
        commits=tuple(
            Commit(
                each["sha"],
                _epoch(each.get("timestamp")),
                each.get("message") or "",
                tuple(each.get("files_changed") or ()),
                each.get("diff") or "",
            )
            for each in _json(folder / "context" / "commits.json")
        ),
        deploys=tuple(
            Deploy(_epoch(each.get("timestamp")), each.get("service", ""), each.get("commit_sha", ""))
            for each in _json(folder / "context" / "deploys.json")
        ),
        logs=tuple(
            LogLine(
                _epoch(line.get("timestamp")),
                line.get("service", ""),
                line.get("severity_text") or "",
                str(line.get("msg", "")),
            )
            for line in lines
        ),
        spans=tuple(_span(each) for each in _json(folder / "traces.json")),
        patterns=tuple(
            Pattern(
                each.get("service", ""),
                each.get("signature", ""),
                _number(each.get("delta_vs_baseline", 0)),
                each.get("sentiment") == "negative",
            )
            for each in _json(folder / "patterns.json")
        ),
        metrics=_metrics(folder / "metrics.csv"),
        status=_status(folder / "status_feed.json"),
    )


def _span(each: Mapping[str, Any]) -> Span:
    extra = " ".join(str(each.get(key) or "") for key in ("status_message", "peer.service", "error"))
    return Span(
        each.get("service", ""),
        each.get("name", ""),
        each.get("status") == "ERROR",
        extra,
        _epoch(each.get("start")),
        str(each.get("span_id") or ""),
        str(each.get("parent_id") or ""),
    )


def _metrics(path: Path) -> tuple[MetricSeries, ...]:
    found: dict[tuple[str, str], tuple[list[float], list[float]]] = {}
    if path.exists():
        with path.open(newline="", encoding="utf-8") as file:
            for row in csv.DictReader(file):
                times, values = found.setdefault((row["service"], row["metric"]), ([], []))
                times.append(_epoch(row["timestamp"]))
                values.append(_number(row["value"]))
    return tuple(
        MetricSeries(service, metric, tuple(times), tuple(values))
        for (service, metric), (times, values) in found.items()
    )


def _status(path: Path) -> tuple[StatusEvent, ...]:
    feed = _json(path)
    events = feed.get("events", []) if isinstance(feed, dict) else feed
    return tuple(
        StatusEvent(
            _epoch(each.get("started_at") or each.get("timestamp")),
            str(each.get("status", "")),
            f"{each.get('title', '')} {each.get('detail', '')}",
        )
        for each in events
    )


def _json(path: Path) -> Any:
    return json.loads(path.read_text("utf-8")) if path.exists() else []


def _epoch(text: str | None) -> float:
    return datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp() if text else 0.0


def _number(text: Any) -> float:
    try:
        return float(str(text).replace("+", ""))
    except ValueError:
        return 0.0
