"""What do an Alertmanager's list and our alerts say of each other?  Decision 0011 has the reasons."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Row, text
from sqlalchemy.orm import Session

from db.queries.episodes import Identity

# How long a restarted Alertmanager may wait for an alert that its webhook told before, and that it never listed.
PATIENCE = timedelta(minutes=15)
_KEPT = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Known:
    """An alert of ours that is listed."""

    alert_id: int
    starts_at: datetime  # as it was told first
    status: str
    ends_at: datetime | None
    last_received_at: datetime


@dataclass(frozen=True, slots=True)
class Brought:
    """What the webhook said around an alert, and no list says."""

    group_key: str | None
    extra: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Previous:
    """When the members of a cluster answered last."""

    oldest: datetime | None  # since when each of them has answered; None: one never did
    newest: datetime | None
    failing: frozenset[str]  # addresses of those that did not answer the last time


@dataclass(frozen=True, slots=True)
class Window:
    """Between which moments must an alert have been silent to be over?  All by our clock."""

    asked_at: datetime  # just before the list was asked for
    previous: datetime  # when it was asked for the time before
    up_since: datetime  # start of the Alertmanager


_FAILED = text(
    """
    INSERT INTO alertmanager_readings AS r (address, failing_since) VALUES (:address, :at)
    ON CONFLICT (address) DO UPDATE SET failing_since = COALESCE(r.failing_since, :at)
    RETURNING failing_since = :at
    """
)
_LOCK = text(
    """
    INSERT INTO alertmanager_readings (address)
    SELECT address FROM unnest(CAST(:addresses AS text[])) AS given (address) ORDER BY address
    ON CONFLICT (address) DO NOTHING
    """
)
_PREVIOUS = text(
    """
    SELECT address, asked_at, failing_since FROM alertmanager_readings
    WHERE address = ANY(CAST(:addresses AS text[])) ORDER BY address FOR UPDATE
    """
)
_SUCCEEDED = text(
    """
    UPDATE alertmanager_readings SET asked_at = :at, failing_since = NULL
    WHERE address = ANY(CAST(:addresses AS text[]))
    """
)
# The list tells a start to the millisecond; who sent it to us otherwise may have told more of it.
_KNOWN = text(
    """
    SELECT DISTINCT ON (r.fingerprint, r.starts_at)
        r.fingerprint, r.starts_at AS listed_start, a.id, a.starts_at, a.status, a.ends_at, a.last_received_at
    FROM unnest(CAST(:fingerprints AS text[]), CAST(:starts AS timestamptz[])) AS r (fingerprint, starts_at)
    JOIN alerts a ON a.fingerprint = r.fingerprint
        AND a.starts_at >= r.starts_at AND a.starts_at < r.starts_at + interval '1 millisecond'
    ORDER BY r.fingerprint, r.starts_at, a.status = 'firing' DESC, a.id
    """
)
_LOCK_ALERTS = text(
    """
    SELECT id, group_key, extra FROM alerts
    WHERE id = ANY(CAST(:ids AS bigint[])) AND status <> 'firing' AND last_received_at < :asked_at
    ORDER BY fingerprint, starts_at FOR UPDATE SKIP LOCKED
    """
)
_NOTE = text(
    """
    INSERT INTO alert_listings AS l (alert_id, source, listed_at, listed_until)
    SELECT a.id, :source, :asked_at, r.until
    FROM unnest(CAST(:ids AS bigint[]), CAST(:untils AS timestamptz[])) AS r (id, until) JOIN alerts a USING (id)
    ORDER BY a.id
    ON CONFLICT (alert_id) DO UPDATE
    SET source = EXCLUDED.source, listed_at = EXCLUDED.listed_at, listed_until = EXCLUDED.listed_until
    """
)
# Ours to end are alerts that this Alertmanager listed, or that its webhook brought; not those that a bare list
# told of since. Whoever is being told of at this moment is passed over: the next reading sees what came.
_END = text(
    """
    WITH gone AS MATERIALIZED (
        SELECT a.id, LEAST(l.listed_until, :asked_at) AS over_at
        FROM alerts a
        LEFT JOIN alert_listings l ON l.alert_id = a.id AND l.source = :source
        CROSS JOIN LATERAL (
            SELECT COALESCE(rtrim(a.extra -> 'webhook' ->> 'externalURL', '/') = ANY(CAST(:urls AS text[])), false)
        ) webhook (is_its)
        WHERE a.status IN ('firing', 'stale')
          AND GREATEST(a.last_received_at, l.listed_at) < :previous
          AND (is_its OR l.listed_at >= a.last_received_at OR (l.alert_id IS NOT NULL AND a.extra ? 'webhook'))
          AND (
            l.listed_at >= :up_since OR (is_its AND a.last_received_at >= :up_since)
            OR COALESCE(l.listed_until, :up_since + :patience) < :asked_at
          )
        ORDER BY a.fingerprint, a.starts_at
        FOR UPDATE OF a SKIP LOCKED
    ), ended AS (
        UPDATE alerts SET status = 'resolved', ends_at = GREATEST(starts_at, gone.over_at)
        FROM gone WHERE alerts.id = gone.id RETURNING alerts.id
    )
    INSERT INTO alert_history (alert_id, change, actor, note, request_id)
    SELECT id, 'resolved', :actor, :note, :request_id FROM ended ORDER BY id
    RETURNING alert_id
    """
)
_FORGET = text(
    """
    DELETE FROM alert_listings l USING alerts a
    WHERE a.id = l.alert_id AND a.status = 'resolved' AND l.listed_at < :asked_at - :kept
    """
)


def note_failure(session: Session, address: str, at: datetime) -> bool:
    """Remember that it did not answer; whether it did the time before."""
    return bool(session.scalar(_FAILED, {"address": address, "at": at}))


def previous_readings(session: Session, addresses: Sequence[str]) -> Previous:
    """When these answered before; other comparisons with them wait until the transaction ends."""
    given = {"addresses": sorted(addresses)}
    session.execute(_LOCK, given)
    rows = session.execute(_PREVIOUS, given).all()
    asked = [row.asked_at for row in rows if row.asked_at is not None]
    return Previous(
        oldest=min(asked) if len(asked) == len(rows) else None,
        newest=max(asked, default=None),
        failing=frozenset(row.address for row in rows if row.failing_since is not None),
    )


def note_success(session: Session, addresses: Sequence[str], at: datetime) -> None:
    """Remember that these answered."""
    session.execute(_SUCCEEDED, {"addresses": list(addresses), "at": at})


def known(session: Session, listed: Sequence[Identity]) -> dict[Identity, Known]:
    """Those of the listed alerts that are ours already; starts are to the millisecond."""
    rows = session.execute(
        _KNOWN, {"fingerprints": [name for name, _ in listed], "starts": [start for _, start in listed]}
    )
    return {(row.fingerprint, row.listed_start): _known(row) for row in rows}


def lock_not_firing(session: Session, alert_ids: Sequence[int], *, asked_at: datetime) -> dict[int, Brought]:
    """Those that do not fire and of which nothing was heard since; locked, so that it stays so."""
    if not alert_ids:
        return {}
    rows = session.execute(_LOCK_ALERTS, {"ids": list(alert_ids), "asked_at": asked_at})
    return {row.id: Brought(row.group_key, row.extra) for row in rows}


def note_listed(session: Session, until: Mapping[int, datetime | None], *, source: str, asked_at: datetime) -> None:
    """Remember that these alerts are listed, each until then unless the Alertmanager hears of it again."""
    if until:
        session.execute(
            _NOTE, {"ids": list(until), "untils": list(until.values()), "source": source, "asked_at": asked_at}
        )


def end_missing(
    session: Session, window: Window, *, source: str, external_urls: Sequence[str], actor: str, request_id: str
) -> list[int]:
    """Resolve each alert for which this Alertmanager speaks, and which it does not list any more; their ids."""
    ended = session.scalars(
        _END,
        {
            "source": source,
            "urls": list(external_urls),
            "asked_at": window.asked_at,
            "previous": window.previous,
            "up_since": window.up_since,
            "patience": PATIENCE,
            "actor": actor,
            "note": "the Alertmanager does not list it any more",
            "request_id": request_id,
        },
    )
    return list(ended)


def forget_resolved(session: Session, *, asked_at: datetime) -> None:
    """Forget the listings of what is over for a day, so that they stay few."""
    session.execute(_FORGET, {"asked_at": asked_at, "kept": _KEPT})


def _known(row: Row[Any]) -> Known:
    return Known(row.id, row.starts_at, row.status, row.ends_at, row.last_received_at)
