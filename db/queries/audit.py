"""Who did what: a row that is kept, and an entry on its way to the audit stream."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from db.models import AuditRecord
from db.queries import outbox
from sensus import audit


def record(
    session: Session,
    *,
    action: str,
    actor: str,
    request_id: str,
    subject: str | None = None,
    facts: Mapping[str, object] | None = None,
    client_address: str | None = None,
    succeeded: bool = True,
) -> None:
    """Write down one act, in the transaction of the act itself."""
    details = dict(facts or {})
    session.add(
        AuditRecord(
            action=action,
            actor=actor,
            subject=subject,
            succeeded=succeeded,
            facts=details,
            request_id=request_id,
            client_address=client_address,
        )
    )
    told = {**details, "subject": subject, "succeeded": succeeded, "client_address": client_address}
    outbox.add(
        session,
        outbox.NewEntry(
            stream=audit.ACCESS,
            type=action,
            facts={name: value for name, value in told.items() if value is not None},
            request_id=request_id,
            actor=actor,
        ),
    )


def newest(
    session: Session,
    *,
    limit: int,
    before: int | None = None,
    action: str | None = None,
    actor: str | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
) -> Sequence[AuditRecord]:
    """Records, newest first, from below the id `before`."""
    query = select(AuditRecord).order_by(AuditRecord.id.desc()).limit(limit)
    if before is not None:
        query = query.where(AuditRecord.id < before)
    if action is not None:
        query = query.where(AuditRecord.action == action)
    if actor is not None:
        query = query.where(AuditRecord.actor == actor)
    if since is not None:
        query = query.where(AuditRecord.at >= since)
    if until is not None:
        query = query.where(AuditRecord.at < until)
    return session.scalars(query).all()
