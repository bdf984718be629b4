"""What of a finished analysis is to be told, as the settings say."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from sqlalchemy.orm import Session

from db.queries import notifications
from sensus.settings import Settings
from sensus.targets import targets


def ask_to_tell(session: Session, settings: Settings, analysis_ids: Sequence[int]) -> None:
    """Let people be told of these finished analyses of incidents, once for each state and target."""
    names = [target.name for target in targets(settings.notification_urls())]
    notifications.add(session, analysis_ids, targets=names, lasts=must_last(settings))


def must_last(settings: Settings) -> timedelta:
    """How long an incident lasts that is told of."""
    return timedelta(seconds=settings.notify_after_s)
