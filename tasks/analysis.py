"""Explain alerts: claim, gather what is recorded, answer from that at once, then ask the model."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence

from db.models.analysis import AnalysisResult
from db.queries import analyses, evidence
from db.queries.analyses import AnalysisClaim
from llm.analysis import Analysis
from llm.analyst import Analyst
from llm.breaker import Breaker
from llm.client import OllamaClient, Reply
from llm.errors import LLMError, ModelBusy, ModelMissing, ModelRefused, ModelUnreachable
from llm.evidence import Case
from llm.evidence_only import evidence_only
from sensus import logs, metrics, times, tracing
from sensus.settings import Settings
from tasks.app import app
from tasks.base import SensusTask, pause_s
from tasks.evidence import as_answer, case_of

log = logs.get_logger(__name__)

# What the database's part of an analysis may take on top of the model's deadline.
_MARGIN_S = 30.0
# A model that said nothing useful is not asked the same again at once.
_FIRST_REST_S, _LONGEST_REST_S = 300.0, 21_600.0
_GEN_AI = {"gen_ai.provider.name": "ollama", "gen_ai.operation.name": "chat"}
_ASKING = "the model is being asked"
# What tells of the server and nothing of the question.
_BLAMELESS = (ModelUnreachable, ModelMissing, ModelBusy, ModelRefused)

_breakers: dict[int, Breaker] = {}


class Asked:
    """The model's client for one analysis, and what became of it: asked at all, and its last error."""

    def __init__(self, settings: Settings) -> None:
        self._client = OllamaClient(settings.ollama_url, settings.llm_model, num_ctx=settings.llm_num_ctx)
        self.model = self._client.model
        self.num_ctx = self._client.num_ctx
        self.was_asked = False
        self.error: LLMError | None = None

    def ask(self, messages: Sequence[Mapping[str, str]], schema: Mapping[str, object], *, deadline_s: float) -> Reply:
        """The model's answer, measured."""
        self.was_asked, self.error = True, None
        began = time.perf_counter()
        outcome = "answered"
        try:
            with tracing.call(f"chat {self.model}", **_GEN_AI, **{"gen_ai.request.model": self.model}) as told:
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
    """Explain the alert of this analysis, unless somebody has it or it is done."""
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
    with task.transaction() as session:
        recorded = evidence.around(session, [claim.alert_id]).get(claim.alert_id)
    if recorded is None:
        return  # the alert went with the retention, and its analysis with it
    case = case_of(recorded, asked_at=times.now())
    client = Asked(task.settings)
    analyst = Analyst(client, budget_s=task.settings.llm_deadline_s, breaker=_breaker())
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
    with task.transaction() as session:
        if analysis.outcome == "evidence_only":
            kept = analyses.finish_for_now(
                session, claim, answer, pause_s=_rest_s(claim, client), blameless=client.is_blameless
            )
        else:
            kept = analyses.finish(session, claim, answer)
    if not kept:
        log.info("analysis_came_late", analysis_id=claim.id, attempt=claim.attempt)
        return
    if not (claim.replaces and analysis.outcome == "evidence_only"):
        metrics.analyses.labels(analysis.outcome).inc()
    log.info(
        "analysis_done",
        analysis_id=claim.id,
        outcome=analysis.outcome,
        cached=known is not None,
        reason=analysis.reason,
        seconds=round(analysis.duration_s, 3),
    )


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
        confidence=earlier.confidence_score or 0.0,
        question_digest=str(earlier.question_digest),
        reason=data.get("reason"),
    )


def _usage(reply: Reply) -> dict[str, int | str]:
    counts = {"input_tokens": reply.prompt_tokens, "output_tokens": reply.eval_tokens}
    return {f"gen_ai.usage.{name}": count for name, count in counts.items() if count is not None}


def _rest_s(claim: AnalysisClaim, client: Asked) -> float:
    if client.is_blameless:
        return 0.0  # the sweep asks again as soon as the server answers
    return min(_FIRST_REST_S * 2.0 ** (claim.failures - 1), _LONGEST_REST_S)


def _breaker() -> Breaker:
    # One for each process; a forked child must not inherit a lock that its parent may hold.
    return _breakers.setdefault(os.getpid(), Breaker())
