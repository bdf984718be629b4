"""What must change in our alerts so that they say what an Alertmanager lists?  Decision 0011 has the reasons."""

from __future__ import annotations

import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

from sqlalchemy.orm import Session

from db.models.anomaly_alert import ALERT_NAME
from db.queries import alerts, anomaly_alerts, listings, outbox
from db.queries.episodes import Identity, Message, message, to_millisecond
from db.queries.listings import Known
from sensus import audit, logs
from tasks.alertmanager import Listed, Reading, Told, together, without_credentials

ACTOR = "reconciler"
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


class Overtaken(Exception):
    """A webhook brought one of the alerts at the same moment; in another transaction it is known."""


@dataclass(slots=True)
class Changes:
    """What a comparison changed, as ids."""

    stored: list[int] = field(default_factory=list)
    reopened: list[int] = field(default_factory=list)
    resolved: list[int] = field(default_factory=list)
    not_storable: int = 0
    back: list[str] = field(default_factory=list)  # addresses that answer again

    def counts(self) -> dict[str, int]:
        """How many alerts changed, by the kind of change."""
        return {"stored": len(self.stored), "reopened": len(self.reopened), "resolved": len(self.resolved)}


class Comparison:
    """One reading of an Alertmanager, or of the members of one cluster, against our rows."""

    def __init__(
        self, urls: Sequence[str], answers: Mapping[str, Reading], asked_at: datetime, receivers: Sequence[str]
    ) -> None:
        """`answers` are the readings by URL; `asked_at` is just before the first of them was asked for."""
        self._addresses = [without_credentials(url) for url in urls]
        self._source = ",".join(sorted(self._addresses))
        self._answered = [without_credentials(url) for url in answers]
        self._reading = together(list(answers.values()))
        self._listed = {(one.fingerprint, to_millisecond(one.starts_at)): one for one in self._reading.alerts}
        # Who is silent, or can't be understood, may know what the others do not.
        self._is_whole = len(answers) == len(urls) and not self._reading.unreadable
        self._asked_at = asked_at
        self._receivers = frozenset(receivers)
        self._request_id = logs.bound_request_id() or logs.new_request_id()

    def apply(self, session: Session) -> Changes:
        """Change the rows.  Raises Overtaken when it must be done anew, in another transaction."""
        before = listings.previous_readings(session, self._addresses)
        if before.newest is not None and before.newest >= self._asked_at:
            return Changes()  # A younger list has been compared meanwhile.
        changes = Changes(back=sorted(before.failing & set(self._answered)))
        self._bring(session, before.newest, changes)
        if before.oldest is not None and self._is_whole:
            window = listings.Window(self._asked_at, before.oldest, self._reading.up_since)
            changes.resolved = listings.end_missing(
                session,
                window,
                source=self._source,
                external_urls=external_urls(self._addresses),
                actor=ACTOR,
                request_id=self._request_id,
            )
        listings.note_success(session, self._answered, self._asked_at)
        listings.forget_resolved(session, asked_at=self._asked_at)
        if any(changes.counts().values()):
            self._audit(session, changes)
        return changes

    def _bring(self, session: Session, newest: datetime | None, changes: Changes) -> None:
        """Store what is not known, and let fire again what is not over."""
        known = listings.known(session, list(self._listed))
        unknown = {identity: one for identity, one in self._listed.items() if identity not in known}
        # Our own anomalies are listed, too: they are what we told of, and no news.
        named = {one.fingerprint for one in unknown.values() if one.told and _is_named_as_ours(one.told)}
        ours = anomaly_alerts.ours(session, named)
        unknown = {identity: one for identity, one in unknown.items() if one.fingerprint not in ours}
        new = {
            identity: _message(identity, one.told)
            for identity, one in unknown.items()
            if one.told is not None and self._is_for_us(one.told)
        }
        again = self._again(session, known, newest)
        stored = alerts.store(
            session,
            [*new.values(), *again.values()],
            received_at=self._asked_at,
            request_id=self._request_id,
            actor=ACTOR,
        )
        if stored.created != len(new):
            raise Overtaken
        changes.not_storable = sum(one.told is None for one in unknown.values())
        changes.stored, changes.reopened = stored.alert_ids[: len(new)], list(again)
        ids = {identity: ours.alert_id for identity, ours in known.items()}
        ids |= dict(zip(new, changes.stored, strict=True))
        until = {id_: self._listed[identity].until for identity, id_ in ids.items()}
        listings.note_listed(session, until, source=self._source, asked_at=self._asked_at)

    def _is_for_us(self, told: Told) -> bool:
        return not self._receivers or not self._receivers.isdisjoint(told.receivers)

    def _again(self, session: Session, known: Mapping[Identity, Known], newest: datetime | None) -> dict[int, Message]:
        """A message for each alert that is listed and does not fire with us, by its id."""
        wanted = {
            ours.alert_id: (identity[0], ours, told)
            for identity, ours in known.items()
            if (told := self._listed[identity].told) and _fires_again(ours, self._listed[identity], newest)
        }
        locked = listings.lock_not_firing(session, list(wanted), asked_at=self._asked_at)
        return {
            id_: _message((name, ours.starts_at), told, brought.extra, brought.group_key)
            for id_, (name, ours, told) in wanted.items()
            if (brought := locked.get(id_))
        }

    def _audit(self, session: Session, changes: Changes) -> None:
        counts = changes.counts()
        changed = [*changes.stored, *changes.reopened, *changes.resolved]
        outbox.add(
            session,
            outbox.NewEntry(
                stream=audit.RAW,
                type="alert",
                facts={"created": counts.pop("stored"), **counts, "alert_ids": changed[: outbox.MOST_IDS]},
                request_id=self._request_id,
                actor=ACTOR,
            ),
        )


def external_urls(addresses: Sequence[str]) -> list[str]:
    """How the webhooks of these Alertmanagers name their sender, as far as the addresses tell.

    An Alertmanager without `--web.external-url` names its host, also when it is asked over loopback.
    """
    found = set(addresses)
    for address in addresses:
        parts = urlsplit(address)
        if parts.hostname in _LOOPBACK:
            port = f":{parts.port}" if parts.port else ""
            found.add(parts._replace(netloc=f"{socket.gethostname()}{port}").geturl())
    return sorted(found)


def _is_named_as_ours(told: Told) -> bool:
    return told.labels.get("alertname") == ALERT_NAME


def _fires_again(ours: Known, listed: Listed, newest: datetime | None) -> bool:
    """Whether the list is right when it says that the alert fires, and we say that it does not.

    A member of a cluster may hear of an end a little later than the one whose webhook told it to us. So the
    Alertmanager must have heard of the alert after its end, or have listed it twice since.
    """
    if ours.status != "resolved":
        return ours.status == "stale"
    heard_since = listed.updated_at is not None and ours.ends_at is not None and listed.updated_at > ours.ends_at
    return heard_since or (newest is not None and ours.last_received_at < newest)


def _message(
    identity: Identity, told: Told, extra: Mapping[str, Any] | None = None, group_key: str | None = None
) -> Message:
    if extra is None:
        extra = {"alertmanager": {"receivers": list(told.receivers), "state": told.state}}
    return message(
        fingerprint=identity[0],
        starts_at=identity[1],
        status="firing",
        labels=told.labels,
        annotations=told.annotations,
        # The list gives a time limit here, which is no end.
        ends_at=None,
        generator_url=told.generator_url,
        group_key=group_key,
        extra=extra,
    )
