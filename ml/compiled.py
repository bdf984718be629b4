"""How does a function of plain arithmetic run as machine code, compiled once per installation?"""

import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import ParamSpec, TypeVar

import numba

P = ParamSpec("P")
R = TypeVar("R")

_PACKAGE = Path(__file__).parent
_BESIDE = _PACKAGE / "__pycache__"
_WRITABLE_BY_OTHERS = 0o022


def compiled(function: Callable[P, R]) -> Callable[P, R]:
    """The same function as machine code: sequential arithmetic, so it gives the same bits as the interpreter.

    It is compiled at its first call, and read from the cache by the processes that come later. Where nothing can be
    written, each process compiles for itself.
    """
    # Reassociation and fused operations are left off, which is numba's default: figures must not depend on how a
    # compiler of another machine would like to order a sum.
    machine_code: Callable[P, R] = numba.njit(cache=_CACHE is not None)(function)
    return machine_code


def cache_folder() -> Path | None:
    """Where machine code is kept; None where nothing can be written.

    The first of these that works: `NUMBA_CACHE_DIR`, beside this file, the user's cache, the temporary folder. What
    was compiled beside this file before it became read-only, as in an image, is taken along.
    """
    name = f"kernels-{_state_of_the_code()}"
    installed = _BESIDE / name
    for base in _bases():
        folder = base / name
        is_new = not folder.exists()
        if not _is_ours(folder):
            continue
        if is_new and installed != folder:
            _take_along(installed, folder)
        return folder
    return None


def forget_machine_code() -> None:
    """Empty the cache; what was read from it stays in use, and the rest is compiled anew.

    numba renames new files into place without waiting for the disk, so a machine that fails may leave an empty one.
    """
    if _CACHE is not None:
        _empty(_CACHE)


def _take_along(installed: Path, folder: Path) -> None:
    try:
        if installed.is_dir():
            shutil.copytree(installed, folder, dirs_exist_ok=True)
    except OSError:
        # Whoever compiled it may keep it to themselves, or the disk is full; half of it is worth nothing.
        _empty(folder)


def _empty(folder: Path) -> None:
    for path in folder.iterdir():
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


def _bases() -> Iterator[Path]:
    if named := os.environ.get("NUMBA_CACHE_DIR"):
        yield Path(named)
    yield _BESIDE
    if users := os.environ.get("XDG_CACHE_HOME") or os.environ.get("HOME"):
        yield Path(users) / ("sensus" if "XDG_CACHE_HOME" in os.environ else ".cache/sensus")
    yield Path(tempfile.gettempdir()) / f"sensus-{os.getuid()}"


def _state_of_the_code() -> str:
    # numba notices that a function changed, but not that one changed which it calls in another file. So each state of
    # the code has a folder of its own.
    digest = hashlib.sha256(numba.__version__.encode())
    for path in sorted(_PACKAGE.rglob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def _is_ours(folder: Path) -> bool:
    """Whether we may write into this folder and nobody else may: what is in it is run."""
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        there = folder.stat()
    except OSError:
        return False
    is_private = there.st_uid == os.getuid() and not there.st_mode & _WRITABLE_BY_OTHERS
    return is_private and os.access(folder, os.W_OK | os.X_OK)


_CACHE = cache_folder()
if _CACHE is not None:
    numba.config.CACHE_DIR = str(_CACHE)  # type: ignore[attr-defined]  # made when numba is imported
