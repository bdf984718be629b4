"""Stores what senders say of alerts: one row per episode, and its history, by which the workers find their work."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from db import direct
from db.direct import Within
from db.queries import outbox
from db.queries.episodes import Episode, Identity, KnownEpisode, Message, gather, without_start


@dataclass(frozen=True, slots=True)
class Stored:
    """What became of the messages; the three counts add up to their number."""

    created: int = 0
    updated: int = 0
    duplicates: int = 0
    alert_ids: list[int] = field(default_factory=list)  # each once, in the order of the messages

    @property
    def accepted(self) -> int:
        """The number of the messages."""
        return self.created + self.updated + self.duplicates


@dataclass(frozen=True, slots=True)
class _Before:
    """The row as it was."""

    alert_id: int
    status: str | None  # None: there was none
    differs: bool


def store(
    session: Session, messages: Sequence[Message], *, received_at: datetime, request_id: str, actor: str
) -> Stored:
    """Store the messages; of each episode the last one wins, and each change of state is in the history."""
    if not messages:
        return Stored()
    episodes = gather(messages, _newest_episodes(session, without_start(messages)), received_at)
    rows = [_row(episode) for episode in episodes]
    common = {"received_at": received_at, "request_id": request_id, "actor": actor}
    new = _insert(session, rows, common)
    there = [row for episode, row in zip(episodes, rows, strict=True) if episode.identity not in new]
    old: dict[Identity, _Before] = {}
    if there:
        old = _update(session, there, common)
        # Retention may have taken a row between the two statements; its message is as new as can be, and is let go.
        known = [(episode, old[episode.identity]) for episode in episodes if episode.identity in old]
        _add_history(session, known, common)
    kept = [(episode, row) for episode in episodes if (row := (new | old).get(episode.identity))]
    repeats = sum(episode.repeats(row.status, row.differs) for episode, row in kept)
    return Stored(
        created=len(new),
        updated=len(messages) - len(new) - repeats,
        duplicates=repeats,
        alert_ids=[row.alert_id for _, row in sorted(kept, key=lambda pair: pair[0].position)],
    )


def store_new(
    within: Within, messages: Sequence[Message], entry: outbox.NewEntry, *, received_at: datetime
) -> Stored | None:
    """Store messages of which each is believed to open an episode, with their audit entry, in one statement.

    To the facts of the entry come the ids. None, and nothing is stored, when an episode was there already.
    """
    episodes = gather(messages, {}, received_at)
    given = {"rows": _as_json([_row(episode) for episode in episodes]), "received_at": received_at, **entry.columns()}
    try:
        inserted = direct.execute(within, _INSERT_ALL, given).fetchall()
    except IntegrityError as error:
        if getattr(error.orig, "sqlstate", None) != direct.DUPLICATE:
            raise
        return None
    positions = {episode.identity: episode.position for episode in episodes}
    inserted.sort(key=lambda row: positions[row[1], row[2]])
    return Stored(created=len(inserted), alert_ids=[id_ for id_, *_ in inserted])


_INCOMING = """
    json_to_recordset(%(rows)s::json) AS r (
        fingerprint text, starts_at timestamptz, status text, alert_name text, severity text, description text,
        labels jsonb, annotations jsonb, ends_at timestamptz, generator_url text, group_key text, extra jsonb,
        messages integer, changes text[]
    )
"""

# The history of a new row comes with it.
_INSERT_ROWS = f"""
    WITH incoming AS MATERIALIZED (SELECT * FROM {_INCOMING}), inserted AS (
        INSERT INTO alerts (
            fingerprint, starts_at, status, alert_name, severity, description, labels, annotations,
            ends_at, generator_url, group_key, extra, times_received, last_received_at
        )
        SELECT
            fingerprint, starts_at, status, alert_name, severity, description, labels, annotations,
            COALESCE(ends_at, CASE status WHEN 'resolved' THEN %(received_at)s::timestamptz END),
            generator_url, group_key, extra, messages, %(received_at)s
        FROM incoming
        ORDER BY fingerprint, starts_at
        {{on_conflict}}
        RETURNING id, fingerprint, starts_at
    ), history AS (
        INSERT INTO alert_history (alert_id, change, actor, request_id)
        SELECT id, change, %(actor)s, %(request_id)s
        FROM inserted JOIN incoming USING (fingerprint, starts_at),
            unnest(changes) WITH ORDINALITY AS told (change, place)
        ORDER BY id, place
    ){{also}}
    SELECT id, fingerprint, starts_at FROM inserted ORDER BY id
    """  # noqa: S608 (only constants of this module are put together)
_INSERT = _INSERT_ROWS.format(on_conflict="ON CONFLICT (fingerprint, starts_at) DO NOTHING", also="")
_INSERT_ALL = _INSERT_ROWS.format(
    on_conflict="",
    also=f""", entry AS (
        INSERT INTO audit_outbox (stream, type, facts, request_id, actor)
        SELECT %(stream)s, %(type)s, %(facts)s::jsonb || jsonb_build_object('alert_ids', to_jsonb(ARRAY(
            SELECT id FROM inserted ORDER BY id LIMIT {outbox.MOST_IDS}
        ))), %(request_id)s, %(actor)s
    )""",  # noqa: S608 (only constants of this module are put together)
)

# The rows are locked in one order, and read in the same step: what another request commits
# while this one waits for its lock is seen, so each change of state is told once.
# A repeat of a firing alert moves its `endsAt` along, which is the sender's time limit and no news.
# The start is compared in a way that no index serves: the one on starts alone looks as good to the planner, and
# in a storm, whose alerts have one start, it brought all of them for each.
_UPDATE = f"""
    WITH before AS MATERIALIZED (
        SELECT alerts.id, alerts.status AS old_status, alerts.ends_at AS old_ends_at, r.*,
            (alerts.status, alerts.labels, alerts.annotations, alerts.generator_url, alerts.extra - 'webhook')
                IS DISTINCT FROM (r.status, r.labels, r.annotations, r.generator_url, r.extra - 'webhook')
            OR (r.status = 'resolved' AND r.ends_at <> alerts.ends_at) AS differs
        FROM {_INCOMING}
        JOIN alerts ON alerts.fingerprint = r.fingerprint AND alerts.starts_at IS NOT DISTINCT FROM r.starts_at
        ORDER BY alerts.fingerprint, alerts.starts_at
        FOR UPDATE OF alerts
    )
    UPDATE alerts SET
        status = before.status,
        alert_name = before.alert_name,
        severity = before.severity,
        description = before.description,
        labels = before.labels,
        annotations = before.annotations,
        generator_url = before.generator_url,
        group_key = before.group_key,
        extra = before.extra,
        ends_at = CASE before.status
            WHEN 'resolved' THEN COALESCE(
                before.ends_at,
                CASE before.old_status WHEN 'resolved' THEN before.old_ends_at END,
                %(received_at)s::timestamptz
            )
            ELSE before.ends_at
        END,
        times_received = alerts.times_received + before.messages,
        last_received_at = GREATEST(alerts.last_received_at, %(received_at)s::timestamptz)
    FROM before
    WHERE alerts.id = before.id
    RETURNING alerts.id, alerts.fingerprint, alerts.starts_at, before.old_status, before.differs
    """  # noqa: S608 (only constants of this module are put together)

# Two requests that both lack a start must not both open an episode. Few locks, since the room for them is
# limited; that two fingerprints share one costs only a moment.
_LOCK_FINGERPRINTS = """
    SELECT pg_advisory_xact_lock(727401, bucket) FROM (
        SELECT DISTINCT CAST(hashtext(fingerprint) & 63 AS integer) AS bucket
        FROM unnest(%(fingerprints)s::text[]) AS given (fingerprint) ORDER BY bucket
    ) AS buckets
    """
_NEWEST = """
    SELECT DISTINCT ON (fingerprint) fingerprint, starts_at, status <> 'resolved' AS open, ends_at
    FROM alerts WHERE fingerprint = ANY(%(fingerprints)s::text[])
    ORDER BY fingerprint, (status <> 'resolved') DESC, starts_at DESC
    """
_HISTORY = """
    INSERT INTO alert_history (alert_id, change, actor, request_id)
    SELECT alert_id, change, %(actor)s, %(request_id)s
    FROM unnest(%(ids)s::bigint[], %(changes)s::text[]) AS gained (alert_id, change)
    """


def _newest_episodes(session: Session, fingerprints: list[str]) -> dict[str, KnownEpisode]:
    if not fingerprints:
        return {}
    direct.execute(session, _LOCK_FINGERPRINTS, {"fingerprints": fingerprints})
    rows = direct.execute(session, _NEWEST, {"fingerprints": fingerprints})
    return {fingerprint: KnownEpisode(starts_at, is_open, ends_at) for fingerprint, starts_at, is_open, ends_at in rows}


def _row(episode: Episode) -> dict[str, Any]:
    last = episode.last
    return {
        "fingerprint": episode.fingerprint,
        "starts_at": episode.starts_at,
        "status": last.status,
        "alert_name": last.alert_name,
        "severity": last.severity,
        "description": last.description,
        "labels": last.labels,
        "annotations": last.annotations,
        "ends_at": last.ends_at,
        "generator_url": last.generator_url,
        "group_key": last.group_key,
        "extra": last.extra,
        "messages": len(episode.messages),
        "changes": episode.changes(None),
    }


def _insert(session: Session, rows: list[dict[str, Any]], common: Mapping[str, Any]) -> dict[Identity, _Before]:
    """The rows that were not there yet."""
    inserted = direct.execute(session, _INSERT, {"rows": _as_json(rows), **common})
    return {(fingerprint, starts_at): _Before(id_, None, True) for id_, fingerprint, starts_at in inserted}


def _update(session: Session, rows: list[dict[str, Any]], common: Mapping[str, Any]) -> dict[Identity, _Before]:
    updated = direct.execute(session, _UPDATE, {"rows": _as_json(rows), **common})
    return {
        (fingerprint, starts_at): _Before(id_, old_status, bool(differs))
        for id_, fingerprint, starts_at, old_status, differs in updated
    }


def _as_json(rows: list[dict[str, Any]]) -> str:
    return msgspec.json.encode(rows).decode()


def _add_history(session: Session, kept: list[tuple[Episode, _Before]], common: Mapping[str, Any]) -> None:
    gained = [(row.alert_id, change) for episode, row in kept for change in episode.changes(row.status)]
    if gained:
        ids, changes = zip(*gained, strict=True)
        direct.execute(session, _HISTORY, {"ids": list(ids), "changes": list(changes), **common})
