"""Models are asked in the order of preference, and a dead one costs the others nothing."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence

from llm.analyst import Analyst
from llm.breaker import Breakers
from llm.client import Client, Reply
from llm.errors import LLMError, ModelFailed, ModelMissing, ModelTimeout, ModelUnreachable
from llm.model_server import ModelServer
from tests.integration.llm.conftest import Serve
from tests.unit.llm import cases


class Scripted:
    """A client whose errors are known; in place of a server that would take minutes to show them."""

    num_ctx = 4096

    def __init__(self, model: str, error: LLMError | None, real: Client) -> None:
        self.model = model
        self.asked = 0
        self.deadlines: list[float] = []
        self.error = error
        self._real = real

    def ask(self, messages: Sequence[Mapping[str, str]], schema: Mapping[str, object], *, deadline_s: float) -> Reply:
        self.asked += 1
        self.deadlines.append(deadline_s)
        if self.error is not None:
            raise self.error
        return self._real.ask(messages, schema, deadline_s=deadline_s)


def pair(serve: Serve, error: LLMError | None) -> tuple[Scripted, Scripted]:
    (real,) = ModelServer("ollama", serve().url, ("llama2",), num_ctx=4096).clients()
    return Scripted("first", error, real), Scripted("second", None, real)


def test_the_preferred_model_answers_and_no_other_is_asked(serve: Serve) -> None:
    server = serve(models=("mistral", "llama2"))
    clients = ModelServer("ollama", server.url, ("mistral", "llama2"), num_ctx=4096).clients()
    told = Analyst(*clients, budget_s=5).analyse(cases.case())
    assert told.model_name == "mistral:latest"
    assert [request.body["model"] for request in server.requests] == ["mistral"]


def test_a_model_that_is_not_there_is_passed_over(serve: Serve) -> None:
    server = serve(models=("llama2",))
    clients = ModelServer("ollama", server.url, ("mistral", "llama2"), num_ctx=4096).clients()
    told = Analyst(*clients, budget_s=5).analyse(cases.case())
    assert (told.outcome, told.model_name) == ("model", "llama2:latest")


def test_the_next_model_has_time_left_after_one_that_was_slow(serve: Serve) -> None:
    first, second = pair(serve, ModelTimeout(6.0, 0))
    told = Analyst(first, second, budget_s=10).analyse(cases.case())
    assert told.outcome == "model"
    assert first.deadlines[0] < 6.1
    assert second.deadlines[0] > 9


def test_a_slow_model_is_left_alone_after_the_second_time_and_the_next_one_is_not(serve: Serve) -> None:
    first, second = pair(serve, ModelTimeout(6.0, 0))
    now = [0.0]
    analyst = Analyst(first, second, budget_s=10, breakers=Breakers(clock=lambda: now[0], open_s=15))
    outcomes = [analyst.analyse(cases.case()).outcome for _ in range(5)]
    assert outcomes == ["model"] * 5
    assert (first.asked, second.asked) == (2, 5)
    now[0] += 20
    first.error = None
    assert analyst.analyse(cases.case()).outcome == "model"
    assert (first.asked, second.asked) == (3, 5)


def test_when_the_server_is_away_it_is_asked_once_for_all_models(serve: Serve) -> None:
    first, second = pair(serve, ModelUnreachable("http://127.0.0.1:9"))
    breakers = Breakers(open_s=60)
    told = Analyst(first, second, budget_s=10, breakers=breakers).analyse(cases.case())
    assert (told.outcome, told.reason) == ("evidence_only", "no model server answers at http://127.0.0.1:9")
    assert (first.asked, second.asked) == (1, 0)
    again = Analyst(first, second, budget_s=10, breakers=breakers).analyse(cases.case())
    assert again.reason == "the model server did not answer lately and is left alone for a moment"
    assert (first.asked, second.asked) == (1, 0)


def test_each_models_reason_is_told_when_none_answers(serve: Serve) -> None:
    first, second = pair(serve, ModelMissing("first", "install it"))
    second.error = ModelFailed("status 500")
    told = Analyst(first, second, budget_s=10, sleep=lambda _: None).analyse(cases.case())
    assert told.reason == ("the model server has no model 'first'; install it; the model server failed: status 500")


def test_an_answer_that_can_not_be_used_is_asked_of_the_next_model(serve: Serve) -> None:
    server = serve("not_json,not_json,normal", models=("mistral", "llama2"))
    clients = ModelServer("ollama", server.url, ("mistral", "llama2"), num_ctx=4096).clients()
    told = Analyst(*clients, budget_s=10).analyse(cases.case())
    assert (told.outcome, told.model_name) == ("model", "llama2:latest")
    assert [request.body["model"] for request in server.requests] == ["mistral", "mistral", "llama2"]


def test_all_of_them_together_keep_the_deadline(serve: Serve) -> None:
    server = serve("hang", models=("a", "b", "c"))
    clients = ModelServer("ollama", server.url, ("a", "b", "c"), num_ctx=4096).clients()
    started = time.monotonic()
    assert Analyst(*clients, budget_s=3).analyse(cases.case()).outcome == "evidence_only"
    assert time.monotonic() - started < 4.2
