"""Who did what, in which request, from where?  An act of a caller is written down in the transaction of the act."""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy.orm import Session

from db.queries import audit
from web.access import caller
from web.request_context import client_address, request_id


def record(
    session: Session,
    action: str,
    *,
    subject: str | None = None,
    facts: Mapping[str, object] | None = None,
    actor: str | None = None,
    succeeded: bool = True,
) -> None:
    """Write down one act of this request; `actor` is the caller where it is not told."""
    audit.record(
        session,
        action=action,
        actor=caller().identity if actor is None else actor,
        subject=subject,
        facts=facts,
        request_id=request_id(),
        client_address=client_address(),
        succeeded=succeeded,
    )
