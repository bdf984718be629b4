"""How much memory is there for our processes, and how much is taken?  In their control group, else on the machine."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import psutil


@dataclass(frozen=True, slots=True)
class Memory:
    """Memory of a control group or of a machine, in bytes."""

    used: int  # without what the kernel can drop at once, such as pages of files that were read
    limit: int  # above it the kernel ends a process


@dataclass(frozen=True, slots=True)
class _Version:
    """The files of one version of control groups."""

    limit: str
    used: str
    droppable: str  # the line of memory.stat, for a group with all that are in it


_V1 = _Version("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
_V2 = _Version("memory.max", "memory.current", "inactive_file")


def now() -> Memory:
    """That of the container, or of the innermost limit of the service, that this process is in; else the machine's."""
    machine = psutil.virtual_memory()
    return tightest(Memory(used=machine.total - machine.available, limit=machine.total))


def tightest(machine: Memory, root: Path = Path("/")) -> Memory:
    """The group with the least limit of those that this process is in; the machine when none has less than it.

    Linux shows them below `root`, both versions.  What can't be read is no limit.
    """
    limited = [group for group in _groups(root) if 0 < group.limit < machine.limit]
    return min(limited, key=lambda group: group.limit, default=machine)


def _groups(root: Path) -> Iterator[Memory]:
    """The group of this process and those around it that have a number as their limit."""
    try:
        place = _place(_text(root / "proc/self/cgroup"), _text(root / "proc/self/mountinfo"))
    except (OSError, ValueError):
        return
    if place is None:
        return
    version, mount, path = place
    for below in (path, *path.parents):
        try:
            yield _of_group(root / mount / below, version)
        except (OSError, ValueError):
            continue  # `max`, or the outermost group, which has no such files


def _of_group(folder: Path, version: _Version) -> Memory:
    stat = _text(folder / "memory.stat").splitlines()
    name = f"{version.droppable} "
    droppable = next((int(line.removeprefix(name)) for line in stat if line.startswith(name)), 0)
    used = int(_text(folder / version.used)) - droppable
    return Memory(max(used, 0), int(_text(folder / version.limit)))


def _place(cgroup: str, mountinfo: str) -> tuple[_Version, PurePosixPath, PurePosixPath] | None:
    """The version that limits memory here, where it is mounted (below the root), and our group below that."""
    paths = {}
    for line in cgroup.splitlines():
        number, controllers, path = line.split(":", 2)
        if "memory" in controllers.split(","):
            paths[_V1] = path
        elif number == "0":
            paths[_V2] = path
    # With both, the one that has the controller.
    version = _V1 if _V1 in paths else _V2
    for line in mountinfo.splitlines():
        before, _, after = line.partition(" - ")
        kind, _, options = after.split(" ", 2)
        is_ours = kind == "cgroup2" if version is _V2 else kind == "cgroup" and "memory" in options.split(",")
        if is_ours and version in paths:
            top, mount = before.split(" ")[3:5]
            return version, PurePosixPath(mount).relative_to("/"), _below(paths[version], top)
    return None


def _below(path: str, top: str) -> PurePosixPath:
    """The path of a group below the one that is mounted; that one itself for a path of another view of the machine."""
    try:
        below = PurePosixPath(path).relative_to(top)
    except ValueError:
        return PurePosixPath()
    return PurePosixPath() if ".." in below.parts else below


def _text(path: Path) -> str:
    return path.read_text("utf-8")
