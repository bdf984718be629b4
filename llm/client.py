"""What is a model asked by, and what comes back, whichever server it runs on?"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import httpx

from llm.errors import LLMError, ModelBusy, ModelFailed, ModelRefused, ModelTimeout, ModelUnreachable
from llm.transport import TooMuch

MAX_ANSWER_CHARS = 32_000
MAX_BYTES = 8 * 1024 * 1024  # a token of three letters travels in about 120 bytes of JSON
MAX_PING_BYTES = 1024 * 1024


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
    """What a model server says of itself."""

    version: str
    missing: tuple[str, ...]  # of the models that were asked for
    duration_s: float

    def has_any(self, models: Sequence[str]) -> bool:
        """Whether one of these models is there."""
        return len(self.missing) < len(models)


class Client(Protocol):
    """One model of one server; safe to share between threads, as every question has its own connection."""

    model: str
    num_ctx: int

    def ask(self, messages: Sequence[Mapping[str, str]], schema: Mapping[str, object], *, deadline_s: float) -> Reply:
        """The model's answer, or an LLMError after at most `deadline_s` seconds, whatever the server does."""
        ...


def joined(pieces: Iterable[str]) -> str:
    """The pieces of an answer.  Raises ModelFailed when they don't end."""
    kept: list[str] = []
    length = 0
    for piece in pieces:
        kept.append(piece)
        length += len(piece)
        if length > MAX_ANSWER_CHARS:
            raise ModelFailed("its answer did not end")
    return "".join(kept)


def explained(error: Exception, url: str, model: str, deadline_s: float, received_bytes: int) -> Exception:
    """What happened on the way, in our words: the server's own text may hold the prompt, so it goes no further."""
    match error:
        case httpx.TimeoutException():
            return ModelTimeout(deadline_s, received_bytes)
        case httpx.ConnectError() | ConnectionError():
            return ModelUnreachable(_without_login(url))
        case TooMuch():
            return ModelFailed("its answer did not end")
        case httpx.HTTPStatusError():
            return of_status(error.response.status_code, model)
        case httpx.HTTPError() | httpx.InvalidURL():
            return ModelFailed("it cut the connection")
        # Not JSON, or JSON of another shape: some other server lives at this address.
        case ValueError() | AttributeError() | TypeError() | KeyError() | IndexError() | RecursionError():
            return ModelFailed("what answers there does not speak like a model server")
        case _:
            return error


def of_status(status: int, model: str) -> LLMError:
    """What an HTTP status says, whichever server it came from."""
    match status:
        case 503 | 429:
            return ModelBusy(model)
        case 401 | 403:
            return ModelRefused(status, "it wants a login, or does not allow this host name")
        case _ if 300 <= status < 500:
            return ModelRefused(status, "check that the address is a model server's and the model can chat")
        case _:
            return ModelFailed(f"status {status}", status=status)


def _without_login(url: str) -> str:
    return url.rsplit("@", 1)[-1]
