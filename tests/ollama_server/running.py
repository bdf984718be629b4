"""What does one run of a model look like on the wire: its lines, its counts, its limits?"""

from __future__ import annotations

import hashlib
import json
import math
import re
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from tests.ollama_server.library import rfc3339
from tests.ollama_server.plays import Done, Step, Text

_TOKEN = re.compile(r"[A-Za-z]{1,5}|\d|[^\sA-Za-z\d]|\n")


@dataclass
class Run:
    """One answer in the making; durations are in nanoseconds and zero values are left out."""

    model: str
    is_chat: bool
    prompt_tokens: int = 0
    loaded: bool = False
    raw: bool = False
    most: int = -1
    think: object = None
    started: float = field(default_factory=time.monotonic)
    said: int = 0

    def line(self, content: str, *, thinking: str = "", done_reason: str | None = None) -> dict[str, Any]:
        """One object of the answer; with a done_reason the last one."""
        shown = {"thinking": thinking} if thinking and self.think is not False else {}
        body: dict[str, Any] = {"message": {"role": "assistant", "content": content, **shown}}
        if not self.is_chat:
            body = {"response": content, **shown}
        line = {"model": self.model, "created_at": rfc3339(time.time()), **body, "done": done_reason is not None}
        if done_reason is None:
            return line
        took = int((time.monotonic() - self.started) * 1e9)
        metrics = {
            "total_duration": took,
            "load_duration": 2_100_000_000 if self.loaded else 11_000_000,
            "prompt_eval_count": self.prompt_tokens,
            "prompt_eval_duration": took // 4,
            "eval_count": self.said,
            "eval_duration": took // 2,
        }
        ends = {"done_reason": done_reason}
        if done_reason in ("load", "unload"):
            return line | ends
        if not self.is_chat and not self.raw:
            ends |= {"context": [1, 518, 25580]}  # type: ignore[dict-item]
        return line | ends | {name: value for name, value in metrics.items() if value}

    content_type = "application/x-ndjson"
    end = b""

    def encoded(self, line: dict[str, Any]) -> bytes:
        """A line as it travels."""
        return json.dumps(line).encode() + b"\n"

    def broken(self, error: str) -> dict[str, Any]:
        """The line that says that it broke off."""
        return {"error": error}

    def limited(self, steps: Iterable[Step]) -> Iterator[Step]:
        """The steps as far as num_predict allows: then the answer ends, wherever it stands."""
        for step in steps:
            if isinstance(step, Text):
                self.said += 1
                if 0 <= self.most < self.said:
                    yield Done("length")
                    return
            yield step


def truncated(messages: list[dict[str, str]], num_ctx: int) -> tuple[list[dict[str, str]], int]:
    """What is left of the messages in a context, and how many tokens it takes.

    As the real server does, silently: the oldest go, the system messages and the last one stay.
    """
    kept = list(messages)
    while _tokens(kept) > num_ctx:
        oldest = next((place for place, one in enumerate(kept[:-1]) if one.get("role") != "system"), None)
        if oldest is None:
            break
        del kept[oldest]
    return kept, min(_tokens(kept), num_ctx)


def embedding(text: str, dimensions: int) -> list[float]:
    """A unit vector that depends on the text alone; texts with words in common come near to each other."""
    raw = [0.0] * dimensions
    for word in re.findall(r"[a-z0-9]+", text.lower()) or [text]:
        digest = hashlib.sha512(word.encode()).digest()
        raw = [value + digest[place % 64] / 255 - 0.5 for place, value in enumerate(raw)]
    length = math.sqrt(sum(value * value for value in raw)) or 1.0
    return [value / length for value in raw]


def _tokens(messages: list[dict[str, str]]) -> int:
    return sum(len(_TOKEN.findall(str(message.get("content", "")))) + 4 for message in messages)
