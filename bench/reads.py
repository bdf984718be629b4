"""How long do people wait for a list, for one alert and for their acknowledgement, with few alerts and with many?"""

from __future__ import annotations

import contextlib
import random
from collections.abc import Callable, Iterator, Sequence
from statistics import median

from bench import load
from bench.alerts import AlertsCase
from bench.figures import Figure, percentile
from bench.load import Request, Target
from bench.rounds import Say
from bench.stack import Api, BenchStack

LIST, LIST_BY_LABEL, GET, ACKNOWLEDGE = "list_alerts", "list_alerts_by_label", "get_alert", "acknowledge_alert"
NAMES = (LIST, LIST_BY_LABEL, GET, ACKNOWLEDGE)
# As many as one page and some more, so that the empty database answers lists of the same length.
_FEW = 200
_PAGE = 50
_HEADERS = {"Content-Type": "application/json"}


def measure(stack: BenchStack, names: Sequence[str], times: int, say: Say) -> Iterator[Figure]:
    """Latency of each; one request after the other, in turn to both databases where there are two."""
    apis = [api for api in (stack.api, stack.filled) if api is not None]
    for api in apis:
        _send_few(api)
    for name in names:
        say(f"{name}: {times} requests")
        took = _took(apis, name, times)
        yield Figure(name, *_of(took[0]))
        if len(took) > 1:
            value, unit, facts = _of(took[1])
            yield Figure(f"{name}_filled", value, unit, {"ratio_to_empty": value / _of(took[0])[0], **facts})


def _of(took_s: Sequence[float]) -> tuple[float, str, dict[str, object]]:
    facts = {f"p{share}_ms": percentile(took_s, share / 100) * 1000 for share in (50, 95, 99)}
    return median(took_s) * 1000, "ms", {**facts, "requests": len(took_s)}


def _send_few(api: Api) -> None:
    case = AlertsCase("few", _FEW)
    load.send(api.target(case.path, case.headers), [[case.request()]], seconds=60)


def _took(apis: Sequence[Api], name: str, times: int) -> list[list[float]]:
    took: list[list[float]] = [[] for _ in apis]
    makers = [_requests(api, name) for api in apis]
    with contextlib.ExitStack() as stack:
        connections = [stack.enter_context(load.connect(api.port)) for api in apis]
        for number in range(times):
            for into, make, connection in zip(took, makers, connections, strict=True):
                target, body = make(number)
                into.append(load.exchange(connection, target, Request(body, 0)).took_s)
    return took


def _requests(api: Api, name: str) -> Callable[[int], tuple[Target, bytes]]:
    chosen = random.Random(11)
    ids = _firing(api)
    paths: dict[str, Callable[[int], str]] = {
        LIST: lambda _: f"?status=firing&limit={_PAGE}",
        LIST_BY_LABEL: lambda number: f"?label=service%3Dservice-{number % 200}&limit={_PAGE}",
        GET: lambda _: f"/{chosen.choice(ids)}",
        ACKNOWLEDGE: lambda _: f"/{chosen.choice(ids)}/ack",
    }

    def make(number: int) -> tuple[Target, bytes]:
        path = "/api/v1/alerts" + paths[name](number)
        if name == ACKNOWLEDGE:
            # Another note each time, so that each changes the alert and its history.
            return api.target(path, _HEADERS), f'{{"note": "seen, {number}"}}'.encode()
        return api.target(path, _HEADERS, "GET"), b""

    return make


def _firing(api: Api) -> list[int]:
    with api.connect() as connection:
        return [id_ for (id_,) in connection.execute("SELECT id FROM alerts WHERE status = 'firing' ORDER BY id")]
