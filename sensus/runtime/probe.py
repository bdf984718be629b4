"""`sensus probe`: is a process of `sensus run` ready, or at least alive?  The health check of a container.

A container asks for as long as it runs. Where the answer needs no setting, none is read: reading them takes five times
as long as asking.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from sensus.errors import ConfigurationError, Unavailable
from sensus.runtime.names import OURS
from sensus.runtime.probes import Http, Pulse

# In the data folder: what runs here and how it is asked, so that one health check serves every process of one image.
_FILE = "process"
Question = Callable[[], bool]


def configure(parser: argparse.ArgumentParser) -> None:
    """The name of a process, or nothing; and which question."""
    parser.add_argument("name", choices=OURS, nargs="?", help="by default the one that `sensus run` started here")
    parser.add_argument(
        "--alive", action="store_true", help="whether a restart can't help: it works, or what it needs is away"
    )


def run(arguments: argparse.Namespace) -> int:
    """Ask, and say the answer."""
    state = "alive" if arguments.alive else "ready"
    kept = {"name": arguments.name} if arguments.name else _read(_data_dir() / _FILE)
    name = kept["name"]
    question = _question(kept.get(state)) or _whole_question(name, state)
    if not question():
        raise Unavailable(f"{name} is not {state}")
    print(f"{name} is {state}")
    return 0


def keep(data_dir: Path, name: str, questions: Mapping[str, Question | None]) -> None:
    """Leave word of what runs here, and of those questions that need no settings.  Raises OSError."""
    kept = {state: _as_json(question) for state, question in questions.items()}
    (data_dir / _FILE).write_text(json.dumps({"name": name, **kept}), "utf-8")


def _as_json(question: Question | None) -> dict[str, Any] | None:
    if isinstance(question, Http):
        return {"host": question.host, "port": question.port, "path": question.path}
    return {"pulse": str(question.path)} if isinstance(question, Pulse) else None


def _question(kept: dict[str, Any] | None) -> Question | None:
    if kept is None:
        return None
    return Pulse(Path(kept["pulse"])) if "pulse" in kept else Http(**kept)


def _whole_question(name: str, state: str) -> Question:
    from sensus import settings
    from sensus.runtime.processes import process_of

    spec = process_of(settings.load(), dict(os.environ), name)
    return spec.ready if state == "ready" or spec.alive is None else spec.alive


def _data_dir() -> Path:
    if told := os.environ.get("SENSUS_DATA_DIR"):
        return Path(told)
    from sensus import settings

    return settings.load().data_dir


def _read(path: Path) -> dict[str, Any]:
    try:
        kept: dict[str, Any] = json.loads(path.read_text("utf-8"))
        if kept["name"] not in OURS:
            raise ValueError
    except OSError as error:
        raise Unavailable(f"`sensus run` started nothing in {path.parent}; name the process") from error
    except (ValueError, KeyError, TypeError) as error:
        raise ConfigurationError(f"{path} names no process; remove it") from error
    return kept
