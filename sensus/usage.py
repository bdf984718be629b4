"""How much memory and time do our processes take, and how much is there?  Those that share figures on this machine."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

import psutil
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from sensus import memory, metrics

_PID = re.compile(r"_(\d+)\.db$")
_QUEUE = re.compile(r"^--queues=(\w+)$")


def families() -> Iterator[Metric]:
    """Resident memory and CPU time of each process, by its name in the process table, and the memory that all have."""
    resident = GaugeMetricFamily(
        "sensus_process_resident_memory_bytes", "Resident memory of a process.", labels=["process", "pid"]
    )
    cpu = CounterMetricFamily("sensus_process_cpu_seconds", "CPU time of a process.", labels=["process", "pid"])
    for pid in sorted(_pids()):
        try:
            process = psutil.Process(pid)
            with process.oneshot():
                labels = [_name(process.cmdline()), str(pid)]
                times = process.cpu_times()
                resident.add_metric(labels, process.memory_info().rss)
                cpu.add_metric(labels, times.user + times.system)
        except psutil.Error:
            continue  # it has ended meanwhile; its files are left behind on purpose, for the totals
    yield resident
    yield cpu
    room = memory.now()
    yield GaugeMetricFamily(
        "sensus_memory_limit_bytes",
        "Memory that these processes may take together: the limit of their container, else what the machine has.",
        value=room.limit,
    )
    yield GaugeMetricFamily(
        "sensus_memory_used_bytes", "Memory that is taken of it, without what can be dropped at once.", value=room.used
    )


def _pids() -> set[int]:
    """This process, and each that has written figures into the shared directory."""
    pids = {os.getpid()}
    if metrics.is_shared():
        found = (_PID.search(path.name) for path in Path(os.environ[metrics.DIRECTORY_VARIABLE]).glob("*.db"))
        pids.update(int(match[1]) for match in found if match)
    return pids


def _name(command: list[str]) -> str:
    if any("gunicorn" in word for word in command):
        return "web"
    for word in command:
        if match := _QUEUE.match(word):
            return f"worker-{match[1]}"
    return next((name for name in ("beat", "flower") if name in command), "other")
