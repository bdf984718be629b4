"""How often may this caller ask?  A sliding window in Redis, in memory while Redis is away."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from http import HTTPStatus
from typing import Any, Literal, TypeVar

from flask import Flask, Response, g, request
from flask_limiter import Limiter, RateLimitExceeded
from limits.storage import RedisStorage

from sensus.breaker import Guard
from sensus.errors import Unavailable
from web.errors import RateLimited
from web.request_context import client_address
from web.resources import Resources, resources

T = TypeVar("T")
Category = Literal["metrics", "alerts", "analysis", "default"]
WINDOW_S = 60
_SCHEME = "guarded+redis"


class GuardedStorage(RedisStorage):
    """Limits in Redis, each call behind the guard, so that Redis costs a request 50 ms at most."""

    STORAGE_SCHEME = [_SCHEME]

    def __init__(self, uri: str, *, guard: Guard, **options: Any) -> None:
        self._guard = guard
        super().__init__(uri.removeprefix("guarded+"), **options)

    def acquire_entry(self, key: str, limit: int, expiry: int, amount: int = 1) -> bool:
        return self._guard.call(lambda: super(GuardedStorage, self).acquire_entry(key, limit, expiry, amount))

    def get_moving_window(self, key: str, limit: int, expiry: int) -> tuple[float, int]:
        return self._guard.call(lambda: super(GuardedStorage, self).get_moving_window(key, limit, expiry))

    def check(self) -> bool:
        try:
            return self._guard.call(lambda: super(GuardedStorage, self).check())
        except Unavailable:
            return False


def _identity() -> str:
    caller = g.get("caller")
    return caller.identity if caller is not None else f"address:{client_address()}"


limiter = Limiter(key_func=_identity, strategy="moving-window", headers_enabled=True, in_memory_fallback_enabled=True)


def install(app: Flask, opened: Resources) -> None:
    """Count in this application's Redis."""
    # Registered before the limiter's own, hence run after it.
    app.after_request(_only_when_refused)
    url = opened.settings.require_redis_url()
    app.config.update(
        RATELIMIT_STORAGE_URI=f"guarded+{url}".replace("guarded+rediss", "guarded+redis", 1),
        RATELIMIT_STORAGE_OPTIONS={"guard": opened.guard, "connection_pool": opened.redis.connection_pool},
    )
    limiter.init_app(app)
    # Each limit of ours stands on its view, which looks at it; looking for others before each request is for nothing.
    before = app.before_request_funcs[None]
    before[:] = [function for function in before if getattr(function, "__self__", None) is not limiter]


def limited(category: Category, view: Callable[..., T]) -> Callable[..., T]:
    """The view, counted by caller, method and route.  Raises RateLimited."""
    counted = limiter.limit(lambda: _allowed(category), per_method=True, exempt_when=_is_unlimited)(view)

    def within_limit(*arguments: Any, **options: Any) -> T:
        try:
            return counted(*arguments, **options)
        except RateLimitExceeded as error:
            raise refusal() from error

    return within_limit


def count_stranger() -> None:
    """Count a failed proof against the address it came from.  Raises RateLimited."""
    _stranger()


def refusal() -> RateLimited:
    """What a caller over the limit is told."""
    agent = request.headers.get("User-Agent", "")
    # These two throw away what got 429, and try 5xx again.
    drops = agent.startswith("Alertmanager/") or (agent.startswith("Prometheus/") and request.path == "/api/v1/write")
    wait_s = _seconds_to_wait()
    return RateLimited(
        f"too many requests; try again in {wait_s} s",
        retry_after_s=wait_s,
        status=HTTPStatus.SERVICE_UNAVAILABLE if drops else HTTPStatus.TOO_MANY_REQUESTS,
    )


def _allowed(category: Category) -> str:
    caller = g.get("caller")
    if caller is not None and caller.kind == "key":
        # The limiter asks for the amount before it asks whether the key has a limit at all.
        amount = caller.rate or 1
    else:
        amount = getattr(resources().settings, f"rate_limit_{category}")
    return f"{amount} per {WINDOW_S} seconds"


def _is_unlimited() -> bool:
    caller = g.get("caller")
    return caller is not None and caller.kind == "key" and caller.rate is None


def _nothing() -> None:
    """What a stranger gets."""


_stranger = limited("default", _nothing)


def _seconds_to_wait() -> int:
    limit = limiter.current_limit
    try:
        return max(1, math.ceil(limit.reset_at - time.time())) if limit is not None else WINDOW_S
    except Unavailable:
        return WINDOW_S


def _only_when_refused(response: Response) -> Response:
    if response.status_code not in (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE):
        response.headers.pop("Retry-After", None)
    return response
