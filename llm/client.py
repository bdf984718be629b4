"""One question to an Ollama server, and the whole of its answer, in time or not at all."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import httpx
import ollama

from llm.errors import LLMError, ModelBusy, ModelFailed, ModelMissing, ModelRefused, ModelTimeout, ModelUnreachable
from llm.prompt import answer_tokens
from llm.transport import DeadlineTransport, TooMuch

MAX_ANSWER_CHARS = 32_000
_MAX_BYTES = 8 * 1024 * 1024  # a token of three letters travels in about 120 bytes of JSON
_MAX_PING_BYTES = 1024 * 1024
_RUNNER_DIED = "model runner has unexpectedly stopped"


@dataclass(frozen=True, slots=True)
class Reply:
    """What the model wrote, and what it cost."""

    text: str
    done_reason: str  # "stop", or "length" when it was cut off
    prompt_tokens: int | None  # as counted by the server, which may leave it out
    eval_tokens: int | None
    model: str
    duration_s: float


@dataclass(frozen=True, slots=True)
class Ping:
    """What an Ollama server says of itself."""

    version: str
    has_model: bool
    duration_s: float


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
        transport = DeadlineTransport(started + deadline_s, max_bytes=_MAX_BYTES)
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


def ping(url: str, model: str, *, timeout_s: float) -> Ping:
    """Whether the server is there and has the model.  Raises an LLMError after at most `timeout_s` seconds."""
    started = time.monotonic()
    transport = DeadlineTransport(started + timeout_s, max_bytes=_MAX_PING_BYTES)
    try:
        with httpx.Client(transport=transport, base_url=url, trust_env=False) as http:
            version = http.get("/api/version").raise_for_status().json()["version"]
            models = http.get("/api/tags").raise_for_status().json()["models"]
        names = {_full_name(entry["name"]) for entry in models}
    except Exception as error:
        raise _explained(error, url, model, timeout_s, transport.received_bytes) from None
    return Ping(version=str(version), has_model=_full_name(model) in names, duration_s=time.monotonic() - started)


def _collect(parts: Iterator[ollama.ChatResponse], model: str, started: float) -> Reply:
    pieces: list[str] = []
    length = 0
    for part in parts:
        piece = part.message.content or ""
        pieces.append(piece)
        length += len(piece)
        if length > MAX_ANSWER_CHARS:
            raise ModelFailed("its answer did not end")
        if part.done:
            return Reply(
                text="".join(pieces),
                done_reason=part.done_reason or "stop",
                prompt_tokens=part.prompt_eval_count,
                eval_tokens=part.eval_count,
                model=part.model or model,
                duration_s=time.monotonic() - started,
            )
    # A run that repeats itself is stopped by the server without an error and without a last line.
    raise ModelFailed("it broke off without finishing its answer")


def _explained(error: Exception, url: str, model: str, deadline_s: float, received_bytes: int) -> Exception:
    """What happened, in our words: the server's own text may hold the prompt, so it goes no further."""
    match error:
        case httpx.TimeoutException():
            return ModelTimeout(deadline_s, received_bytes)
        case httpx.ConnectError() | ConnectionError():
            return ModelUnreachable(_without_login(url))
        case TooMuch():
            return ModelFailed("its answer did not end")
        case httpx.HTTPStatusError():
            return _of_status(error.response.status_code, "", model)
        case httpx.HTTPError() | httpx.InvalidURL():
            return ModelFailed("it cut the connection")
        case ollama.ResponseError():
            return _of_status(error.status_code, str(error.error or ""), model)
        # Not JSON, or JSON of another shape: some other server lives at this address.
        case ValueError() | AttributeError() | TypeError() | KeyError() | RecursionError():
            return ModelFailed("what answers there does not speak like Ollama")
        case _:
            return error


def _of_status(status: int, text: str, model: str) -> LLMError:
    match status:
        case -1:
            return ModelFailed("it broke off with an error in the middle of its answer")
        case 404 if "not found" in text and model.split(":")[0].lower() in text.lower():
            return ModelMissing(model)
        case 503 | 429:
            return ModelBusy(model)
        case 401 | 403:
            return ModelRefused(status, "it wants a login, or does not allow this host name")
        case _ if 300 <= status < 500:
            return ModelRefused(status, "check that the address is an Ollama server's and the model can chat")
        case _:
            why = "the model's process died, often for want of memory" if _RUNNER_DIED in text else f"status {status}"
            return ModelFailed(why, status=status)


def _without_login(url: str) -> str:
    return url.rsplit("@", 1)[-1]


def _full_name(name: str) -> str:
    last = name.rsplit("/", 1)[-1]
    return (name if ":" in last else f"{name}:latest").lower()
