"""One question to an Ollama server, and the whole of its answer, in time or not at all."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence

import httpx
import ollama

from llm.client import MAX_BYTES, MAX_PING_BYTES, Ping, Reply, explained, joined, of_status
from llm.errors import LLMError, ModelFailed, ModelMissing
from llm.prompt import answer_tokens
from llm.transport import DeadlineTransport

_RUNNER_DIED = "model runner has unexpectedly stopped"


class OllamaClient:
    """Asks one model of one server; safe to share between threads, as every question has its own connection."""

    def __init__(
        self, url: str, model: str, *, num_ctx: int, temperature: float = 0.1, keep_alive: str = "15m", seed: int = 7
    ) -> None:
        self.url = url
        self.model = model
        self.num_ctx = num_ctx
        self._keep_alive = keep_alive
        self._options = {
            # Unset, the server picks a context by its memory and cuts a longer prompt at its beginning, silently.
            "num_ctx": num_ctx,
            "num_predict": answer_tokens(num_ctx),
            "temperature": temperature,
            "seed": seed,
        }

    def ask(self, messages: Sequence[Mapping[str, str]], schema: Mapping[str, object], *, deadline_s: float) -> Reply:
        """The model's answer, or an LLMError after at most `deadline_s` seconds, whatever the server does.

        What a model thinks aloud beside its answer is left out.
        """
        started = time.monotonic()
        transport = DeadlineTransport(started + deadline_s, max_bytes=MAX_BYTES)
        try:
            with self._connected(transport) as client:
                parts = client.chat(
                    model=self.model,
                    messages=list(messages),
                    format=dict(schema),
                    options=self._options,
                    keep_alive=self._keep_alive,
                    # A thinking model would spend the tokens that the answer needs; others don't mind the word.
                    think=False,
                    stream=True,
                )
                return _collect(parts, self.model, started)
        except Exception as error:
            raise _explained(error, self.url, self.model, deadline_s, transport.received_bytes) from None

    def _connected(self, transport: DeadlineTransport) -> ollama.Client:
        # Redirects stay unfollowed and the environment unread: evidence goes to the configured server only.
        return ollama.Client(host=self.url, transport=transport, follow_redirects=False, trust_env=False)


def ping(url: str, models: Sequence[str], *, timeout_s: float) -> Ping:
    """Whether the server is there, and which models it lacks.  Raises an LLMError after at most `timeout_s` seconds."""
    started = time.monotonic()
    transport = DeadlineTransport(started + timeout_s, max_bytes=MAX_PING_BYTES)
    try:
        with httpx.Client(transport=transport, base_url=url, trust_env=False) as http:
            version = http.get("/api/version").raise_for_status().json()["version"]
            installed = http.get("/api/tags").raise_for_status().json()["models"]
        names = {_full_name(entry["name"]) for entry in installed}
    except Exception as error:
        raise _explained(error, url, "", timeout_s, transport.received_bytes) from None
    missing = tuple(model for model in models if _full_name(model) not in names)
    return Ping(version=str(version), missing=missing, duration_s=time.monotonic() - started)


def embed(url: str, model: str, texts: Sequence[str], *, timeout_s: float) -> list[list[float]]:
    """A vector for each text.  Raises an LLMError after at most `timeout_s` seconds."""
    transport = DeadlineTransport(time.monotonic() + timeout_s, max_bytes=MAX_BYTES)
    try:
        with httpx.Client(transport=transport, base_url=url, trust_env=False) as http:
            answer = http.post("/api/embed", json={"model": model, "input": list(texts), "truncate": True})
        if answer.status_code != httpx.codes.OK:
            raise _of_status(answer.status_code, answer.text, model)
        return [[float(number) for number in vector] for vector in answer.json()["embeddings"]]
    except Exception as error:
        raise _explained(error, url, model, timeout_s, transport.received_bytes) from None


def _collect(parts: Iterator[ollama.ChatResponse], model: str, started: float) -> Reply:
    last: ollama.ChatResponse | None = None

    def pieces() -> Iterator[str]:
        nonlocal last
        for part in parts:
            yield part.message.content or ""
            if part.done:
                last = part
                return

    text = joined(pieces())
    if last is None:
        # A run that repeats itself is stopped by the server without an error and without a last line.
        raise ModelFailed("it broke off without finishing its answer")
    return Reply(
        text=text,
        done_reason=last.done_reason or "stop",
        prompt_tokens=last.prompt_eval_count,
        eval_tokens=last.eval_count,
        model=last.model or model,
        duration_s=time.monotonic() - started,
    )


def _explained(error: Exception, url: str, model: str, deadline_s: float, received_bytes: int) -> Exception:
    if isinstance(error, ollama.ResponseError):
        return _of_status(error.status_code, str(error.error or ""), model)
    return explained(error, url, model, deadline_s, received_bytes)


def _of_status(status: int, text: str, model: str) -> LLMError:
    if status == -1:
        return ModelFailed("it broke off with an error in the middle of its answer")
    if status == httpx.codes.NOT_FOUND and "not found" in text and model.split(":")[0].lower() in text.lower():
        return ModelMissing(model, f"install it with `ollama pull {model}`")
    if _RUNNER_DIED in text:
        return ModelFailed("the model's process died, often for want of memory", status=status)
    return of_status(status, model)


def _full_name(name: str) -> str:
    last = name.rsplit("/", 1)[-1]
    return (name if ":" in last else f"{name}:latest").lower()
