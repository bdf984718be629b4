"""Explain incidents: claim, gather what is recorded, answer from that at once, then ask the model."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace

from sqlalchemy.orm import Session

from db.models.analysis import AnalysisResult
from db.queries import analyses, evidence, incident_evidence, incidents
from db.queries.analyses import AnalysisClaim, Answer
from db.queries.incidents import Entry
from llm.analysis import Analysis
from llm.analyst import Analyst
from llm.breaker import Breakers
from llm.client import Client, Reply
from llm.errors import LLMError, ModelBusy, ModelMissing, ModelRefused, ModelUnreachable
from llm.evidence import Case
from llm.evidence_only import evidence_only
from sensus import logs, metrics, times, tracing
from tasks.app import app
from tasks.base import SensusTask, pause_s
from tasks.evidence import as_answer, case_of
from tasks.incident_evidence import incident_case
from tasks.model_server import model_server
from tasks.telling import ask_to_tell

log = logs.get_logger(__name__)

# What the database's part of an analysis may take on top of the model's deadline.
_MARGIN_S = 30.0
# A model that said nothing useful is not asked the same again at once.
_FIRST_REST_S, _LONGEST_REST_S = 300.0, 21_600.0
_ASKING = "the model is being asked"
# What tells of the server and nothing of the question.
_BLAMELESS = (ModelUnreachable, ModelMissing, ModelBusy, ModelRefused)

_breakers: dict[int, Breakers] = {}


class Asked:
    """The client of one model for one analysis, and what became of it: asked at all, and its last error."""

    def __init__(self, client: Client, *, api: str) -> None:
        self._client = client
        self._called = {
            "gen_ai.operation.name": "chat",
            "gen_ai.provider.name": api,
            "gen_ai.request.model": client.model,
        }
        self.model = client.model
        self.num_ctx = client.num_ctx
        self.was_asked = False
        self.error: LLMError | None = None

    def ask(self, messages: Sequence[Mapping[str, str]], schema: Mapping[str, object], *, deadline_s: float) -> Reply:
        """The model's answer, measured."""
        self.was_asked, self.error = True, None
        began = time.perf_counter()
        outcome = "answered"
        try:
            with tracing.call(f"chat {self.model}", **self._called) as told:
                reply = self._client.ask(messages, schema, deadline_s=deadline_s)
                told |= _usage(reply)
                return reply
        except LLMError as error:
            self.error = error
            outcome = "failed"
            raise
        finally:
            metrics.llm_duration.labels(outcome).observe(time.perf_counter() - began)

    @property
    def is_blameless(self) -> bool:
        """Whether that there is no answer tells nothing of the question."""
        return not self.was_asked or isinstance(self.error, _BLAMELESS)


@app.task(base=SensusTask, bind=True)
def analyse(self: SensusTask, *, analysis_id: int) -> None:
    """Explain the incident of this analysis, or the alert that a person asks about, unless somebody has it."""
    lease_s = self.settings.llm_deadline_s + _MARGIN_S
    with self.transaction() as session:
        claim = analyses.claim(session, analysis_id, lease_s=lease_s, holder=self.holder)
    if claim is None:
        return
    if claim.request_id is not None:
        # The message may be the sweep's; the work is that of the request that made the row.
        logs.bind(request_id=claim.request_id)
    try:
        with tracing.work_for(claim.request_id, "explain", **{"sensus.analysis_id": claim.id}):
            _explain(self, claim)
    except Exception:
        with self.transaction() as session:
            analyses.give_back(session, claim, pause_s=pause_s(claim.failures))
        raise


def _explain(task: SensusTask, claim: AnalysisClaim) -> None:
    case = _case(task, claim)
    if case is None:
        return  # what it is about went with the retention, and the analysis with it
    clients = [Asked(client, api=task.settings.llm_api) for client in model_server(task.settings).clients()]
    analyst = Analyst(*clients, budget_s=task.settings.llm_deadline_s, breakers=_breakers_of_this_process())
    digest = analyst.digest(case)
    with task.transaction() as session:
        if claim.was_pending:
            analyses.keep_provisional(
                session, claim, as_answer(case, evidence_only(case, _ASKING, question_digest=digest))
            )
        earlier = analyses.cached(session, digest) if claim.automatic else None
    known = None if earlier is None else _reused(case, earlier)
    analysis = known or analyst.analyse(case)
    answer = as_answer(case, analysis, cached=known is not None)
    is_no_news = claim.replaces and analysis.outcome == "evidence_only"
    with task.transaction() as session:
        answer = _marked(session, claim, answer)
        if analysis.outcome == "evidence_only":
            blameless = all(client.is_blameless for client in clients)
            kept = analyses.finish_for_now(
                session, claim, answer, pause_s=_rest_s(claim, blameless=blameless), blameless=blameless
            )
        else:
            kept = analyses.finish(session, claim, answer)
        if kept and claim.incident_id is not None and not is_no_news:
            incidents.note(session, [_entry(claim, claim.incident_id, answer)])
            ask_to_tell(session, task.settings, [claim.id])
    if not kept:
        log.info("analysis_came_late", analysis_id=claim.id, attempt=claim.attempt)
        return
    if not is_no_news:
        metrics.analyses.labels(analysis.outcome).inc()
    log.info(
        "analysis_done",
        analysis_id=claim.id,
        outcome=analysis.outcome,
        cached=known is not None,
        reason=analysis.reason,
        seconds=round(analysis.duration_s, 3),
    )


def _case(task: SensusTask, claim: AnalysisClaim) -> Case | None:
    if claim.incident_id is not None:
        return incident_case(task.database, claim.incident_id, task.settings)
    if claim.alert_id is None:
        return None
    with task.transaction() as session:
        incident_id = incident_evidence.incident_of(session, [claim.alert_id]).get(claim.alert_id)
        recorded = None if incident_id else evidence.around(session, [claim.alert_id]).get(claim.alert_id)
    if incident_id is not None:
        return incident_case(task.database, incident_id, task.settings, about=claim.alert_id)
    return None if recorded is None else case_of(recorded, asked_at=times.now())


def _marked(session: Session, claim: AnalysisClaim, answer: Answer) -> Answer:
    """The answer, marked when the incident has changed since it was asked about."""
    if claim.incident_id is None or claim.incident_state is None:
        return answer
    is_late = incidents.state(session, claim.incident_id) != claim.incident_state
    return replace(answer, data={**answer.data, "outdated": is_late})


def _entry(claim: AnalysisClaim, incident_id: int, answer: Answer) -> Entry:
    facts = {"analysis_id": claim.id, "outcome": answer.outcome, "state": claim.incident_state}
    return Entry(incident_id=incident_id, change="analysed", at=times.now(), facts=facts)


def _reused(case: Case, earlier: AnalysisResult) -> Analysis | None:
    """An earlier answer to the same question; None when it rests on evidence that is not here."""
    data = earlier.analysis_data
    cited = tuple(str(name) for name in data.get("cited", ()))
    if any(case.item(name) is None for name in cited):
        return None
    return Analysis(
        outcome="model",
        model_name=earlier.model_name,
        root_cause=str(data.get("root_cause", "")),
        mitigation=str(data.get("mitigation", "")),
        analysis=str(data.get("analysis", "")),
        cited=cited,
        suspect=data.get("suspect"),
        confidence=earlier.confidence_score or 0.0,
        question_digest=str(earlier.question_digest),
        reason=data.get("reason"),
    )


def _usage(reply: Reply) -> dict[str, int | str]:
    counts = {"input_tokens": reply.prompt_tokens, "output_tokens": reply.eval_tokens}
    return {f"gen_ai.usage.{name}": count for name, count in counts.items() if count is not None}


def _rest_s(claim: AnalysisClaim, *, blameless: bool) -> float:
    if blameless:
        return 0.0  # the sweep asks again as soon as the server answers
    return min(_FIRST_REST_S * 2.0 ** (claim.failures - 1), _LONGEST_REST_S)


def _breakers_of_this_process() -> Breakers:
    # A forked child must not inherit a lock that its parent may hold.
    return _breakers.setdefault(os.getpid(), Breakers())
