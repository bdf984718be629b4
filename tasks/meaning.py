"""Vectors of runbooks and past incidents: made beside everything else, and compared with an incident's own."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence

from sqlalchemy.orm import Session

from db.queries import runbooks, similar_incidents
from db.session import Database
from llm.breaker import Breaker
from llm.errors import LLMError
from llm.nearest import as_bytes, nearest, vector
from sensus import logs
from sensus.settings import Settings
from tasks.model_server import model_server
from tasks.recall import Near

log = logs.get_logger(__name__)

_NEAREST = 20
# Nobody waits for the first, an incident's evidence does for the second.
_MAKING_S, _ASKING_S = 60.0, 4.0
_TEXTS_AT_ONCE = 32
_MOST_A_RUN = 2_000
_LONGEST_TEXT = 4_000

_Kept = Callable[[Session, str, Mapping[int, bytes]], None]
_Wanting = Callable[..., list[tuple[int, str]]]
_breakers: dict[int, Breaker] = {}


def near_to(database: Database, settings: Settings, incident_id: int, said: str) -> Near:
    """The sections and past incidents that come near to these words; none without a model that makes vectors."""
    model = settings.embed_model
    if model is None or not _breaker().may_ask():
        return Near()
    try:
        made = model_server(settings).embed(model, [said[:_LONGEST_TEXT]], timeout_s=_ASKING_S)
    except LLMError as error:
        _breaker().failed(decisive=True)
        log.warning("no_vector", model=model, error=str(error))
        return Near()
    _breaker().succeeded()
    own = vector(made[0]) if made else None
    if own is None:
        return Near()
    with database.transaction() as session:
        sections = nearest(own, runbooks.vectors(session, model), limit=_NEAREST)
        past = nearest(own, similar_incidents.vectors(session, model, below=incident_id), limit=_NEAREST)
    return Near(incidents=past, sections=sections)


def make_vectors(database: Database, settings: Settings) -> int:
    """Vectors of what has none yet; how many were made.  Ends early when the model can't make them."""
    model = settings.embed_model
    if model is None:
        return 0
    made = 0
    for wanting, keep in (
        (runbooks.without_vector, runbooks.keep_vectors),
        (similar_incidents.without_vector, similar_incidents.keep_vectors),
    ):
        try:
            made += _make(database, settings, model, wanting, keep)
        except LLMError as error:
            log.warning("no_vectors", model=model, error=str(error))
            break
    return made


def _make(database: Database, settings: Settings, model: str, wanting: _Wanting, keep: _Kept) -> int:
    made = 0
    while made < _MOST_A_RUN:
        with database.transaction() as session:
            rows = wanting(session, model, limit=_TEXTS_AT_ONCE)
        if not rows:
            break
        vectors = _vectors(settings, model, [text for _, text in rows])
        if len(vectors) != len(rows):
            log.warning("vectors_missing", model=model, asked=len(rows), got=len(vectors))
            break
        with database.transaction() as session:
            keep(session, model, {id_: raw for (id_, _), raw in zip(rows, vectors, strict=True)})
        made += len(rows)
    return made


def _vectors(settings: Settings, model: str, texts: Sequence[str]) -> list[bytes]:
    # An empty text would get no vector, and all after it another's.
    said = [text[:_LONGEST_TEXT].strip() or "empty" for text in texts]
    directions = [vector(one) for one in model_server(settings).embed(model, said, timeout_s=_MAKING_S)]
    return [b"" if one is None else as_bytes(one) for one in directions]


def _breaker() -> Breaker:
    # A forked child must not inherit a lock that its parent may hold.
    return _breakers.setdefault(os.getpid(), Breaker())
