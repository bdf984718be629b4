"""One question to a server that speaks like OpenAI's (vLLM, llama.cpp, LM Studio and most others), in time."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import httpx

from llm.client import MAX_BYTES, MAX_PING_BYTES, Ping, Reply, explained, joined
from llm.errors import ModelFailed, ModelMissing
from llm.prompt import answer_tokens
from llm.transport import DeadlineTransport

# A server that knows one of these not says so with such a status, at once; the next form asks for less.
_REFUSED_FORM = (400, 422)


class OpenAIClient:
    """Asks one model of one server; safe to share between threads, as every question has its own connection.

    `url` ends where `/chat/completions` begins, so mostly with `/v1`.
    """

    def __init__(
        self, url: str, model: str, *, num_ctx: int, key: str | None = None, temperature: float = 0.1, seed: int = 7
    ) -> None:
        self.url = url
        self.model = model
        self.num_ctx = num_ctx
        self._key = key
        self._options = {"temperature": temperature, "seed": seed, "max_tokens": answer_tokens(num_ctx)}

    def ask(self, messages: Sequence[Mapping[str, str]], schema: Mapping[str, object], *, deadline_s: float) -> Reply:
        """The model's answer, or an LLMError after at most `deadline_s` seconds, whatever the server does.

        What a model thinks aloud beside its answer is left out.
        """
        started = time.monotonic()
        transport = DeadlineTransport(started + deadline_s, max_bytes=MAX_BYTES)
        try:
            with _connected(self.url, self._key, transport) as http:
                for form in self._forms(messages, schema):
                    with http.stream("POST", "/chat/completions", json=form) as response:
                        if response.status_code in _REFUSED_FORM and "temperature" in form:
                            response.read()
                            continue
                        _raise_for(response, self.model)
                        return _collect(response.iter_lines(), self.model, started)
            raise ModelFailed("it takes none of the forms of our question")
        except Exception as error:
            raise explained(error, self.url, self.model, deadline_s, transport.received_bytes) from None

    def _forms(
        self, messages: Sequence[Mapping[str, str]], schema: Mapping[str, object]
    ) -> Iterator[dict[str, object]]:
        """The question with less and less that a server may not know; what the answer has to be is in it anyway."""
        plain: dict[str, object] = {"model": self.model, "messages": list(messages), "stream": True}
        counted = {**plain, **self._options, "stream_options": {"include_usage": True}}
        by_schema = {"name": "analysis", "schema": {**schema, "additionalProperties": False}}
        yield {**counted, "response_format": {"type": "json_schema", "json_schema": by_schema}}
        yield {**counted, "response_format": {"type": "json_object"}}
        yield plain


def ping(url: str, models: Sequence[str], *, key: str | None, timeout_s: float) -> Ping:
    """Whether the server is there, and which models it lacks.  Raises an LLMError after at most `timeout_s` seconds."""
    started = time.monotonic()
    transport = DeadlineTransport(started + timeout_s, max_bytes=MAX_PING_BYTES)
    try:
        with _connected(url, key, transport) as http:
            answer = http.get("/models")
            _raise_for(answer, "")
            names = {str(entry["id"]) for entry in answer.json()["data"]}
    except Exception as error:
        raise explained(error, url, "", timeout_s, transport.received_bytes) from None
    missing = tuple(model for model in models if model not in names and f"{model}:latest" not in names)
    return Ping(version="OpenAI-compatible", missing=missing, duration_s=time.monotonic() - started)


def embed(url: str, model: str, texts: Sequence[str], *, key: str | None, timeout_s: float) -> list[list[float]]:
    """A vector for each text.  Raises an LLMError after at most `timeout_s` seconds."""
    transport = DeadlineTransport(time.monotonic() + timeout_s, max_bytes=MAX_BYTES)
    try:
        with _connected(url, key, transport) as http:
            answer = http.post("/embeddings", json={"model": model, "input": list(texts)})
            _raise_for(answer, model)
        found = sorted(answer.json()["data"], key=lambda entry: int(entry["index"]))
        return [[float(number) for number in entry["embedding"]] for entry in found]
    except Exception as error:
        raise explained(error, url, model, timeout_s, transport.received_bytes) from None


def _connected(url: str, key: str | None, transport: DeadlineTransport) -> httpx.Client:
    # Redirects stay unfollowed and the environment unread: evidence and key go to the configured server only.
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    return httpx.Client(transport=transport, base_url=url, headers=headers, follow_redirects=False, trust_env=False)


def _raise_for(response: httpx.Response, model: str) -> None:
    if response.status_code == httpx.codes.NOT_FOUND and model:
        raise ModelMissing(model, "look at its list of models, /models")
    if response.status_code != httpx.codes.OK:
        raise httpx.HTTPStatusError("not OK", request=response.request, response=response)


def _collect(lines: Iterator[str], model: str, started: float) -> Reply:
    told: dict[str, Any] = {}

    def pieces() -> Iterator[str]:
        for event in _events(lines):
            if event.get("error"):
                raise ModelFailed("it broke off with an error in the middle of its answer")
            told["model"] = event.get("model") or told.get("model")
            told["usage"] = event.get("usage") or told.get("usage")
            for choice in event.get("choices") or ():
                told["reason"] = choice.get("finish_reason") or told.get("reason")
                yield (choice.get("delta") or choice.get("message") or {}).get("content") or ""

    text = joined(pieces())
    if not told.get("reason"):
        raise ModelFailed("it broke off without finishing its answer")
    usage = told.get("usage") or {}
    return Reply(
        text=text,
        done_reason="length" if told["reason"] == "length" else "stop",
        prompt_tokens=usage.get("prompt_tokens"),
        eval_tokens=usage.get("completion_tokens"),
        model=told.get("model") or model,
        duration_s=time.monotonic() - started,
    )


def _events(lines: Iterator[str]) -> Iterator[dict[str, Any]]:
    """The JSON objects of a stream of events, or of a server that does not stream: one object."""
    plain: list[str] = []
    for line in lines:
        if line.startswith("data:"):
            data = line.removeprefix("data:").strip()
            if data == "[DONE]":
                return
            yield _object(data)
        elif line.strip() and not line.startswith((":", "event:", "id:", "retry:")):
            plain.append(line)
    if plain:
        yield _object("\n".join(plain))


def _object(text: str) -> dict[str, Any]:
    found = json.loads(text)
    if not isinstance(found, dict):
        raise ModelFailed("what answers there does not speak like a model server")
    return found
