"""Which models answer, at which address and in which language?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from llm import ollama_client, openai_client
from llm.client import Client, Ping
from llm.ollama_client import OllamaClient
from llm.openai_client import OpenAIClient

Api = Literal["ollama", "openai"]


@dataclass(frozen=True, slots=True)
class ModelServer:
    """One server and the models of it that may be asked, the preferred one first."""

    api: Api
    url: str
    models: tuple[str, ...]
    num_ctx: int
    key: str | None = field(default=None, repr=False)

    def clients(self) -> list[Client]:
        """One for each model, in the order of preference."""
        if self.api == "ollama":
            return [OllamaClient(self.url, model, num_ctx=self.num_ctx) for model in self.models]
        return [OpenAIClient(self.url, model, num_ctx=self.num_ctx, key=self.key) for model in self.models]

    def ping(self, *, timeout_s: float) -> Ping:
        """Whether it is there, and which models it lacks.  Raises an LLMError."""
        if self.api == "ollama":
            return ollama_client.ping(self.url, self.models, timeout_s=timeout_s)
        return openai_client.ping(self.url, self.models, key=self.key, timeout_s=timeout_s)

    def embed(self, model: str, texts: Sequence[str], *, timeout_s: float) -> list[list[float]]:
        """A vector for each text.  Raises an LLMError."""
        if self.api == "ollama":
            return ollama_client.embed(self.url, model, texts, timeout_s=timeout_s)
        return openai_client.embed(self.url, model, texts, key=self.key, timeout_s=timeout_s)
