"""What people ask of analyses, and what they say about them."""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.orm import Session

from db.models.analysis import LLM, AnalysisFeedback, AnalysisResult
from db.queries import alert_reads
from sensus.errors import NotFound


def ask(session: Session, alert_id: int, *, by: str, request_id: str) -> AnalysisResult:
    """A fresh analysis of the alert, waiting for a worker.  Raises NotFound.

    While one that somebody asked for still waits untouched, it is the answer: a second could say nothing else.
    """
    alert_reads.get(session, alert_id, for_change=True)  # two that ask at once take turns here
    waiting = session.scalar(
        select(AnalysisResult)
        .where(
            AnalysisResult.alert_id == alert_id,
            AnalysisResult.analysis_type == LLM,
            AnalysisResult.status == "pending",
            AnalysisResult.attempt == 0,
            AnalysisResult.automatic.is_(False),
        )
        .order_by(AnalysisResult.id.desc())
        .limit(1)
    )
    if waiting is not None:
        return waiting
    asked = AnalysisResult(
        alert_id=alert_id,
        analysis_type=LLM,
        status="pending",
        automatic=False,
        analysis_data={},
        requested_by=by,
        request_id=request_id,
    )
    session.add(asked)
    session.flush()
    session.refresh(asked)
    return asked


def judge(
    session: Session, analysis_id: int, *, helpful: bool, root_cause: str | None, note: str | None, by: str
) -> AnalysisFeedback:
    """A person's judgement of an analysis, stored beside earlier ones.  Raises NotFound."""
    # The share lock keeps retention from dropping the analysis between the look and the insert.
    known = session.scalar(
        select(AnalysisResult.id).where(AnalysisResult.id == analysis_id).with_for_update(read=True, key_share=True)
    )
    if known is None:
        raise NotFound(f"there is no analysis {analysis_id}")
    judgement = AnalysisFeedback(analysis_id=analysis_id, helpful=helpful, root_cause=root_cause, note=note, actor=by)
    session.add(judgement)
    session.flush()
    session.refresh(judgement)
    return judgement
