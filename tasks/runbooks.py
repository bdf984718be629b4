"""Keep what is known of runbooks as the files in their folder are, and make vectors of them and of past incidents."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

from db import exclusive
from db.queries import runbooks
from db.queries.runbooks import NewSection
from llm.markdown import sections
from sensus import logs, metrics
from tasks.app import app
from tasks.base import SensusTask
from tasks.meaning import make_vectors

log = logs.get_logger(__name__)

MOST_FILES = 5_000
MOST_BYTES = 1_000_000
_ENDINGS = (".md", ".markdown")
# A part of each digest, so that files are read again when they are understood differently.
_READING = b"1"


@app.task(base=SensusTask, bind=True)
def synchronise(self: SensusTask) -> None:
    """Read the files that are new or changed, forget those that are gone, and make the vectors that are missing."""
    with exclusive.alone(self.database, exclusive.RUNBOOKS) as is_alone:
        if is_alone:
            _follow(self)
            make_vectors(self.database, self.settings)


def _follow(task: SensusTask) -> None:
    folder = task.settings.runbooks
    if folder is not None and not folder.is_dir():
        # A folder that is not mounted at the moment has not lost its files.
        log.warning("runbooks_unreadable", folder=str(folder))
        return
    found = {} if folder is None else dict(_files(folder))
    with task.transaction() as session:
        known = runbooks.digests(session)
    for name in known.keys() - found.keys():
        with task.transaction() as session:
            runbooks.remove(session, name)
        metrics.runbooks.labels("removed").inc()
    for name, path in found.items():
        _read(task, name, path, known.get(name))


def _read(task: SensusTask, name: str, path: Path, known_digest: str | None) -> None:
    try:
        with path.open("rb") as file:
            content = file.read(MOST_BYTES + 1)
    except OSError as error:
        log.warning("runbook_unreadable", path=name, error=error.strerror)
        return
    if len(content) > MOST_BYTES:
        log.warning("runbook_too_large", path=name, most=MOST_BYTES)
        content = content[:MOST_BYTES]
    digest = hashlib.sha256(_READING + content).hexdigest()
    if digest == known_digest:
        return
    # PostgreSQL can't hold NUL, and a file of another encoding is readable but for its odd letters.
    text = content.decode("utf-8", "replace").replace("\x00", "")
    found = [NewSection(one.heading, one.anchor, one.body) for one in sections(text, title=path.stem)]
    if not found:
        # Its digest has to be somewhere, or it would be read each time.
        found = [NewSection(path.stem, "", "")]
    with task.transaction() as session:
        runbooks.replace(session, name, digest, found)
    metrics.runbooks.labels("read").inc()
    log.info("runbook_read", path=name, sections=len(found))


def _files(folder: Path) -> Iterator[tuple[str, Path]]:
    """Each file's name below the folder and where it is; no hidden one, and none that a link leads outside to."""
    root = folder.resolve()
    count = 0
    for where, folders, names in os.walk(root):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            path = Path(where, name)
            if name.startswith(".") or not name.lower().endswith(_ENDINGS) or not path.is_file():
                continue
            if not path.resolve().is_relative_to(root):
                continue
            if count == MOST_FILES:
                log.warning("too_many_runbooks", folder=str(folder), most=MOST_FILES)
                return
            count += 1
            yield path.relative_to(root).as_posix(), path
