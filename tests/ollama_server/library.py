"""Which models does the server have, which are loaded, and how are they shown?"""

from __future__ import annotations

import hashlib
import re
import threading
import time
from datetime import UTC, datetime, timedelta
from typing import Any

_NAME = re.compile(r"(?:[\w.-]+(?::\d+)?/)?(?:[\w.-]+/)?[\w.-]{1,80}(?::[\w.-]{1,80})?$")
_SIZE = 3_826_793_677


def rfc3339(seconds: float) -> str:
    """A time as Go writes it, with a fraction and Z."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.%f") + "Z"


class Library:
    """The models of one server; names match without regard to case, and the tag defaults to `latest`."""

    def __init__(self, models: tuple[str, ...], *, thinking: tuple[str, ...], embedding: tuple[str, ...]) -> None:
        self._lock = threading.Lock()
        self._models = {full_name(name).lower(): full_name(name) for name in models}
        self._thinking = {full_name(name).lower() for name in thinking}
        self._embedding = {full_name(name).lower() for name in embedding}
        self._loaded: dict[str, tuple[float, int]] = {}  # name -> expiry, context length
        self._made = time.time()

    def find(self, name: str) -> str | None:
        """The full name of an installed model."""
        return self._models.get(full_name(name).lower())

    def add(self, name: str) -> None:
        """Install a model."""
        self._models[full_name(name).lower()] = full_name(name)

    def capabilities(self, name: str) -> list[str]:
        """What the model can do."""
        if full_name(name).lower() in self._embedding:
            return ["embedding"]
        return ["completion", "thinking"] if full_name(name).lower() in self._thinking else ["completion"]

    def load(self, name: str, *, keep_alive_s: float, num_ctx: int) -> bool:
        """Mark a model as used; whether it had to be loaded, which a change of the context costs too."""
        with self._lock:
            expiry, context = self._loaded.get(name, (0.0, 0))
            fresh = expiry < time.time() or context != num_ctx
            self._loaded[name] = (time.time() + keep_alive_s, num_ctx)
            if keep_alive_s == 0:
                del self._loaded[name]
            return fresh

    def tags(self) -> list[dict[str, Any]]:
        """The answer of /api/tags."""
        return [
            {
                "name": name,
                "model": name,
                "modified_at": rfc3339(self._made),
                "size": _SIZE,
                "digest": _digest(name),
                "details": details(name),
                "capabilities": self.capabilities(name),
            }
            for name in self._models.values()
        ]

    def running(self) -> list[dict[str, Any]]:
        """The answer of /api/ps, longest-lived first."""
        with self._lock:
            alive = [(expiry, name, ctx) for name, (expiry, ctx) in self._loaded.items() if expiry > time.time()]
        return [
            {
                "name": name,
                "model": name,
                "size": _SIZE,
                "digest": _digest(name),
                "details": details(name),
                "expires_at": rfc3339(expiry),
                "size_vram": 0,
                "context_length": num_ctx,
            }
            for expiry, name, num_ctx in sorted(alive, reverse=True)
        ]

    def show(self, name: str) -> dict[str, Any]:
        """The answer of /api/show."""
        return {
            "modelfile": f"FROM {name}\n",
            "parameters": 'stop                           "[INST]"',
            "template": "[INST] <<SYS>>{{ .System }}<</SYS>>\n\n{{ .Prompt }} [/INST]\n",
            "details": details(name),
            "model_info": {"general.architecture": "llama", "llama.context_length": 4096},
            "capabilities": self.capabilities(name),
            "modified_at": rfc3339((datetime.now(UTC) - timedelta(days=1)).timestamp()),
        }


def is_valid(name: str) -> bool:
    """Whether this can be a model's name."""
    return bool(_NAME.match(name))


def full_name(name: str) -> str:
    """The name with its tag."""
    return name if ":" in name.rsplit("/", 1)[-1] else f"{name}:latest"


def details(name: str) -> dict[str, Any]:
    """What /api/tags says about a model file."""
    family = re.sub(r"\d.*", "", name) or "llama"
    return {
        "parent_model": "",
        "format": "gguf",
        "family": family,
        "families": [family],
        "parameter_size": "7B",
        "quantization_level": "Q4_0",
    }


def _digest(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()
