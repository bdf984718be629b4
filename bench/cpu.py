"""How much CPU time did a program take, with all its processes?"""

from __future__ import annotations

import psutil


def seconds_of(pid: int) -> float:
    """CPU seconds of a process, its living descendants and the children that it has waited for."""
    try:
        family = [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
    except psutil.NoSuchProcess:
        return 0.0
    return sum(_seconds(process) for process in family)


def _seconds(process: psutil.Process) -> float:
    try:
        spent = process.cpu_times()
    except psutil.NoSuchProcess:
        return 0.0
    return float(spent.user + spent.system + spent.children_user + spent.children_system)
