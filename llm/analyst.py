"""Ask, read, repair once, ask the next model; without any, say what the evidence alone supports."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace

from llm import confidence
from llm.analysis import Analysis
from llm.breaker import Breakers
from llm.client import Client, Reply
from llm.errors import LLMError, ModelBusy, ModelFailed, ModelTimeout, ModelUnreachable, ReplyUnusable
from llm.evidence import Case
from llm.evidence_only import evidence_only, first_steps, insufficient, listing
from llm.prompt import TEMPLATE_TOKENS, Prompt, build, question_digest
from llm.reply import Answer, read

_RESTS_S = (0.5, 1.5)  # before a busy or broken server is asked again
_LEAST_S = 1.0  # less time than this is not worth a question
_SHARE = 0.6  # of the time that is left, for a model that another one can stand in for
_MOST_WHEN_CUT = 0.5
_WITHHELD = "part of the model's answer was withheld: it went beyond the evidence or repeated an order from the alert"
_CUT = "the model may not have read the whole question: its context was full"
_AWAY = "the model server did not answer lately and is left alone for a moment"


class Analyst:
    """Explains alerts with the first of its models that gives a usable answer, within `budget_s` seconds each.

    Repairs, second tries and models that were asked in vain are included. A model that another one can stand in for
    gets a part of the time only.
    """

    def __init__(
        self,
        *clients: Client,
        budget_s: float,
        breakers: Breakers | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._clients = clients
        self._budget_s = budget_s
        self._breakers = breakers or Breakers(clock=clock)
        self._clock = clock
        self._sleep = sleep

    def digest(self, case: Case) -> str:
        """What `analyse` would put into `question_digest`: equal questions to equal models have equal ones."""
        models = ",".join(client.model for client in self._clients)
        return question_digest(case, models, num_ctx=min(client.num_ctx for client in self._clients))

    def analyse(self, case: Case) -> Analysis:
        """An explanation in any event: a model's, checked, or what the evidence alone supports with the reason why.

        Raises no LLMError, and takes no longer than the budget but for our own milliseconds.
        """
        started = self._clock()
        digest = self.digest(case)
        analysis = self._by_a_model(case, digest, deadline=started + self._budget_s)
        return replace(analysis, duration_s=self._clock() - started)

    def _by_a_model(self, case: Case, digest: str, *, deadline: float) -> Analysis:
        said: list[str] = []
        for place, client in enumerate(self._clients):
            left = deadline - self._clock()
            if (said and left < _LEAST_S) or not self._may_ask(client.model):
                continue
            share = _SHARE if place < len(self._clients) - 1 else 1.0
            try:
                return self._explained(client, case, digest, deadline=self._clock() + share * left)
            except LLMError as error:
                said.append(str(error))
                if isinstance(error, ModelUnreachable):
                    break
        return evidence_only(case, "; ".join(dict.fromkeys(said)) or _AWAY, question_digest=digest)

    def _may_ask(self, model: str) -> bool:
        # The model first, whose trial would else be lost on a server that nobody may ask.
        server, own = self._breakers.server, self._breakers.of(model)
        return own.state != "open" and server.may_ask() and own.may_ask()

    def _explained(self, client: Client, case: Case, digest: str, *, deadline: float) -> Analysis:
        prompt = build(case, num_ctx=client.num_ctx)
        reply = self._asked(client, prompt, deadline)
        tokens, repaired = _tokens(reply), False
        try:
            answer = read(reply.text, prompt.case, done_reason=reply.done_reason)
        except ReplyUnusable as refusal:
            if deadline - self._clock() < _LEAST_S:
                raise
            prompt = build(case, num_ctx=client.num_ctx, refused=refusal.why)
            reply = self._asked(client, prompt, deadline)
            answer = read(reply.text, prompt.case, done_reason=reply.done_reason)
            tokens, repaired = _sum(tokens, _tokens(reply)), True
        analysis = _judged(case, prompt, reply, answer, digest)
        return replace(analysis, tokens=tokens, repaired=repaired)

    def _asked(self, client: Client, prompt: Prompt, deadline: float) -> Reply:
        """The model's reply; one that is busy or broke off is asked again while there is time."""
        rests = iter(_RESTS_S)
        server, own = self._breakers.server, self._breakers.of(client.model)
        while True:
            try:
                reply = client.ask(prompt.messages, prompt.schema, deadline_s=max(deadline - self._clock(), 0.0))
            except ModelUnreachable:
                # A refused connection says at once that nobody is there.
                server.failed(decisive=True)
                raise
            except (ModelBusy, ModelFailed) as error:
                server.succeeded()
                rest_s = next(rests, None)
                if rest_s is None or deadline - self._clock() - rest_s < _LEAST_S:
                    own.failed()
                    raise error
                self._sleep(rest_s)
            except LLMError as error:
                server.succeeded()
                # What is refused is refused at once. One slow answer says little, two cost everybody minutes.
                if isinstance(error, ModelTimeout):
                    own.failed()
                else:
                    own.succeeded()
                raise
            else:
                server.succeeded()
                own.succeeded()
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
