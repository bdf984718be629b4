"""Which past incidents may be like this one, and what is known of their causes?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import text, update
from sqlalchemy.orm import Session

from db.models.incident import Incident

_CANDIDATES = 200
_MOST_LOOKED_AT = 5_000
_VECTORS_A_PAGE = 500
_MOST_LEXEMES = 60


@dataclass(frozen=True, slots=True)
class PastIncident:
    """An earlier incident as it is compared."""

    id: int
    title: str
    summary: str
    services: list[str]
    alert_names: list[str]
    suspects: list[dict[str, Any]]
    labels: dict[str, str]
    opened_at: datetime
    resolved_at: datetime | None
    confirmed_cause: str | None


@dataclass(frozen=True, slots=True)
class KnownCause:
    """What the newest analysis by a model said of an incident, and how people judged its analyses."""

    said: str | None
    confidence: float | None
    helpful: int
    unhelpful: int


# Those of which somebody confirmed the cause first, since of the others less can be learnt.
_FOUND = text(
    """
    WITH found AS (
        SELECT id FROM (
            SELECT id, confirmed_at FROM incidents
            WHERE search @@ CAST(:query AS tsquery) AND merged_into IS NULL AND id <> :id AND opened_at < :before
            ORDER BY confirmed_at IS NULL, id DESC LIMIT :limit
        ) by_words
        UNION
        SELECT id FROM (
            SELECT id FROM incidents
            WHERE services && CAST(:services AS text[]) AND merged_into IS NULL AND id <> :id AND opened_at < :before
            ORDER BY confirmed_at IS NULL, id DESC LIMIT :limit
        ) by_services
        UNION
        SELECT unnest(CAST(:others AS bigint[]))
    )
    SELECT i.id, i.title, i.summary, i.services, i.alert_names, i.suspects, i.labels, i.opened_at, i.resolved_at,
        i.confirmed_cause
    FROM incidents i JOIN found ON found.id = i.id ORDER BY i.id DESC
    """
)
_KNOWN = text(
    """
    SELECT i.id, said.analysis_data->>'root_cause' AS said, said.confidence_score AS confidence,
        coalesce(judged.helpful, 0) AS helpful, coalesce(judged.unhelpful, 0) AS unhelpful
    FROM unnest(CAST(:ids AS bigint[])) AS i (id)
    LEFT JOIN LATERAL (
        SELECT analysis_data, confidence_score FROM ai_analysis_results r
        WHERE r.incident_id = i.id AND r.outcome = 'model' ORDER BY r.id DESC LIMIT 1
    ) said ON true
    LEFT JOIN LATERAL (
        SELECT count(*) FILTER (WHERE f.helpful) AS helpful, count(*) FILTER (WHERE NOT f.helpful) AS unhelpful
        FROM ai_analysis_results r JOIN analysis_feedback f ON f.analysis_id = r.id WHERE r.incident_id = i.id
    ) judged ON true
    """
)
_WITHOUT_VECTOR = text(
    """
    SELECT id, concat_ws('. ', title, summary, array_to_string(alert_names, ' '), array_to_string(services, ' '),
        confirmed_cause) AS said
    FROM (SELECT * FROM incidents ORDER BY id DESC LIMIT :looked_at) newest
    WHERE status = 'resolved' AND merged_into IS NULL AND embedded_by IS DISTINCT FROM :model
    ORDER BY id DESC LIMIT :limit
    """
)
_VECTORS = text(
    """
    SELECT id, CASE WHEN embedded_by = :model AND merged_into IS NULL THEN embedding END AS embedding
    FROM incidents WHERE id < :below ORDER BY id DESC LIMIT :limit
    """
)


def candidates(
    session: Session,
    incident_id: int,
    *,
    before: datetime,
    lexemes: Sequence[str],
    services: Sequence[str],
    others: Sequence[int] = (),
) -> list[PastIncident]:
    """Earlier incidents that share a word or a service with this one, and `others`; some hundreds at most."""
    query = " | ".join(f"'{_quoted(lexeme)}'" for lexeme in lexemes[:_MOST_LEXEMES])
    given = {
        "id": incident_id,
        "before": before,
        "query": query,
        "services": list(services),
        "others": list(others),
        "limit": _CANDIDATES,
    }
    return [PastIncident(*row) for row in session.execute(_FOUND, given)]


def known_causes(session: Session, ids: Sequence[int]) -> dict[int, KnownCause]:
    """What is known of the causes of these, beside what was confirmed."""
    rows = session.execute(_KNOWN, {"ids": list(ids)})
    return {row.id: KnownCause(row.said, row.confidence, row.helpful, row.unhelpful) for row in rows}


def vectors(session: Session, model: str, *, below: int) -> Iterator[tuple[list[int], list[bytes]]]:
    """The vectors that this model made of the newest incidents older than an id, page by page."""
    for _ in range(_MOST_LOOKED_AT // _VECTORS_A_PAGE):
        rows = session.execute(_VECTORS, {"model": model, "below": below, "limit": _VECTORS_A_PAGE}).all()
        if not rows:
            return
        made = [(row.id, bytes(row.embedding)) for row in rows if row.embedding is not None]
        yield [id_ for id_, _ in made], [vector for _, vector in made]
        below = rows[-1].id


def without_vector(session: Session, model: str, *, limit: int) -> list[tuple[int, str]]:
    """Those of the newest incidents that are over and of which this model made no vector yet, with their texts."""
    rows = session.execute(_WITHOUT_VECTOR, {"model": model, "looked_at": _MOST_LOOKED_AT, "limit": limit})
    return [(row.id, row.said) for row in rows]


def keep_vectors(session: Session, model: str, made: Mapping[int, bytes]) -> None:
    """Store the vectors of incidents by their ids."""
    for incident_id, vector in made.items():
        values = {"embedding": vector, "embedded_by": model}
        session.execute(update(Incident).where(Incident.id == incident_id).values(**values))


def _quoted(lexeme: str) -> str:
    return lexeme.replace("\\", "\\\\").replace("'", "''")
