"""Changes incidents: opened, joined, merged, reopened, resolved, acknowledged; each with its entry in the timeline."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import msgspec
from sqlalchemy import Text, case, cast, func, insert, select, text, update
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Session

from db.models.analysis import ANOMALY, LLM
from db.models.incident import Incident, IncidentHistory
from sensus.errors import NotFound

# An incident without an alert is over when no anomaly joined it for so long.
ANOMALIES_QUIET = timedelta(minutes=30)


@dataclass(frozen=True, slots=True, kw_only=True)
class PictureRow:
    """What an incident's row says of its members together."""

    title: str
    summary: str
    severity: str | None
    opened_at: datetime
    last_activity_at: datetime
    lead_alert_id: int | None
    labels: Mapping[str, str]
    services: Sequence[str]
    alert_names: Sequence[str]
    lexemes: Sequence[str]  # the words that it is found by later


@dataclass(frozen=True, slots=True)
class NewMember:
    """An alert or an anomaly that joins an incident."""

    id: int
    incident_id: int
    reason: str
    strength: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One line of a timeline."""

    incident_id: int
    change: str
    at: datetime
    actor: str | None = None
    note: str | None = None
    request_id: str | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)


_MEMBERS = """
    INSERT INTO {table} ({key}, incident_id, reason, strength)
    SELECT r.id, r.incident_id, r.reason, r.strength FROM json_to_recordset(:rows)
        AS r (id bigint, incident_id bigint, reason text, strength double precision)
    ON CONFLICT ({key}) DO NOTHING
    """
_JOIN_ALERTS = text(_MEMBERS.format(table="incident_alerts", key="alert_id"))
_JOIN_ANOMALIES = text(_MEMBERS.format(table="incident_anomalies", key="result_id"))
# Of an incident with alerts only these count: an anomaly has no end of its own.
_RESOLVE = text(
    f"""
    WITH over AS (
        SELECT i.id, coalesce(
            (SELECT max(coalesce(a.ends_at, a.last_received_at))
             FROM incident_alerts m JOIN alerts a ON a.id = m.alert_id WHERE m.incident_id = i.id),
            i.last_activity_at
        ) AS ended_at
        FROM incidents i
        WHERE i.status <> 'resolved'
          AND NOT EXISTS (
            SELECT FROM incident_alerts m JOIN alerts a ON a.id = m.alert_id
            WHERE m.incident_id = i.id AND a.status = 'firing')
          AND (
            EXISTS (SELECT FROM incident_alerts m WHERE m.incident_id = i.id)
            OR NOT EXISTS (
                SELECT FROM incident_anomalies m JOIN ai_analysis_results r ON r.id = m.result_id
                WHERE m.incident_id = i.id AND r.analysis_type = '{ANOMALY}'
                  AND greatest(r.sample_at, m.joined_at) > now() - :quiet))
        ORDER BY i.id LIMIT :limit FOR UPDATE OF i SKIP LOCKED
    )
    UPDATE incidents SET status = 'resolved', resolved_at = least(now(), over.ended_at),
        last_activity_at = greatest(incidents.last_activity_at, least(now(), over.ended_at))
    FROM over WHERE incidents.id = over.id
    RETURNING incidents.id, incidents.resolved_at
    """  # noqa: S608 (only constants are put together)
)
# A change before the present state was analysed belongs to that state.
_GROW = text(
    """
    UPDATE incidents SET
        state = state + CASE WHEN analysed_state >= state THEN 1 ELSE 0 END,
        state_since = CASE WHEN analysed_state >= state THEN clock_timestamp() ELSE state_since END,
        changed_at = clock_timestamp()
    WHERE id = ANY(:ids) RETURNING id, state
    """
)
# The more states an incident has had, the longer the next one may take to settle: a storm that goes on for an hour
# asks the model a few times, not each minute.  The power alone would leave the range of numbers after a thousand.
_SETTLED = text(
    """
    SELECT id, state FROM incidents
    WHERE analysed_state < state AND merged_into IS NULL AND (
        changed_at <= clock_timestamp() - :settle * least(power(2, least(state - 1, 30)), :most_times)
        OR state_since <= clock_timestamp() - 3 * :settle * least(power(2, least(state - 1, 30)), :most_times))
    ORDER BY id LIMIT :limit FOR UPDATE SKIP LOCKED
    """
)
_ASK = text(
    f"""
    WITH settled AS (
        SELECT r.id, r.state FROM json_to_recordset(:rows) AS r (id bigint, state integer)
    ), marked AS (
        UPDATE incidents SET analysed_state = settled.state FROM settled WHERE incidents.id = settled.id
    )
    INSERT INTO ai_analysis_results (incident_id, incident_state, analysis_type, status, automatic, request_id)
    SELECT id, state, '{LLM}', 'pending', true, (
        SELECT h.request_id FROM incident_alerts m JOIN alert_history h ON h.alert_id = m.alert_id
        WHERE m.incident_id = settled.id AND h.change = 'firing' ORDER BY h.id DESC LIMIT 1
    ) FROM settled ORDER BY id
    ON CONFLICT DO NOTHING RETURNING id
    """  # noqa: S608 (only constants are put together)
)
# An alert that is heard of late may have begun before the one that opened its incident again.
_BEGAN_EARLIER = text(
    """
    UPDATE incidents SET active_since = earliest.at FROM (
        SELECT m.incident_id, min(a.starts_at) AS at FROM incident_alerts m JOIN alerts a ON a.id = m.alert_id
        WHERE m.alert_id = ANY(:ids) AND a.status = 'firing' GROUP BY m.incident_id
    ) earliest
    WHERE incidents.id = earliest.incident_id AND incidents.status <> 'resolved' AND earliest.at < active_since
    """
)
_MERGE = (
    text(
        """
        UPDATE incidents SET active_since = least(incidents.active_since, gone.active_since) FROM incidents gone
        WHERE incidents.id = :into AND gone.id = :gone AND incidents.status <> 'resolved' AND gone.status <> 'resolved'
        """
    ),
    text("UPDATE incident_alerts SET incident_id = :into WHERE incident_id = :gone"),
    text("UPDATE incident_anomalies SET incident_id = :into WHERE incident_id = :gone"),
    text(
        """
        UPDATE incidents SET merged_into = :into, status = 'resolved', resolved_at = coalesce(resolved_at, now()),
            analysed_state = state
        WHERE id = :gone
        """
    ),
)


def create(session: Session, picture: PictureRow, *, fires: bool) -> int:
    """A new incident; one of which nothing fires is over already, and nobody asks why."""
    made: int = session.scalars(
        insert(Incident)
        .values(
            **_columns(picture),
            active_since=picture.opened_at,
            status="open" if fires else "resolved",
            resolved_at=None if fires else picture.last_activity_at,
            analysed_state=0 if fires else 1,
        )
        .returning(Incident.id)
    ).one()
    return made


def show(session: Session, incident_id: int, picture: PictureRow) -> None:
    """The incident as its members make it now."""
    active_since = case((Incident.reopened == 0, picture.opened_at), else_=Incident.active_since)
    session.execute(
        update(Incident).where(Incident.id == incident_id).values(**_columns(picture), active_since=active_since)
    )


def grow(session: Session, ids: Sequence[int]) -> dict[int, int]:
    """These incidents have changed so that they are to be analysed anew; their states."""
    return {row.id: row.state for row in session.execute(_GROW, {"ids": sorted(ids)})}


def join(session: Session, alerts: Sequence[NewMember], anomalies: Sequence[NewMember] = ()) -> None:
    """Put these into their incidents; what is in one already stays there."""
    for statement, members in ((_JOIN_ALERTS, alerts), (_JOIN_ANOMALIES, anomalies)):
        if members:
            session.execute(statement, {"rows": msgspec.json.encode(members).decode()})
    if alerts:
        session.execute(_BEGAN_EARLIER, {"ids": [member.id for member in alerts]})


def merge(session: Session, gone: int, into: int) -> None:
    """All members of the one incident are members of the other; what is left of it says where they went."""
    for statement in _MERGE:
        session.execute(statement, {"gone": gone, "into": into})


def reopen(session: Session, since: Mapping[int, datetime]) -> list[int]:
    """What is resolved of these is open again, by an outbreak that began `since`; which of them that were."""
    return list(
        session.scalars(
            update(Incident)
            .where(Incident.id.in_(since), Incident.status == "resolved", Incident.merged_into.is_(None))
            .values(
                status="open",
                resolved_at=None,
                reopened=Incident.reopened + 1,
                active_since=case(since, value=Incident.id),
            )
            .returning(Incident.id)
        )
    )


def resolve_over(session: Session, *, limit: int, request_id: str) -> list[int]:
    """Resolve the incidents of which nothing fires any more; their ids."""
    over = [(row.id, row.resolved_at) for row in session.execute(_RESOLVE, {"quiet": ANOMALIES_QUIET, "limit": limit})]
    note(session, [Entry(incident_id=id_, change="resolved", at=at, request_id=request_id) for id_, at in over])
    return [id_ for id_, _ in over]


def ask_for_analyses(session: Session, *, settle: timedelta, most_times: int, limit: int) -> list[int]:
    """Ask for the analysis of each state that has settled; the ids of the analyses that wait from now on.

    Each has the id of the request that told of the newest alert of its incident.
    """
    given = {"settle": settle, "most_times": most_times, "limit": limit}
    settled = [{"id": row.id, "state": row.state} for row in session.execute(_SETTLED, given)]
    if not settled:
        return []
    rows = msgspec.json.encode(settled).decode()
    return list(session.scalars(_ASK, {"rows": rows}))


def note(session: Session, entries: Iterable[Entry]) -> None:
    """Add to the timelines."""
    rows = [
        {
            "incident_id": entry.incident_id,
            "change": entry.change,
            "at": entry.at,
            "actor": entry.actor,
            "note": entry.note,
            "request_id": entry.request_id,
            "facts": dict(entry.facts),
        }
        for entry in entries
    ]
    if rows:
        session.execute(insert(IncidentHistory), rows)


def lock(session: Session, incident_id: int) -> Incident:
    """The incident, to be changed.  Raises NotFound."""
    incident = session.scalar(select(Incident).where(Incident.id == incident_id).with_for_update())
    if incident is None:
        raise NotFound(f"there is no incident {incident_id}")
    return incident


def keep_suspects(session: Session, incident_id: int, ranked_state: int, suspects: Sequence[Mapping[str, Any]]) -> None:
    """Show who is suspect in this state; a later state's suspects stay."""
    session.execute(
        update(Incident)
        .where(Incident.id == incident_id, Incident.suspects_state <= ranked_state)
        .values(suspects=[dict(suspect) for suspect in suspects], suspects_state=ranked_state)
    )


def state(session: Session, incident_id: int) -> int | None:
    """Its present state; None when it is gone."""
    return session.scalar(select(Incident.state).where(Incident.id == incident_id))


def acknowledge(
    session: Session, incident_id: int, *, by: str, note_: str | None, at: datetime, request_id: str
) -> bool:
    """Acknowledge the incident; whether that changed anything.

    The same person saying the same again changes nothing, so a request may be repeated. Raises NotFound, or Conflict
    for a resolved incident.
    """
    incident = lock(session, incident_id)
    said = (incident.status, incident.acknowledged_by)
    if said == ("acknowledged", by) and note_ in (None, incident.acknowledgement_note):
        return False
    incident.acknowledge(by, note_, at)
    session.flush()
    note(
        session,
        [Entry(incident_id=incident_id, change="acknowledged", at=at, actor=by, note=note_, request_id=request_id)],
    )
    return True


def _columns(picture: PictureRow) -> dict[str, Any]:
    return {
        "title": picture.title,
        "summary": picture.summary,
        "severity": picture.severity,
        "opened_at": picture.opened_at,
        "last_activity_at": picture.last_activity_at,
        "lead_alert_id": picture.lead_alert_id,
        "labels": dict(picture.labels),
        "services": list(picture.services),
        "alert_names": list(picture.alert_names),
        "embedded_by": None,  # its vector was one of other words
        "search": func.array_to_tsvector(cast(list(picture.lexemes), ARRAY(Text))),
    }
