"""One question to the server carries all that a safe answer needs, and each failure has its own name."""

from __future__ import annotations

import socket
import time
from typing import Any

import pytest

from llm.errors import LLMError, ModelBusy, ModelFailed, ModelMissing, ModelRefused, ModelTimeout, ModelUnreachable
from llm.ollama_client import OllamaClient, ping
from llm.prompt import answer_tokens, build
from tests.integration.llm.conftest import Serve
from tests.ollama_server import OllamaServer
from tests.unit.llm import cases

PROMPT = build(cases.case(), num_ctx=4096)


def ask(server: OllamaServer, *, deadline_s: float = 3.0, **options: Any) -> Any:
    client = OllamaClient(server.url, "llama2", num_ctx=4096, **options)
    return client.ask(PROMPT.messages, PROMPT.schema, deadline_s=deadline_s)


def test_the_context_the_length_and_the_form_are_always_set(serve: Serve) -> None:
    server = serve()
    ask(server)
    body = server.requests[0].body
    assert body["options"]["num_ctx"] == 4096
    assert 0 < body["options"]["num_predict"] == answer_tokens(4096)
    assert body["options"]["temperature"] <= 0.3
    assert body["format"]["properties"]["evidence"]["items"]["enum"] == ["E1", "E2", "E3", "E4"]
    assert body["keep_alive"] == "15m"
    assert body["think"] is False
    assert body["stream"] is True
    assert [message["role"] for message in body["messages"]] == ["system", "user"]


def test_the_reply_tells_what_it_cost(serve: Serve) -> None:
    reply = ask(serve())
    assert reply.done_reason == "stop"
    assert reply.model == "llama2:latest"
    assert 0 < reply.prompt_tokens <= PROMPT.tokens
    assert reply.eval_tokens > 10
    assert 0 < reply.duration_s < 3


def test_an_answer_that_is_cut_off_says_so(serve: Serve) -> None:
    assert ask(serve("truncated")).done_reason == "length"


def test_thoughts_are_no_part_of_the_answer(serve: Serve) -> None:
    assert "a thought" not in ask(serve("thinking")).text


@pytest.mark.parametrize(
    ("play", "kind", "permanent"),
    [
        ("404", ModelMissing, True),
        ("503", ModelBusy, False),
        ("403", ModelRefused, True),
        ("runner_died", ModelFailed, False),
        ("midstream_error", ModelFailed, False),
        ("cut", ModelFailed, False),
        ("endless", ModelFailed, False),
        ("html_502", ModelFailed, False),
        ("html_200", ModelFailed, False),
        ("hang", ModelTimeout, False),
        ("slow_tokens:0.1", ModelTimeout, False),
        ("one_endless_line", ModelTimeout, False),
        ("never_ending:0.2", ModelTimeout, False),
    ],
)
def test_each_failure_has_its_name(serve: Serve, play: str, kind: type[LLMError], permanent: bool) -> None:
    started = time.monotonic()
    with pytest.raises(kind) as caught:
        ask(serve(play), deadline_s=0.7)
    assert caught.value.permanent is permanent
    assert time.monotonic() - started < 1.9


def test_no_error_shows_what_was_sent_or_received(serve: Serve) -> None:
    for play in ("404", "runner_died", "html_502", "html_200", "midstream_error"):
        with pytest.raises(LLMError) as caught:
            ask(serve(play))
        assert "<" not in str(caught.value)
        assert "checkout" not in str(caught.value)
        assert caught.value.__suppress_context__


def test_a_refused_connection_is_known_at_once() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://user:secret@127.0.0.1:{taken.getsockname()[1]}"
        started = time.monotonic()
        with pytest.raises(ModelUnreachable) as caught:
            OllamaClient(url, "llama2", num_ctx=4096).ask(PROMPT.messages, PROMPT.schema, deadline_s=5)
    assert time.monotonic() - started < 2.0
    assert "secret" not in str(caught.value)


def test_a_deadline_that_is_over_asks_nothing(serve: Serve) -> None:
    server = serve()
    with pytest.raises(ModelTimeout):
        ask(server, deadline_s=0.0)
    assert server.requests == []


def test_a_proxy_of_the_environment_never_sees_the_evidence(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    assert ask(serve()).text


def test_a_ping_tells_the_version_and_whether_the_model_is_there(serve: Serve) -> None:
    server = serve(models=("Llama2:latest", "mistral:7b"))
    answer = ping(server.url, ["llama2", "mistral:7b", "mistral"], timeout_s=1)
    assert answer.version == "0.32.15"
    assert answer.missing == ("mistral",)
    assert answer.has_any(["llama2", "mistral:7b", "mistral"])
    assert not ping(server.url, ["mistral"], timeout_s=1).has_any(["mistral"])
    assert server.requests == []


def test_a_ping_of_nobody_fails_in_time() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        started = time.monotonic()
        with pytest.raises(ModelTimeout):
            ping(f"http://127.0.0.1:{silent.getsockname()[1]}", ["llama2"], timeout_s=0.3)
        assert time.monotonic() - started < 1.5
