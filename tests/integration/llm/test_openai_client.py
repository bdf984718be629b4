"""A server that speaks like OpenAI's is asked in the same way, whatever it leaves out."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest

from llm import model_server
from llm.client import Reply
from llm.errors import LLMError, ModelBusy, ModelFailed, ModelMissing, ModelRefused, ModelTimeout
from llm.model_server import ModelServer
from llm.openai_client import OpenAIClient
from llm.prompt import build
from tests.integration.llm.conftest import Serve
from tests.ollama_server import OllamaServer
from tests.unit.llm import cases

PROMPT = build(cases.case(), num_ctx=4096)


def ask(url: str, *, key: str | None = None, deadline_s: float = 5.0, model: str = "llama2") -> Reply:
    client = OpenAIClient(url, model, num_ctx=4096, key=key)
    return client.ask(PROMPT.messages, PROMPT.schema, deadline_s=deadline_s)


def test_the_question_is_complete(serve: Serve) -> None:
    server = serve()
    reply = ask(f"{server.url}/v1")
    assert json.loads(reply.text)["root_cause"]
    assert (reply.done_reason, reply.model) == ("stop", "llama2:latest")
    assert reply.prompt_tokens
    assert reply.eval_tokens
    (request,) = server.requests
    assert request.path == "/v1/chat/completions"
    assert request.body["messages"] == list(PROMPT.messages)
    assert request.body["stream"] is True
    assert request.body["response_format"]["json_schema"]["schema"]["properties"]["service"]["enum"]


@pytest.mark.parametrize("refuses", [("json_schema",), ("response_format",), ("temperature",), ("max_tokens",)])
def test_a_server_that_knows_less_is_asked_with_less(serve: Serve, refuses: tuple[str, ...]) -> None:
    assert json.loads(ask(f"{serve(refuses=refuses).url}/v1").text)["root_cause"]


def test_the_key_is_sent_and_never_told(serve: Serve) -> None:
    server = serve(key="sk-secret-7")
    assert ask(f"{server.url}/v1", key="sk-secret-7").text
    with pytest.raises(ModelRefused) as caught:
        ask(f"{server.url}/v1", key="sk-wrong-8")
    assert "sk-" not in str(caught.value)
    assert "sk-" not in repr(ModelServer("openai", server.url, ("llama2",), num_ctx=4096, key="sk-secret-7"))


@pytest.mark.parametrize(
    ("play", "kind"),
    [
        ("503", ModelBusy),
        ("403", ModelRefused),
        ("runner_died", ModelFailed),
        ("midstream_error", ModelFailed),
        ("cut", ModelFailed),
        ("endless", ModelFailed),
        ("html_502", ModelFailed),
        ("html_200", ModelFailed),
        ("hang", ModelTimeout),
        ("slow_tokens:0.1", ModelTimeout),
        ("one_endless_line", ModelTimeout),
        ("never_ending:0.2", ModelTimeout),
    ],
)
def test_each_failure_has_its_name(serve: Serve, play: str, kind: type[LLMError]) -> None:
    with pytest.raises(kind):
        ask(f"{serve(play).url}/v1", deadline_s=0.7)


def test_a_model_that_is_missing_is_said_to_be(serve: Serve) -> None:
    with pytest.raises(ModelMissing):
        ask(f"{serve().url}/v1", model="gpt-7")


def test_an_answer_that_was_cut_off_says_so(serve: Serve) -> None:
    assert ask(f"{serve('truncated').url}/v1").done_reason == "length"


def test_the_models_are_listed_and_vectors_made_in_order(serve: Serve) -> None:
    server = serve(key="k", models=("llama2", "nomic-embed-text"))
    there = ModelServer("openai", f"{server.url}/v1", ("llama2", "gpt-7"), num_ctx=4096, key="k")
    assert there.ping(timeout_s=2).missing == ("gpt-7",)
    one, other = there.embed("nomic-embed-text", ["one text", "other words"], timeout_s=2)
    assert there.embed("nomic-embed-text", ["other words"], timeout_s=2) == [other]
    assert one != other


@pytest.mark.parametrize("api", ["ollama", "openai"])
def test_a_server_without_the_model_makes_no_vectors(serve: Serve, api: model_server.Api) -> None:
    url = serve().url if api == "ollama" else f"{serve().url}/v1"
    with pytest.raises(ModelMissing):
        ModelServer(api, url, ("llama2",), num_ctx=4096).embed("nomic", ["x"], timeout_s=2)


class _Plain(BaseHTTPRequestHandler):
    """A server that does not stream, whatever it is asked for, and writes comments between its events."""

    answers: list[bytes] = []

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        body = self.answers[0]
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


def _chunk(**delta: Any) -> bytes:
    return b"data: " + json.dumps({"choices": [{"delta": delta, "finish_reason": None}]}).encode() + b"\r\n\r\n"


@pytest.mark.parametrize(
    "body",
    [
        json.dumps({"choices": [{"message": {"content": "a word"}, "finish_reason": "stop"}]}, indent=1).encode(),
        b": PROCESSING\n\nevent: x\n" + _chunk(role="assistant", content=None) + _chunk(content="a ")
        + _chunk(content="word", reasoning_content="hm") + b'data: {"choices": [{"finish_reason": "stop"}]}\n\n',
    ],
)  # fmt: skip
def test_other_forms_of_an_answer_are_read(body: bytes) -> None:
    handler = type("Handler", (_Plain,), {"answers": [body]})
    with HTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        assert ask(f"http://127.0.0.1:{server.server_port}/v1").text == "a word"
        server.shutdown()


def test_a_stand_in_of_both_kinds_is_one_server() -> None:
    with OllamaServer() as server:
        assert ask(f"{server.url}/v1").text
        assert ModelServer("ollama", server.url, ("llama2",), num_ctx=4096).ping(timeout_s=2).missing == ()
