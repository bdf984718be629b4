"""Is each server that we need there?  Named pings, side by side, each within two seconds."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass
from http import HTTPStatus
from typing import Literal

import httpx

from sensus.settings import Settings

LIMIT_S = 1.8
Status = Literal["ok", "degraded", "down"]


@dataclass(frozen=True, slots=True)
class Check:
    """The answer of one ping; `detail` is one line, fit for anyone."""

    ok: bool
    detail: str


def away(_name: str, error: BaseException) -> str:
    """What is said of a server whose ping raised that."""
    return f"away ({type(error).__name__})"


class Pings:
    """Runs named pings; a ping returns its detail line, or raises what `told` makes a line of."""

    def __init__(
        self,
        pings: Mapping[str, Callable[[], str]],
        *,
        needed: frozenset[str],
        limit_s: float = LIMIT_S,
        told: Callable[[str, BaseException], str] = away,
    ) -> None:
        self._pings = dict(pings)
        self._told = told
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
                checks[name] = Check(False, self._told(name, error))
            else:
                checks[name] = Check(True, future.result())
        away = {name for name, check in checks.items() if not check.ok}
        status: Status = "ok" if not away else "down" if away & self._needed else "degraded"
        return status, checks


def model_ping(settings: Settings, *, timeout_s: float = 1.5) -> str:
    """Whether the model server answers and which of the models it has.  Raises when it does not answer."""
    is_ollama = settings.llm_api == "ollama"
    key = settings.llm_key
    headers = {"Authorization": f"Bearer {key.get_secret_value()}"} if key and not is_ollama else {}
    answer = httpx.get(
        f"{settings.model_url()}/{'api/tags' if is_ollama else 'models'}", headers=headers, timeout=timeout_s
    )
    answer.raise_for_status()
    told = answer.json().get("models" if is_ollama else "data") or []
    known = {str(entry.get("name" if is_ollama else "id", "")).lower() for entry in told}
    wanted = (*settings.llm_models(), *((settings.embed_model,) if settings.embed_model else ()))
    missing = [model for model in wanted if not {model.lower(), f"{model.lower()}:latest"} & known]
    if missing:
        hint = f": run `ollama pull {missing[0]}`" if is_ollama else ""
        return f"answers, but model {', '.join(missing)} is missing{hint}"
    return f"model {', '.join(wanted)} is there"


def alertmanager_ping(url: str, *, timeout_s: float = 1.5) -> str:
    """Which version answers at an address, which may hold a name and a password.  Raises when none does."""
    answer = httpx.get(f"{url}/api/v2/status", timeout=timeout_s)
    if answer.status_code != HTTPStatus.OK:
        return f"answers {answer.status_code}: are address and password right?"
    return f"Alertmanager {answer.json()['versionInfo']['version']}"
