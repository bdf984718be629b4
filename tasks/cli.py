"""`sensus score` and `sensus models`."""

from __future__ import annotations

import argparse
import getpass
import os
import sys
import time
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kombu.exceptions import OperationalError as BrokerAway
from sqlalchemy.orm import Session

from db.queries import audit, runs, standings
from db.queries import models as versions
from db.session import Database
from ml import artifact, detectors
from sensus import logs, settings
from sensus.errors import ConfigurationError, SensusError, Unavailable
from tasks import model_choice, replay_folder
from tasks.in_force import load_version
from tasks.replay import Retraining

if TYPE_CHECKING:
    from db.models.model_version import ModelVersion, TaskRun

_LOOK_EVERY_S = 0.5
_NOBODY_AFTER_S = 10.0
_WORKER_HINT = "start it with `sensus up`, or `celery -A tasks.app worker --queues=maintenance`"


class RunFailed(SensusError):
    """The training or evaluation that was waited for failed."""


def configure_score(parser: argparse.ArgumentParser) -> None:
    """Arguments of `sensus score`."""
    parser.add_argument("--input", type=Path, required=True, metavar="DIR", help="folder of CSV files timestamp,value")
    parser.add_argument("--output", type=Path, required=True, metavar="DIR", help="where timestamp,score,alert go")
    parser.add_argument("--model", metavar="NAME", help="a version, builtin-2, or the path of an exported model")
    parser.add_argument(
        "--retrain",
        choices=("nightly", "never"),
        default="nightly",
        help="retrain at each 02:00 UTC of the data's own time on what came before (default), or keep the model",
    )


def score(arguments: argparse.Namespace) -> int:
    """Score each file under the input folder; needs no server."""
    current = settings.current()
    files = replay_folder.plan(arguments.input, arguments.output)
    chosen = model_choice.choose(arguments.model, current)
    print(f"{chosen.why}, retrained {arguments.retrain}", file=sys.stderr)
    retraining = Retraining(current.training_days) if arguments.retrain == "nightly" else None
    replay_folder.run(files, chosen.model, retraining)
    return 0


def configure_models(parser: argparse.ArgumentParser) -> None:
    """Arguments of `sensus models`."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    actions.add_parser("list", help="all versions, newest first")
    for name, text in (
        ("train", "train a new version"),
        ("evaluate", "measure the versions that score, and decide on challengers"),
    ):
        action = actions.add_parser(name, help=f"{text}, by the maintenance worker")
        action.add_argument("--no-wait", action="store_true", help="ask for it and return")
    actions.add_parser("activate", help="put a version in force").add_argument("version", metavar="VERSION")
    challenge = actions.add_parser("challenge", help="let a version score in the shadow of the one in force")
    challenge.add_argument("version", metavar="VERSION")
    rollback = actions.add_parser("rollback", help="go back to the version that was in force before")
    rollback.add_argument("--detector", choices=detectors.names(), help="whose version; default: SENSUS_DETECTOR")
    export = actions.add_parser("export", help="write a version to a file that `sensus score --model` reads")
    export.add_argument("version", metavar="VERSION")
    export.add_argument("file", type=Path, metavar="FILE")


def models(arguments: argparse.Namespace) -> int:
    """Do what `sensus models ACTION` asks."""
    where = model_choice.addresses(settings.current())
    actions: dict[str, Callable[[Database], int]] = {
        "list": _list,
        "train": lambda database: _run(database, where, "train", wait=not arguments.no_wait),
        "evaluate": lambda database: _run(database, where, "evaluate", wait=not arguments.no_wait),
        "activate": lambda database: _activate(database, arguments.version),
        "challenge": lambda database: _challenge(database, arguments.version),
        "rollback": lambda database: _rollback(database, arguments.detector or settings.current().detector),
        "export": lambda database: _export(database, arguments.version, arguments.file),
    }
    with model_choice.opened(where) as database:
        return actions[arguments.action](database)


def _list(database: Database) -> int:
    with database.transaction() as session:
        rows = [_line(version) for version in versions.listing(session)]
    widths = [max(len(row[column]) for row in (_TITLES, *rows)) for column in range(len(_TITLES))]
    for row in (_TITLES, *rows):
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
    return 0


_MARKS = {"champion": "*", "challenger": "+"}
_TITLES = ("", "VERSION", "ALGORITHM", "TRAINED", "AUROC", "DETECTED", "FALSE ALARMS/WEEK")


def _line(version: ModelVersion) -> tuple[str, ...]:
    figures = version.evaluation
    return (
        _MARKS.get(version.role, ""),
        version.version,
        version.algorithm,
        f"{version.training_date:%Y-%m-%d %H:%M}",
        *(
            f"{figures[name]:.3f}" if isinstance(figures.get(name), int | float) else "-"
            for name in ("auroc", "detection_rate", "false_alarms_per_week")
        ),
    )


def _activate(database: Database, version: str) -> int:
    with database.transaction() as session:
        before = versions.in_force(session, versions.find(session, version).algorithm)
        versions.activate(session, version)
        _record(session, "model_activated", version, None if before is None else before.version)
    print(f"{version} is in force")
    return 0


def _challenge(database: Database, version: str) -> int:
    with database.transaction() as session:
        chosen = standings.challenge(session, version)
        champion = versions.in_force(session, chosen.algorithm)
        _record(session, "model_challenges", version, None if champion is None else champion.version)
    print(f"{version} scores in the shadow of {'nobody yet' if champion is None else champion.version}")
    return 0


def _rollback(database: Database, detector: str) -> int:
    with database.transaction() as session:
        before = versions.in_force(session, detector)
        now = versions.rollback(session, detector).version
        _record(session, "model_rolled_back", now, None if before is None else before.version)
    print(f"{now} is in force again")
    return 0


def _export(database: Database, version: str, file: Path) -> int:
    with database.transaction() as session:
        key = versions.find(session, version)
        load_version(session, key)  # what can't be loaded is not handed on
        data = versions.artifact(session, key.id)
    try:
        file.write_bytes(data)
    except OSError as error:
        raise ConfigurationError(f"{file} can't be written: {error.strerror}") from None
    print(f"{file}: {len(data)} bytes, SHA-256 {artifact.checksum(data)}")
    return 0


def _run(database: Database, where: model_choice.Addresses, kind: runs.Kind, *, wait: bool) -> int:
    if where.redis_url is None:
        raise ConfigurationError("no Redis is known: start `sensus up`, or set SENSUS_REDIS_URL")
    with database.transaction() as session:
        run_id, is_new = runs.start(
            session, kind, requested_by=f"cli:{getpass.getuser()}", request_id=logs.new_request_id()
        )
    print(f"task {run_id}" + ("" if is_new else " was under way already"))
    _knock(where.redis_url, kind, run_id)
    return _waited(database, run_id) if wait else 0


def _knock(redis_url: str, kind: runs.Kind, run_id: uuid.UUID) -> None:
    # `tasks.app` reads its broker when it is imported, so the address of a running stack must stand there first.
    os.environ["SENSUS_REDIS_URL"] = redis_url
    os.environ.pop("SENSUS_REDIS_URL_FILE", None)
    settings.current.cache_clear()
    from tasks import signatures

    try:
        (signatures.train if kind == "train" else signatures.evaluate)(run_id=run_id)
    except BrokerAway:
        print("Redis is away; the run waits, and the next sweep finds it", file=sys.stderr)
        return
    if not any(name.startswith("maintenance@") for name in signatures.workers_answering(timeout_s=2.0)):
        print(f"no maintenance worker answers; {_WORKER_HINT}", file=sys.stderr)


def _waited(database: Database, run_id: uuid.UUID) -> int:
    told = ""
    began = time.monotonic()
    while True:
        with database.transaction() as session:
            run = runs.find(session, run_id)
        if run is None:
            raise RunFailed(f"task {run_id} is gone")
        if run.state == "done":
            if run.result.get("outcome") == "not_enough_history":
                raise RunFailed(
                    f"not enough history: {run.result['reason']}; ask again when the series have more samples"
                )
            print(_outcome(run))
            return 0
        if run.state == "failed":
            raise RunFailed(f"task {run_id} failed: {run.error}")
        if run.state == "pending" and time.monotonic() > began + _NOBODY_AFTER_S:
            raise Unavailable(f"no worker took task {run_id} within {_NOBODY_AFTER_S:.0f} s; {_WORKER_HINT}")
        now = _progress(run)
        if now != told:
            told = now
            print(now, file=sys.stderr)
        time.sleep(_LOOK_EVERY_S)


def _progress(run: TaskRun) -> str:
    stage, done, of = (run.progress.get(name) for name in ("stage", "done", "of"))
    return f"{stage}: {done} of {of} series" if stage else run.state


def _outcome(run: TaskRun) -> str:
    result = run.result
    return "\n".join(_told(one) for one in (result, *result.get("others", ())))


def _told(result: Mapping[str, Any]) -> str:
    parts = [str(result.get("outcome", "done")).replace("_", " ")]
    parts += [str(result[name]) for name in ("version", "verdict", "reason") if result.get(name)]
    parts += result.get("reasons", ())
    told = ": ".join(parts[:2]) + (f" ({'; '.join(parts[2:])})" if parts[2:] else "")
    challenger = result.get("challenger")
    return told if challenger is None else f"{told}\nchallenger {_told(challenger)}"


def _record(session: Session, action: str, version: str, before: str | None) -> None:
    audit.record(
        session,
        action=action,
        actor=f"cli:{getpass.getuser()}",
        subject=f"model:{version}",
        facts={"version": version, "before": before},
        request_id=logs.new_request_id(),
    )
