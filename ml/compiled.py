"""How does a function of plain arithmetic run as machine code, compiled once per installation?"""

import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import ParamSpec, TypeVar

import numba

P = ParamSpec("P")
R = TypeVar("R")

_PACKAGE = Path(__file__).parent


def compiled(function: Callable[P, R]) -> Callable[P, R]:
    """The same function as machine code: sequential arithmetic, so it gives the same bits as the interpreter.

    It is compiled at its first call. The result is kept on disk where that can be written, else in the process.
    """
    # Reassociation and fused operations are left off, which is numba's default: figures must not depend on how a
    # compiler of another machine would like to order a sum.
    machine_code: Callable[P, R] = numba.njit(cache=_CACHE is not None)(function)
    return machine_code


def plain(function: Callable[P, R]) -> Callable[P, R]:
    """What the interpreter runs in place of the machine code; the function itself where the compiler is off."""
    written: Callable[P, R] = getattr(function, "py_func", function)
    return written


def _cache() -> Path | None:
    """Where machine code is kept: NUMBA_CACHE_DIR if it is set, else beside this file; None where neither works.

    numba notices that a function changed, but not that one changed which it calls in another file. So each state
    of the code has a folder of its own.
    """
    named = os.environ.get("NUMBA_CACHE_DIR")
    for base in (Path(named) if named else None, _PACKAGE / "__pycache__"):
        if base is not None and _is_writable(folder := base / f"kernels-{_state_of_the_code()}"):
            return folder
    return None


def _state_of_the_code() -> str:
    digest = hashlib.sha256(numba.__version__.encode())
    for path in sorted(_PACKAGE.rglob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def _is_writable(folder: Path) -> bool:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return False
    return os.access(folder, os.W_OK | os.X_OK)


_CACHE = _cache()
if _CACHE is not None:
    numba.config.CACHE_DIR = str(_CACHE)  # type: ignore[attr-defined]  # made when numba is imported
