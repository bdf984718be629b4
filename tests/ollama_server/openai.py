"""How does the same server answer those who speak to it as to OpenAI's?"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from typing import Any

from tests.ollama_server.running import Run


class Completion(Run):
    """An answer of /v1/chat/completions: events in place of lines."""

    content_type = "text/event-stream"
    end = b"data: [DONE]\n\n"

    def line(self, content: str, *, thinking: str = "", done_reason: str | None = None) -> dict[str, Any]:
        """One chunk; with a done_reason the last one, which counts the tokens."""
        delta = {"role": "assistant", "content": content, **({"reasoning": thinking} if thinking else {})}
        chunk: dict[str, Any] = {
            "id": "chatcmpl-7",
            "object": "chat.completion.chunk",
            "created": int(time.time()),
            "model": self.model,
            "system_fingerprint": "fp_ollama",
            "choices": [{"index": 0, "delta": delta, "finish_reason": done_reason}],
        }
        if done_reason is not None:
            total = self.prompt_tokens + self.said
            usage = {"prompt_tokens": self.prompt_tokens, "completion_tokens": self.said, "total_tokens": total}
            chunk |= {"usage": usage}
        return chunk

    def encoded(self, line: dict[str, Any]) -> bytes:
        """An event as it travels."""
        return b"data: " + json.dumps(line).encode() + b"\n\n"

    def broken(self, error: str) -> dict[str, Any]:
        """The event that says that it broke off."""
        return as_error(error)


def as_error(text: str) -> dict[str, Any]:
    """An error in OpenAI's form."""
    return {"error": {"message": text, "type": "api_error", "param": None, "code": None}}


def whole(chunk: Mapping[str, Any]) -> dict[str, Any]:
    """A last chunk as the answer of a request that asks for no stream."""
    choice = chunk["choices"][0]
    message = {"index": 0, "message": choice["delta"], "finish_reason": choice["finish_reason"]}
    return {**chunk, "object": "chat.completion", "choices": [message]}


def wanted_format(body: Mapping[str, Any]) -> object:
    """`response_format` in the words of Ollama's own API."""
    given = body.get("response_format") or {}
    if given.get("type") == "json_schema":
        return given.get("json_schema", {}).get("schema")
    return "json" if given.get("type") == "json_object" else None
