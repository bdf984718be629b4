"""Stores what senders say of alerts: one row per episode, its history, and the analysis that it asks for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import text
from sqlalchemy.orm import Session

from db.models.analysis import LLM
from db.queries.episodes import Episode, Identity, KnownEpisode, Message, gather, without_start


@dataclass(frozen=True, slots=True)
class Stored:
    """What became of the messages; the three counts add up to their number."""

    created: int = 0
    updated: int = 0
    duplicates: int = 0
    alert_ids: list[int] = field(default_factory=list)  # each once, in the order of the messages
    analysis_ids: list[int] = field(default_factory=list)


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
    before = _insert(session, rows, received_at)
    there = [row for episode, row in zip(episodes, rows, strict=True) if episode.identity not in before]
    if there:
        before |= _update(session, there, received_at)
    # Retention may have taken a row between the two statements; its message is as new as can be, and is let go.
    kept = [(episode, before[episode.identity]) for episode in episodes if episode.identity in before]
    _add_history(session, kept, request_id=request_id, actor=actor)
    asked = [row.alert_id for episode, row in kept if episode.last.status == "firing" and row.status != "firing"]
    created = sum(row.status is None for _, row in kept)
    repeats = sum(episode.repeats(row.status, row.differs) for episode, row in kept)
    return Stored(
        created=created,
        updated=len(messages) - created - repeats,
        duplicates=repeats,
        alert_ids=[row.alert_id for _, row in sorted(kept, key=lambda pair: pair[0].position)],
        analysis_ids=_ask_for_analysis(session, asked, request_id),
    )


_INCOMING = """
    json_to_recordset(CAST(:rows AS json)) AS r (
        fingerprint text, starts_at timestamptz, status text, alert_name text, severity text, description text,
        labels jsonb, annotations jsonb, ends_at timestamptz, generator_url text, group_key text, extra jsonb,
        messages integer
    )
"""

_INSERT = text(
    f"""
    INSERT INTO alerts (
        fingerprint, starts_at, status, alert_name, severity, description, labels, annotations,
        ends_at, generator_url, group_key, extra, times_received, last_received_at
    )
    SELECT
        fingerprint, starts_at, status, alert_name, severity, description, labels, annotations,
        COALESCE(ends_at, CASE status WHEN 'resolved' THEN CAST(:received_at AS timestamptz) END),
        generator_url, group_key, extra, messages, :received_at
    FROM {_INCOMING}
    ORDER BY fingerprint, starts_at
    ON CONFLICT (fingerprint, starts_at) DO NOTHING
    RETURNING id, fingerprint, starts_at
    """  # noqa: S608 (only constants of this module are put together)
)

# The rows are locked in one order, and read in the same step: what another request commits
# while this one waits for its lock is seen, so each change of state is told once.
# A repeat of a firing alert moves its `endsAt` along, which is the sender's time limit and no news.
_UPDATE = text(
    f"""
    WITH before AS MATERIALIZED (
        SELECT alerts.id, alerts.status AS old_status, alerts.ends_at AS old_ends_at, r.*,
            (alerts.status, alerts.labels, alerts.annotations, alerts.generator_url, alerts.extra - 'webhook')
                IS DISTINCT FROM (r.status, r.labels, r.annotations, r.generator_url, r.extra - 'webhook')
            OR (r.status = 'resolved' AND r.ends_at <> alerts.ends_at) AS differs
        FROM {_INCOMING}
        JOIN alerts ON alerts.fingerprint = r.fingerprint AND alerts.starts_at = r.starts_at
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
                CAST(:received_at AS timestamptz)
            )
            ELSE before.ends_at
        END,
        times_received = alerts.times_received + before.messages,
        last_received_at = GREATEST(alerts.last_received_at, CAST(:received_at AS timestamptz))
    FROM before
    WHERE alerts.id = before.id
    RETURNING alerts.id, alerts.fingerprint, alerts.starts_at, before.old_status, before.differs
    """  # noqa: S608 (only constants of this module are put together)
)

# Two requests that both lack a start must not both open an episode. Few locks, since the room for them is
# limited; that two fingerprints share one costs only a moment.
_LOCK_FINGERPRINTS = text(
    """
    SELECT pg_advisory_xact_lock(727401, bucket) FROM (
        SELECT DISTINCT CAST(hashtext(fingerprint) & 63 AS integer) AS bucket
        FROM unnest(CAST(:fingerprints AS text[])) AS given (fingerprint) ORDER BY bucket
    ) AS buckets
    """
)
_NEWEST = text(
    """
    SELECT DISTINCT ON (fingerprint) fingerprint, starts_at, status <> 'resolved' AS open, ends_at
    FROM alerts WHERE fingerprint = ANY(CAST(:fingerprints AS text[]))
    ORDER BY fingerprint, (status <> 'resolved') DESC, starts_at DESC
    """
)
_HISTORY = text(
    """
    INSERT INTO alert_history (alert_id, change, actor, request_id)
    SELECT alert_id, change, :actor, :request_id
    FROM unnest(CAST(:ids AS bigint[]), CAST(:changes AS text[])) AS gained (alert_id, change)
    """
)
_ANALYSES = text(
    f"""
    INSERT INTO ai_analysis_results (alert_id, analysis_type, status, automatic, request_id)
    SELECT alert_id, '{LLM}', 'pending', true, :request_id
    FROM unnest(CAST(:ids AS bigint[])) AS asked (alert_id) ORDER BY alert_id
    ON CONFLICT (alert_id) WHERE analysis_type = '{LLM}' AND automatic DO NOTHING
    RETURNING id
    """  # noqa: S608 (only constants of this module are put together)
)


def _newest_episodes(session: Session, fingerprints: list[str]) -> dict[str, KnownEpisode]:
    if not fingerprints:
        return {}
    session.execute(_LOCK_FINGERPRINTS, {"fingerprints": fingerprints})
    rows = session.execute(_NEWEST, {"fingerprints": fingerprints})
    return {row.fingerprint: KnownEpisode(row.starts_at, row.open, row.ends_at) for row in rows}


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
    }


def _insert(session: Session, rows: list[dict[str, Any]], received_at: datetime) -> dict[Identity, _Before]:
    inserted = session.execute(_INSERT, _parameters(rows, received_at))
    return {(row.fingerprint, row.starts_at): _Before(row.id, None, True) for row in inserted}


def _update(session: Session, rows: list[dict[str, Any]], received_at: datetime) -> dict[Identity, _Before]:
    updated = session.execute(_UPDATE, _parameters(rows, received_at))
    return {(row.fingerprint, row.starts_at): _Before(row.id, row.old_status, bool(row.differs)) for row in updated}


def _parameters(rows: list[dict[str, Any]], received_at: datetime) -> dict[str, object]:
    return {"rows": msgspec.json.encode(rows).decode(), "received_at": received_at}


def _add_history(session: Session, kept: list[tuple[Episode, _Before]], *, request_id: str, actor: str) -> None:
    gained = [(row.alert_id, change) for episode, row in kept for change in episode.changes(row.status)]
    if gained:
        ids, changes = zip(*gained, strict=True)
        session.execute(
            _HISTORY, {"ids": list(ids), "changes": list(changes), "actor": actor, "request_id": request_id}
        )


def _ask_for_analysis(session: Session, alert_ids: list[int], request_id: str) -> list[int]:
    if not alert_ids:
        return []
    return list(session.scalars(_ANALYSES, {"ids": alert_ids, "request_id": request_id}))
