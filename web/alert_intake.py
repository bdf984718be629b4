"""Stores alerts with their audit entry: in one statement when they are new, in one transaction when some may not be."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime

from flask import current_app

from db.models.anomaly_alert import ALERT_NAME
from db.queries import alerts, anomaly_alerts, outbox, quarantine
from db.queries.alerts import Stored
from db.queries.episodes import Identity, Message
from sensus import audit
from web.access import caller
from web.request_context import request_id
from web.resources import resources
from web.schemas.ingest_alerts import Delivery

_EXTENSION = "sensus_seen_episodes"
_REMEMBERED = 50_000


class SeenEpisodes:
    """The episodes that this process heard of lately.  A guess, for another process may have heard of more."""

    def __init__(self, most: int = _REMEMBERED) -> None:
        self._most = most
        self._lock = threading.Lock()
        self._seen: dict[Identity, None] = {}

    def are_new(self, messages: Iterable[Message]) -> bool:
        """Whether each message seems to open an episode of its own."""
        met = set[Identity]()
        for message in messages:
            if message.starts_at is None:
                return False
            identity = (message.fingerprint, message.starts_at)
            if identity in self._seen or identity in met:
                return False
            met.add(identity)
        return bool(met)

    def remember(self, messages: Iterable[Message]) -> None:
        """These are stored."""
        with self._lock:
            for message in messages:
                if message.starts_at is not None:
                    self._seen[message.fingerprint, message.starts_at] = None
            if len(self._seen) > self._most:
                self._seen = dict.fromkeys(list(self._seen)[-self._most // 2 :])


def without_echoes(delivery: Delivery) -> tuple[Delivery, int]:
    """The delivery without our own anomalies that an Alertmanager sends back, and how many those are."""
    # Only what has the name is looked up: for all others this costs nothing.
    named = {message.fingerprint for message in delivery.messages if message.alert_name == ALERT_NAME}
    if not named:
        return delivery, 0
    with resources().database.transaction() as session:
        ours = anomaly_alerts.ours(session, named)
    kept = [message for message in delivery.messages if message.fingerprint not in ours]
    return replace(delivery, messages=kept), len(delivery.messages) - len(kept)


def store(delivery: Delivery, received_at: datetime) -> Stored:
    """Store what a sender delivered; what can't be stored as an alert is put aside."""
    seen = _seen_episodes()
    stored = None
    if not delivery.oddities and seen.are_new(delivery.messages):
        entry = _entry(Stored(created=len(delivery.messages)), 0)
        with resources().database.direct() as connection:
            stored = alerts.store_new(connection, delivery.messages, entry, received_at=received_at)
    stored = stored or _store_in_a_transaction(delivery, received_at)
    seen.remember(delivery.messages)
    return stored


def _store_in_a_transaction(delivery: Delivery, received_at: datetime) -> Stored:
    actor = caller().identity
    with resources().database.transaction() as session:
        stored = alerts.store(session, delivery.messages, received_at=received_at, request_id=request_id(), actor=actor)
        quarantine.add(session, delivery.oddities, actor=actor, request_id=request_id())
        outbox.add(session, _entry(stored, len(delivery.oddities)))
    return stored


def _entry(stored: Stored, quarantined: int) -> outbox.NewEntry:
    return outbox.NewEntry(
        stream=audit.RAW,
        type="alert",
        facts={
            "accepted": stored.accepted,
            "created": stored.created,
            "updated": stored.updated,
            "duplicates": stored.duplicates,
            "quarantined": quarantined,
            "alert_ids": stored.alert_ids[: outbox.MOST_IDS],
        },
        request_id=request_id(),
        actor=caller().identity,
    )


def _seen_episodes() -> SeenEpisodes:
    seen = current_app.extensions.setdefault(_EXTENSION, SeenEpisodes())
    assert isinstance(seen, SeenEpisodes)  # noqa: S101 (says so to mypy)
    return seen
