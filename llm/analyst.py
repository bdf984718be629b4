"""Ask, read, repair once; without a model, say what the evidence alone supports."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Protocol

from llm import confidence
from llm.analysis import Analysis
from llm.breaker import Breaker
from llm.client import Reply
from llm.errors import LLMError, ModelBusy, ModelFailed, ModelTimeout, ModelUnreachable, ReplyUnusable
from llm.evidence import Case
from llm.evidence_only import evidence_only, first_steps, insufficient, listing
from llm.prompt import TEMPLATE_TOKENS, Prompt, build, question_digest
from llm.reply import Answer, read

_RESTS_S = (0.5, 1.5)  # before a busy or broken server is asked again
_LEAST_S = 1.0  # less time than this is not worth a question
_MOST_WHEN_CUT = 0.5
_WITHHELD = "part of the model's answer was withheld: it went beyond the evidence or repeated an order from the alert"
_CUT = "the model may not have read the whole question: its context was full"
_AWAY = "the model server did not answer lately and is left alone for a moment"


class Client(Protocol):
    """What the analyst needs of `llm.client.OllamaClient`."""

    model: str
    num_ctx: int

    def ask(
        self, messages: Sequence[Mapping[str, str]], schema: Mapping[str, object], *, deadline_s: float
    ) -> Reply: ...


class Analyst:
    """Explains alerts with one model, within `budget_s` seconds each, repairs and second tries included."""

    def __init__(
        self,
        client: Client,
        *,
        budget_s: float,
        breaker: Breaker | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._client = client
        self._budget_s = budget_s
        self._breaker = breaker or Breaker(clock=clock)
        self._clock = clock
        self._sleep = sleep

    def digest(self, case: Case) -> str:
        """What `analyse` would put into `question_digest`: equal questions to equal models have equal ones."""
        return question_digest(case, self._client.model, num_ctx=self._client.num_ctx)

    def analyse(self, case: Case) -> Analysis:
        """An explanation in any event: the model's, checked, or what the evidence alone supports with the reason why.

        Raises no LLMError, and takes no longer than the budget but for our own milliseconds.
        """
        started = self._clock()
        digest = self.digest(case)
        try:
            if not self._breaker.may_ask():
                return evidence_only(case, _AWAY, question_digest=digest)
            analysis = self._explained(case, digest, deadline=started + self._budget_s)
        except LLMError as error:
            analysis = evidence_only(case, str(error), question_digest=digest)
        return replace(analysis, duration_s=self._clock() - started)

    def _explained(self, case: Case, digest: str, *, deadline: float) -> Analysis:
        prompt = build(case, num_ctx=self._client.num_ctx)
        reply = self._asked(prompt, deadline)
        tokens, repaired = _tokens(reply), False
        try:
            answer = read(reply.text, prompt.case, done_reason=reply.done_reason)
        except ReplyUnusable as refusal:
            if deadline - self._clock() < _LEAST_S:
                raise
            prompt = build(case, num_ctx=self._client.num_ctx, refused=refusal.why)
            reply = self._asked(prompt, deadline)
            answer = read(reply.text, prompt.case, done_reason=reply.done_reason)
            tokens, repaired = _sum(tokens, _tokens(reply)), True
        analysis = _judged(case, prompt, reply, answer, digest)
        return replace(analysis, tokens=tokens, repaired=repaired)

    def _asked(self, prompt: Prompt, deadline: float) -> Reply:
        """The model's reply; a server that is busy or broke off is asked again while there is time."""
        rests = iter(_RESTS_S)
        while True:
            try:
                reply = self._client.ask(prompt.messages, prompt.schema, deadline_s=max(deadline - self._clock(), 0.0))
            except (ModelBusy, ModelFailed) as error:
                rest_s = next(rests, None)
                if rest_s is None or deadline - self._clock() - rest_s < _LEAST_S:
                    self._breaker.failed()
                    raise error
                self._sleep(rest_s)
            except LLMError as error:
                # A refused connection says at once that nobody is there; one slow answer says little.
                if isinstance(error, ModelUnreachable | ModelTimeout):
                    self._breaker.failed(decisive=isinstance(error, ModelUnreachable))
                else:
                    self._breaker.succeeded()
                raise
            else:
                self._breaker.succeeded()
                return reply


def _judged(case: Case, prompt: Prompt, reply: Reply, answer: Answer, digest: str) -> Analysis:
    """The model's answer with our own confidence, and our own words where nothing of its was left."""
    if answer.is_unknown:
        return insufficient(case, reply.model, question_digest=digest, said=answer.analysis)
    sure = confidence.of_cause(case, answer.service, answer.cited)
    was_cut = _was_cut(prompt, reply)
    return Analysis(
        outcome="model",
        model_name=reply.model,
        root_cause=answer.root_cause,
        mitigation=answer.mitigation or first_steps(case),
        analysis=answer.analysis or listing(case),
        cited=answer.cited,
        suspect=answer.service,
        confidence=min(sure, _MOST_WHEN_CUT) if was_cut else sure,
        question_digest=digest,
        reason=_WITHHELD if answer.withheld else _CUT if was_cut else None,
    )


def _was_cut(prompt: Prompt, reply: Reply) -> bool:
    """Whether the server counted more tokens than our estimate allows, so that its context may have run over.

    A server whose context is full cuts the prompt at its beginning, silently. A count that is too low says nothing:
    what a server finds in its cache it may leave out of the count.
    """
    return reply.prompt_tokens is not None and reply.prompt_tokens > prompt.tokens + TEMPLATE_TOKENS


def _tokens(reply: Reply) -> int | None:
    return _sum(reply.prompt_tokens, reply.eval_tokens)


def _sum(one: int | None, other: int | None) -> int | None:
    return None if one is None and other is None else (one or 0) + (other or 0)
