"""Is each server that we need there?  Named pings, side by side, each within two seconds."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass
from http import HTTPStatus
from typing import Literal

import httpx

LIMIT_S = 1.8
Status = Literal["ok", "degraded", "down"]


@dataclass(frozen=True, slots=True)
class Check:
    """The answer of one ping; `detail` is one line, fit for anyone."""

    ok: bool
    detail: str


class Pings:
    """Runs named pings; a ping returns its detail line, or raises."""

    def __init__(
        self, pings: Mapping[str, Callable[[], str]], *, needed: frozenset[str], limit_s: float = LIMIT_S
    ) -> None:
        self._pings = dict(pings)
        self._needed = needed
        self._limit_s = limit_s
        self._pool = ThreadPoolExecutor(max_workers=4 * len(self._pings), thread_name_prefix="ping")

    def run(self) -> tuple[Status, dict[str, Check]]:
        """The verdict and each check: down when a needed server is away, degraded when another is."""
        futures = {name: self._pool.submit(ping) for name, ping in self._pings.items()}
        wait(futures.values(), timeout=self._limit_s)
        checks: dict[str, Check] = {}
        for name, future in futures.items():
            if not future.done():
                checks[name] = Check(False, f"no answer within {self._limit_s} s")
            elif (error := future.exception()) is not None:
                checks[name] = Check(False, f"away ({type(error).__name__})")
            else:
                checks[name] = Check(True, future.result())
        away = {name for name, check in checks.items() if not check.ok}
        status: Status = "ok" if not away else "down" if away & self._needed else "degraded"
        return status, checks


def ollama_ping(url: str, model: str, *, timeout_s: float = 1.5) -> str:
    """Whether Ollama answers and has the model.  Raises when it does not answer."""
    answer = httpx.get(f"{url}/api/tags", timeout=timeout_s)
    answer.raise_for_status()
    models = {str(entry.get("name", "")).lower() for entry in answer.json().get("models", [])}
    wanted = model.lower() if ":" in model else f"{model.lower()}:latest"
    return (
        f"model {model} is there"
        if wanted in models
        else f"answers, but model {model} is missing: run `ollama pull {model}`"
    )


def alertmanager_ping(url: str, *, timeout_s: float = 1.5) -> str:
    """Which version answers at an address, which may hold a name and a password.  Raises when none does."""
    answer = httpx.get(f"{url}/api/v2/status", timeout=timeout_s)
    if answer.status_code != HTTPStatus.OK:
        return f"answers {answer.status_code}: are address and password right?"
    return f"Alertmanager {answer.json()['versionInfo']['version']}"
