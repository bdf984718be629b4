"""The stand-in for Ollama is true to the real server, as the real client and a bare one see it."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from typing import Any

import httpx
import ollama
import pydantic
import pytest

from tests.integration.llm.conftest import Serve
from tests.ollama_server import OllamaServer

HI = [{"role": "user", "content": "hi"}]


def chat(server: OllamaServer, *, stream: bool, timeout: float | None = 2.0) -> Any:
    """A chat as the real client does it; a stream is read to its end."""
    client: Any = ollama.Client(host=server.url, timeout=timeout)
    answer = client.chat(model="llama2", messages=HI, stream=stream)
    return list(answer) if stream else answer


@pytest.mark.parametrize(
    ("play", "stream", "error"),
    [
        ("503", False, ollama.ResponseError),
        ("503", True, ollama.ResponseError),
        ("404", False, ollama.ResponseError),
        ("404", True, ollama.ResponseError),
        ("html_502", False, ollama.ResponseError),
        ("html_502", True, ollama.ResponseError),
        ("html_200", False, json.JSONDecodeError),
        ("html_200", True, json.JSONDecodeError),
        ("hang", False, httpx.ReadTimeout),
        ("hang", True, httpx.ReadTimeout),
        ("cut", False, (httpx.RemoteProtocolError, httpx.ReadError)),
        ("cut", True, (httpx.RemoteProtocolError, httpx.ReadError)),
        ("midstream_error", True, ollama.ResponseError),
    ],
)
def test_the_real_client_raises_what_it_was_measured_to(serve: Serve, play: str, stream: bool, error: Any) -> None:
    with pytest.raises(error):
        chat(serve(play), stream=stream, timeout=0.4)


def test_the_real_client_gives_the_status_and_the_words_of_an_error(serve: Serve) -> None:
    server = serve("503,html_502,midstream_error")
    seen = []
    for stream in (False, False, True):
        with pytest.raises(ollama.ResponseError) as caught:
            chat(server, stream=stream)
        seen.append((caught.value.status_code, caught.value.error))
    assert seen[0] == (503, "server busy, please try again.  maximum pending requests exceeded")
    assert seen[1] == (502, "<html><h1>Bad Gateway</h1></html>")
    assert seen[2][0] == -1


def test_a_refused_connection_is_two_different_errors() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        client = ollama.Client(host=f"http://127.0.0.1:{taken.getsockname()[1]}")
        with pytest.raises(ConnectionError):
            client.chat(model="llama2", messages=HI)
        with pytest.raises(httpx.ConnectError):
            list(client.chat(model="llama2", messages=HI, stream=True))


def test_a_stream_without_a_last_line_just_ends(serve: Serve) -> None:
    server = serve("endless")
    assert not any(part.done for part in chat(server, stream=True))
    assert chat(server, stream=False).done is False


def test_an_empty_model_name_is_refused_before_sending(serve: Serve) -> None:
    with pytest.raises(pydantic.ValidationError):
        ollama.Client(host=serve().url).chat(model="", messages=HI)


def post(server: OllamaServer, path: str, body: object, **headers: str) -> httpx.Response:
    content = body if isinstance(body, str) else json.dumps(body)
    return httpx.post(server.url + path, content=content, headers=headers, timeout=5)


def test_a_stream_is_lines_of_json_with_the_figures_in_the_last(serve: Serve) -> None:
    answer = post(serve(), "/api/chat", {"model": "LLAMA2", "messages": HI})
    assert answer.headers["content-type"] == "application/x-ndjson"
    assert answer.headers["transfer-encoding"] == "chunked"
    first, *_, last = [json.loads(line) for line in answer.text.splitlines()]
    assert first.keys() == {"model", "created_at", "message", "done"}
    assert first["message"]["role"] == "assistant"
    assert first["created_at"].endswith("Z")
    assert last["done"] is True
    assert last["done_reason"] == "stop"
    figures = ("total_duration", "load_duration", "prompt_eval_count", "eval_count", "eval_duration")
    assert all(isinstance(last[name], int) and last[name] > 0 for name in figures)
    assert "context" not in last


def test_without_a_stream_it_is_one_object(serve: Serve) -> None:
    answer = post(serve(), "/api/generate", {"model": "llama2", "prompt": "why?", "stream": False})
    assert answer.headers["content-type"] == "application/json; charset=utf-8"
    body = answer.json()
    assert body["response"].startswith("The sky is blue")
    assert body["context"]
    assert body["done_reason"] == "stop"


CHAT: dict[str, Any] = {"model": "llama2", "messages": HI}


@pytest.mark.parametrize(
    ("path", "body", "status", "text"),
    [
        ("/api/chat", "", 400, "missing request body"),
        ("/api/chat", "{", 400, "invalid character|unexpected EOF"),
        ("/api/chat", CHAT | {"messages": 7}, 400, "cannot unmarshal number"),
        ("/api/chat", CHAT | {"model": ""}, 400, "model is required"),
        ("/api/chat", CHAT | {"model": "x"}, 404, "model 'x' not found"),
        ("/api/generate", {"model": "", "prompt": "x"}, 404, "model '' not found"),
        ("/api/generate", {"model": "llama2", "prompt": "x", "top_logprobs": 21}, 400, "between 0 and 20"),
        ("/api/chat", CHAT | {"keep_alive": "300"}, 400, 'missing unit in duration "300"'),
        ("/api/chat", CHAT | {"think": "a lot"}, 400, "invalid think value"),
        ("/api/chat", CHAT | {"think": True}, 400, '"llama2" does not support thinking'),
        ("/api/chat", CHAT | {"tools": [{}]}, 400, "registry.ollama.ai/library/llama2:latest does not support tools"),
        ("/api/chat", CHAT | {"format": "xml"}, 500, 'invalid format: "xml"; expected "json" or a valid JSON Schema'),
        ("/api/chat", CHAT | {"options": {"num_ctx": "big"}}, 500, 'option "num_ctx" must be of type integer'),
        ("/api/embed", {"model": "llama2", "input": 7}, 400, "invalid input type"),
        ("/api/embed", {"model": "llama2", "input": "x" * 99999, "truncate": False}, 400, "exceeds the context length"),
        ("/api/show", {"model": "nope"}, 404, "model 'nope' not found"),
        ("/api/pull", {"model": "missing", "stream": False}, 500, "file does not exist"),
    ],
)
def test_what_is_wrong_has_its_status_and_words(serve: Serve, path: str, body: object, status: int, text: str) -> None:
    answer = post(serve(), path, body)
    assert answer.status_code == status
    assert any(words in answer.json()["error"] for words in text.split("|"))


@pytest.mark.parametrize("option", [{"no_such_option": 1}, {"temperature": 0}, {"num_ctx": 4096.0}])
def test_what_the_server_overlooks_is_overlooked(serve: Serve, option: dict[str, object]) -> None:
    assert post(serve(), "/api/chat", CHAT | {"options": option, "think": False}).status_code == 200


def test_unknown_paths_methods_and_hosts_are_turned_away(serve: Serve) -> None:
    server = serve()
    assert httpx.get(server.url + "/nope").text == "404 page not found"
    assert httpx.get(server.url + "/api/chat").status_code == 405
    assert httpx.delete(server.url + "/api/tags").status_code == 405
    strange = httpx.get(server.url + "/api/tags", headers={"Host": "evil.example"})
    assert (strange.status_code, strange.content) == (403, b"")
    assert httpx.get(server.url + "/api/tags", headers={"Host": "localhost:11434"}).status_code == 200
    assert httpx.get(server.url).text == "Ollama is running"
    assert httpx.head(server.url).status_code == 200


def test_an_empty_question_loads_and_unloads_the_model(serve: Serve) -> None:
    server = serve()
    client = ollama.Client(host=server.url)
    assert client.chat(model="llama2", messages=[]).done_reason == "load"
    assert [model.model for model in client.ps().models] == ["llama2:latest"]
    assert client.generate(model="llama2", prompt="", keep_alive=0).done_reason == "unload"
    assert client.ps().models == []


def test_a_change_of_the_context_loads_the_model_again(serve: Serve) -> None:
    server = serve()
    loads = [
        post(server, "/api/chat", CHAT | {"stream": False, "options": {"num_ctx": ctx}}).json()["load_duration"]
        for ctx in (4096, 4096, 8192)
    ]
    assert loads[0] > 1_000_000_000 > loads[1]
    assert loads[2] > 1_000_000_000


def test_a_prompt_beyond_the_context_is_cut_in_silence(serve: Serve) -> None:
    server = serve()
    long = [{"role": "user", "content": "word " * 3000}, {"role": "user", "content": "E1 [alert] short"}]
    answer = post(server, "/api/chat", CHAT | {"messages": long, "stream": False, "options": {"num_ctx": 2048}})
    assert answer.status_code == 200
    assert answer.json()["prompt_eval_count"] < 100
    whole = post(server, "/api/chat", CHAT | {"messages": long, "truncate": False, "options": {"num_ctx": 2048}})
    assert whole.status_code == 400


def test_the_length_of_an_answer_can_be_limited(serve: Serve) -> None:
    answer = post(serve(), "/api/chat", CHAT | {"stream": False, "options": {"num_predict": 3}}).json()
    assert answer["done_reason"] == "length"
    assert len(answer["message"]["content"]) < 40


def test_a_form_that_is_asked_for_is_kept_to(serve: Serve) -> None:
    schema = {"type": "object", "properties": {"n": {"type": "integer"}, "ok": {"type": "boolean"}}}
    answer = post(serve(), "/api/chat", CHAT | {"stream": False, "format": schema}).json()
    assert json.loads(answer["message"]["content"]) == {"n": 1, "ok": True}


def test_models_are_listed_shown_pulled_and_embed(serve: Serve) -> None:
    server = serve(models=("llama2", "nomic-embed-text"), embedding=("nomic-embed-text",))
    client = ollama.Client(host=server.url)
    assert [model.model for model in client.list().models] == ["llama2:latest", "nomic-embed-text:latest"]
    shown = client.show("llama2")
    assert shown.capabilities == ["completion"]
    assert (shown.modelinfo or {})["llama.context_length"] == 4096
    (vector,) = client.embed(model="nomic-embed-text", input="text").embeddings
    assert sum(value * value for value in vector) == pytest.approx(1.0)
    assert client.embed(model="nomic-embed-text", input=[]).embeddings == []
    with pytest.raises(ollama.ResponseError, match="does not support chat"):
        client.chat(model="nomic-embed-text", messages=HI)
    statuses = [part.status for part in client.pull("mistral", stream=True)]
    assert statuses[0] == "pulling manifest"
    assert statuses[-1] == "success"
    assert client.chat(model="mistral", messages=HI).done
    with pytest.raises(ollama.ResponseError, match="file does not exist"):
        list(client.pull("missing", stream=True))


def test_one_model_answers_one_at_a_time_and_the_queue_has_an_end(serve: Serve) -> None:
    server = serve("slow_first:0.4", max_queue=2)
    statuses: list[int] = []
    threads = [
        threading.Thread(target=lambda: statuses.append(post(server, "/api/chat", CHAT).status_code)) for _ in range(6)
    ]
    started = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert set(statuses) == {200, 503}
    assert statuses.count(200) >= 2
    assert time.monotonic() - started >= 0.8


def test_a_client_that_leaves_frees_its_place(serve: Serve) -> None:
    server = serve("hang,normal")
    with pytest.raises(httpx.ReadTimeout):
        httpx.post(server.url + "/api/chat", json=CHAT, timeout=0.2)
    started = time.monotonic()
    assert chat(server, stream=True, timeout=3)
    assert time.monotonic() - started < 2.0


def test_a_connection_serves_one_request_after_another(serve: Serve) -> None:
    server = serve()
    connection = http.client.HTTPConnection(server.url.removeprefix("http://"), timeout=3)
    for _ in range(3):
        connection.request("POST", "/api/chat", json.dumps(CHAT))
        answer = connection.getresponse()
        assert answer.version == 11
        assert json.loads(answer.read().splitlines()[-1])["done"] is True
    connection.close()


def test_it_runs_as_a_process_whose_play_can_be_changed() -> None:
    command = [sys.executable, "-m", "tests.ollama_server", "--port", "0", "--play", "503,normal"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=os.environ) as process:
        try:
            assert process.stdout is not None
            url = process.stdout.readline().strip()
            statuses = [httpx.post(url + "/api/chat", json=CHAT).status_code for _ in range(3)]
            httpx.post(url + "/_control", json={"play": ["runner_died"]}).raise_for_status()
            statuses.append(httpx.post(url + "/api/chat", json=CHAT).status_code)
            assert statuses == [503, 200, 200, 500]
            plays = [one["play"] for one in httpx.get(url + "/_requests").json()["requests"]]
            assert plays == ["503", "normal", "normal", "runner_died"]
        finally:
            process.send_signal(signal.SIGTERM)
        assert process.wait(5) == 0
