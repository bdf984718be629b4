"""What `sensus bench` must show: the command as a user types it, and the promises held against its lines."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping
from typing import Any

from bench import scale
from tests.stack import SENSUS, environment

Figures = Mapping[str, Mapping[str, Any]]  # of each name the whole line

LEAST_OF_BARE_ALERTS = 0.6
LEAST_OF_COPY = 0.5
LEAST_SAMPLES_A_SECOND = 20_000
MOST_OF_LITERAL = 1 / 3
LEAST_OF_EMPTY = 0.8
MOST_TIMES_EMPTY = 3.0
LEAST_SCORED_A_SECOND = 10_000
MOST_STATE_BYTES = 20_000
MOST_RANKING_MS = {500: 300.0, 5_000: 3_000.0}
MOST_RANKING_MB = 40.0  # of 1,000 metrics
MOST_TRAINING_S, MOST_TRAINING_MB = 20 * 60, 4_096


def figures(*options: str, benchmark: str = "ingest") -> Figures:
    """The lines of one run, by name."""
    done = subprocess.run(
        [*SENSUS, "bench", benchmark, *options], stdout=subprocess.PIPE, env=environment(), text=True, check=True
    )
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    return {line["name"]: line for line in lines}


def alerts_near_bare(found: Figures, name: str) -> str:
    """So many alerts a webhook come in at 0.6 of the bare handler's rate or more."""
    line = found[name]
    told = f"{line['value']:,.0f} alerts/s, {line['ratio_to_bare']:.2f} of bare"
    assert line["ratio_to_bare"] >= LEAST_OF_BARE_ALERTS, told
    return told


def samples_near_copy(found: Figures, name: str) -> str:
    """Samples come in at half of COPY's rate or more, and never under 20,000 a second."""
    line = found[name]
    told = f"{line['value']:,.0f} samples/s, {line['ratio_to_bare']:.2f} of COPY"
    assert line["ratio_to_bare"] >= LEAST_OF_COPY, told
    assert line["value"] >= LEAST_SAMPLES_A_SECOND, told
    return told


def samples_are_small(found: Figures) -> str:
    """A sample takes at most a third of what a row with its name and labels takes."""
    line = found["bytes_per_sample"]
    told = f"{line['value']:.0f} B, {line['ratio_to_literal']:.2f} of the literal {line['literal']:.0f} B"
    assert line["ratio_to_literal"] <= MOST_OF_LITERAL, told
    return told


def as_fast_when_full(found: Figures, name: str) -> str:
    """Ingest into a database with many alerts is within 20 % of ingest into an empty one."""
    line = found[f"{name}_filled"]
    told = f"{line['value']:,.0f} {line['unit']}, {line['ratio_to_empty']:.2f} of empty"
    assert line["ratio_to_empty"] >= LEAST_OF_EMPTY, told
    return told


def as_quick_when_full(found: Figures, name: str) -> str:
    """Half of the answers with many alerts stored come within three times of that with few."""
    line = found[f"{name}_filled"]
    told = f"p50 {line['value']:.1f} ms, {line['ratio_to_empty']:.2f} times that with few alerts"
    assert line["ratio_to_empty"] < MOST_TIMES_EMPTY, told
    return told


def nothing_is_lost(found: Figures) -> str:
    """Everything that was acknowledged is counted in the database."""
    lines = [line for line in found.values() if "lost" in line]
    lost = {line["name"]: line["lost"] for line in lines if line["lost"]}
    assert not lost, lost
    return f"0 lost of {sum(line.get('acknowledged', 0) for line in lines):,} acknowledged"


def scoring_is_fast(found: Figures) -> str:
    """In batches over 10,000 series a core scores 10,000 samples a second, and remembers 20 kB of a series at most."""
    line = found["score_10000"]
    told = f"{line['value']:,.0f} {line['unit']}, {line['state_bytes']:,} B a series"
    assert line["value"] >= LEAST_SCORED_A_SECOND, told
    assert line["state_bytes"] <= MOST_STATE_BYTES, told
    return told


def suspects_are_found_quickly(found: Figures, metrics: int) -> str:
    """Of an incident with so many metrics the suspects are ranked in time, in memory that grows with them alone."""
    line = found[f"suspects_{metrics}"]
    told = (
        f"p95 {line['p95_ms']:,.0f} ms, CPU {line['cpu_ms']:,.0f} ms, {line['peak_mb']:,.0f} MB on top of the samples"
    )
    assert line["p95_ms"] < MOST_RANKING_MS[metrics], told
    assert line["peak_mb"] < MOST_RANKING_MB * metrics / 1_000, told
    return told


def training_is_cheap(found: Figures) -> str:
    """A night's training of 10,000 series takes less than 20 minutes and 4 GB."""
    line = found["train_10000"]
    told = f"{line['value']:,.0f} s, {line['peak_mb']:,.0f} MB"
    assert line["value"] <= MOST_TRAINING_S, told
    assert line["peak_mb"] <= MOST_TRAINING_MB, told
    return told


def more_processes_lose_nothing() -> str:
    """What 1 and 2 processes do a second, roughly, and that nothing of it is lost."""
    done = subprocess.run(
        [*SENSUS, "bench", "scale", "--quick"], stdout=subprocess.PIPE, env=environment(), text=True, check=True
    )
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    measured = [(line["name"], line["processes"]) for line in lines]
    assert measured == [(name, count) for name in (scale.SCORED, scale.ALERTS) for count in (1, 2)]
    for line in lines:
        assert line["lost"] == 0, line
        assert min(line["value"], line["app_cpus"], line["database_cpus"], line["connections"]) > 0, line
    return "; ".join(f"{line['name']} by {line['processes']}: {line['value']:,.0f} {line['unit']}" for line in lines)
