"""The sections of runbooks: kept as their files are, and searched."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import delete, insert, select, text, update
from sqlalchemy.orm import Session

from db.models.runbook import RunbookSection

_FOUND = 60
_VECTORS_A_PAGE = 1_000


@dataclass(frozen=True, slots=True)
class NewSection:
    """A heading of a file with the text under it."""

    heading: str
    anchor: str
    body: str


@dataclass(frozen=True, slots=True)
class SectionFound:
    """A section that may be about a question."""

    id: int
    path: str
    heading: str
    anchor: str
    body: str


# In the words of the language and as they stand: names are no words of any language.
_SEARCH = text(
    """
    SELECT id, path, heading, anchor, body FROM runbooks,
        LATERAL (SELECT to_tsquery('english', :query) || to_tsquery('simple', :query) AS asked) q
    WHERE search @@ q.asked ORDER BY ts_rank_cd(search, q.asked) DESC, id LIMIT :limit
    """
)
_LINKED = text(
    """
    SELECT id, path, heading, anchor, body FROM runbooks
    WHERE anchor = ANY(:anchors) OR id = ANY(:ids)
        OR lower(regexp_replace(path, '^.*/|[.][^.]*$', '', 'g')) = ANY(:stems)
    ORDER BY id LIMIT :limit
    """
)
_VECTORS = text(
    """
    SELECT id, CASE WHEN embedded_by = :model THEN embedding END AS embedding
    FROM runbooks WHERE id > :after ORDER BY id LIMIT :limit
    """
)


def digests(session: Session) -> dict[str, str]:
    """The files that are known, and what they were like."""
    return {row.path: row.digest for row in session.execute(select(RunbookSection.path, RunbookSection.digest))}


def replace(session: Session, path: str, digest: str, sections: Sequence[NewSection]) -> None:
    """The sections of a file are these and no others."""
    remove(session, path)
    rows = [
        {
            "path": path,
            "position": position,
            "heading": section.heading,
            "anchor": section.anchor,
            "body": section.body,
            "digest": digest,
        }
        for position, section in enumerate(sections)
    ]
    if rows:
        session.execute(insert(RunbookSection), rows)


def remove(session: Session, path: str) -> None:
    """Forget a file."""
    session.execute(delete(RunbookSection).where(RunbookSection.path == path))


def search(session: Session, words: Sequence[str]) -> list[SectionFound]:
    """The sections that have most to do with words of letters and digits, by PostgreSQL's own measure."""
    if not words:
        return []
    given = {"query": " | ".join(words), "limit": _FOUND}
    return [SectionFound(*row) for row in session.execute(_SEARCH, given)]


def linked(
    session: Session, anchors: Sequence[str], stems: Sequence[str], ids: Sequence[int] = ()
) -> list[SectionFound]:
    """The sections that are so called in links, those of files that are so called, and those of these ids."""
    given = {"anchors": list(anchors), "stems": list(stems), "ids": list(ids), "limit": _FOUND}
    return [SectionFound(*row) for row in session.execute(_LINKED, given)]


def vectors(session: Session, model: str) -> Iterator[tuple[list[int], list[bytes]]]:
    """The vectors that this model made of sections, page by page."""
    after = 0
    while rows := session.execute(_VECTORS, {"model": model, "after": after, "limit": _VECTORS_A_PAGE}).all():
        made = [(row.id, bytes(row.embedding)) for row in rows if row.embedding is not None]
        yield [id_ for id_, _ in made], [vector for _, vector in made]
        after = rows[-1].id


def without_vector(session: Session, model: str, *, limit: int) -> list[tuple[int, str]]:
    """Sections of which this model made no vector yet, with their texts."""
    query = (
        select(RunbookSection.id, RunbookSection.heading, RunbookSection.body)
        .where(RunbookSection.embedded_by.is_distinct_from(model))
        .order_by(RunbookSection.id)
        .limit(limit)
    )
    return [(row.id, f"{row.heading}\n{row.body}") for row in session.execute(query)]


def keep_vectors(session: Session, model: str, made: Mapping[int, bytes]) -> None:
    """Store the vectors of sections by their ids."""
    for section_id, vector in made.items():
        values = {"embedding": vector, "embedded_by": model}
        session.execute(update(RunbookSection).where(RunbookSection.id == section_id).values(**values))
