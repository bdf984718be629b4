"""A row that goes finds what hangs on it by an index, however much hangs on others."""

from __future__ import annotations

from sqlalchemy import text
from sqlalchemy.orm import Session

# An index serves when the column comes first and no row that can match is left out of it.
_UNINDEXED = text(
    """
    SELECT format('%s.%s', c.conrelid::regclass, a.attname)
    FROM pg_constraint c JOIN pg_attribute a ON a.attrelid = c.conrelid AND a.attnum = c.conkey[1]
    WHERE c.contype = 'f' AND c.connamespace = 'public'::regnamespace AND NOT EXISTS (
        SELECT FROM pg_index i
        WHERE i.indrelid = c.conrelid AND i.indkey[0] = c.conkey[1] AND i.indisvalid
          AND (i.indpred IS NULL OR pg_get_expr(i.indpred, i.indrelid) = format('(%I IS NOT NULL)', a.attname)))
    """
)


def test_every_foreign_key_has_an_index_that_its_cascade_can_use(session: Session) -> None:
    assert session.scalar(text("SELECT count(*) FROM pg_constraint WHERE contype = 'f'")) > 10
    assert list(session.scalars(_UNINDEXED)) == []
