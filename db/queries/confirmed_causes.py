"""What people say that an incident was in truth."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Literal

from sqlalchemy import select
from sqlalchemy.orm import Session

from db.models.analysis import AnalysisResult
from db.models.incident import Incident, IncidentAlert
from db.queries.incidents import Entry, note
from sensus.errors import NotFound

Rank = Literal["first", "listed", "other", "unranked"]

# An incident that became a part of another one, which did as well: no chain is longer in earnest.
_MOST_STEPS = 20


def confirm(
    session: Session, analysis_id: int, cause: str, *, by: str, at: datetime, request_id: str
) -> tuple[Incident, Rank] | None:
    """Keep the cause on the incident of an analysis, and say how the suspects stood to it.

    None for an analysis that belongs to no incident. What was said before is overwritten and stays in the timeline.
    """
    incident = _incident_of(session, analysis_id)
    if incident is None:
        return None
    if (incident.confirmed_cause, incident.confirmed_by) != (cause, by):
        incident.confirmed_cause, incident.confirmed_by, incident.confirmed_at = cause, by, at
        session.flush()
        facts = {"analysis_id": analysis_id}
        entry = Entry(
            incident_id=incident.id, change="cause_confirmed", at=at, actor=by, note=cause, request_id=request_id,
            facts=facts,
        )  # fmt: skip
        note(session, [entry])
    return incident, rank_of(cause, [str(suspect.get("service", "")) for suspect in incident.suspects])


def rank_of(cause: str, suspects: list[str]) -> Rank:
    """Whether a cause speaks of the first of the suspects, of another one, or of none."""
    if not suspects:
        return "unranked"
    spoken = [bool(name) and _speaks_of(cause, name) for name in suspects]
    return "first" if spoken[0] else "listed" if any(spoken) else "other"


def _speaks_of(cause: str, name: str) -> bool:
    return re.search(rf"(?<![\w-]){re.escape(name)}(?![\w-])", cause, re.IGNORECASE) is not None


def _incident_of(session: Session, analysis_id: int) -> Incident | None:
    told = session.execute(
        select(AnalysisResult.incident_id, IncidentAlert.incident_id)
        .outerjoin(IncidentAlert, IncidentAlert.alert_id == AnalysisResult.alert_id)
        .where(AnalysisResult.id == analysis_id)
    ).one_or_none()
    if told is None:
        raise NotFound(f"there is no analysis {analysis_id}")
    incident_id: int | None = told[0] or told[1]
    for _ in range(_MOST_STEPS):
        if incident_id is None:
            return None
        incident = session.scalar(select(Incident).where(Incident.id == incident_id).with_for_update())
        if incident is None or incident.merged_into is None:
            return incident
        incident_id = incident.merged_into
    return None
