"""What are people told of a finished analysis?  The cause, how sure it is, what to do first, and where to read on."""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from db.models.analysis import AnalysisResult
from db.models.incident import Incident
from db.queries.notifications import NotificationClaim
from llm import severity
from sensus import times

Tone = Literal["info", "warning", "failure"]

_MOST_TITLE, _MOST_CAUSE, _MOST_STEPS, _MOST_SUSPECTS = 150, 1_200, 1_500, 3
_CRITICAL, _WARNING = 5, 3
# On known cases at most one in seven was right below this.
_WEAK = 0.4
_BASIS = {
    "model": "told by the model {model}",
    "evidence_only": "from the evidence alone, without a model",
    "insufficient": "the evidence is insufficient",
}
# Labels and models may write anything, and a chat server would wake everybody at such words.
_MENTION = re.compile(r"@(?=everyone|here|channel|all\b|room\b)|<(?=[!@#])", re.IGNORECASE)
_CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f\x7f\ud800-\udfff]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """One message.  `key` is the same at every try, `fields` is what programs read."""

    key: str
    title: str
    body: str
    tone: Tone
    fields: Mapping[str, Any] = field(default_factory=dict)


def notice_of(
    claimed: NotificationClaim, incident: Incident, analysis: AnalysisResult | None, *, people_url: str
) -> Notice:
    """What is told of one state of an incident."""
    link = f"{people_url}/api/v1/incidents/{incident.id}"
    data = {} if analysis is None else analysis.analysis_data
    confidence = None if analysis is None else analysis.confidence_score
    cause = _words(str(data.get("root_cause") or "No cause is known."), _MOST_CAUSE)
    mark = f"[{_line(incident.severity, 20)}] " if incident.severity else ""
    return Notice(
        key=key_of(claimed),
        title=f"{mark}{_line(incident.title, _MOST_TITLE)}",
        body="\n\n".join(_paragraphs(claimed, incident, analysis, cause, link)),
        tone=_tone(incident.severity),
        fields={
            "incident_id": incident.id,
            "incident_state": claimed.incident_state,
            "incident_status": incident.status,
            "severity": incident.severity,
            "services": list(incident.services),
            "root_cause": cause,
            "suspect": data.get("suspect"),
            "confidence": confidence,
            "outcome": None if analysis is None else analysis.outcome,
            "analysis_id": claimed.analysis_id,
            "url": link,
        },
    )


def key_of(claimed: NotificationClaim) -> str:
    """The same for every try of one notification, and for no other one of any installation."""
    named = f"{times.isoformat(claimed.created_at)}/{claimed.id}/{claimed.incident_id}/{claimed.incident_state}"
    return uuid.uuid5(uuid.NAMESPACE_URL, named).hex


def _paragraphs(
    claimed: NotificationClaim, incident: Incident, analysis: AnalysisResult | None, cause: str, link: str
) -> Iterator[str]:
    yield f"Cause: {cause}\n{_sureness(analysis)}"
    if suspects := _suspects(incident):
        yield f"Suspects: {suspects}"
    if steps := str((analysis.analysis_data.get("mitigation") if analysis else None) or ""):
        yield f"First steps:\n{_words(steps, _MOST_STEPS)}"
    later = "" if incident.state == claimed.incident_state else f"; by now it has changed, to state {incident.state}"
    over = "" if incident.resolved_at is None else f", over since {_moment(incident.resolved_at)}"
    since = _moment(incident.active_since)
    yield f"Incident {incident.id}, state {claimed.incident_state}{later}, since {since}{over}\n{link}"


def _sureness(analysis: AnalysisResult | None) -> str:
    if analysis is None or analysis.confidence_score is None:
        return "Confidence: none, the analysis failed"
    basis = _BASIS.get(str(analysis.outcome), "").format(model=_line(analysis.model_name or "", 60))
    weak = " (weak evidence)" if analysis.confidence_score < _WEAK else ""
    return f"Confidence: {analysis.confidence_score:.0%}{weak}, {basis}"


def _suspects(incident: Incident) -> str:
    shown = [one for one in incident.suspects if one.get("service")][:_MOST_SUSPECTS]
    return ", ".join(f"{_line(str(one['service']), 80)} ({float(one.get('confidence') or 0):.0%})" for one in shown)


def _tone(given: str | None) -> Tone:
    rank = severity.rank(given)
    return "failure" if rank >= _CRITICAL else "warning" if rank >= _WARNING else "info"


def _moment(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M} UTC"


def _line(text: str, most: int) -> str:
    return _words(" ".join(text.split()), most)


def _words(text: str, most: int) -> str:
    """The text without what a chat server takes for a command, and not longer than that."""
    calm = _MENTION.sub(lambda found: f"{found[0]}\u200b", _CONTROL.sub(" ", text.strip()))
    return calm if len(calm) <= most else f"{calm[: most - 1].rstrip()}…"
