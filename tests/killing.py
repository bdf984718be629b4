"""Senders that go on while the API is killed under them: is what was acknowledged there?"""

from __future__ import annotations

import os
import signal
import threading
import time
import uuid
from collections.abc import Callable
from typing import Any

import httpx
import psycopg

from bench import samples
from bench.remote_write import REMOTE_WRITE
from tests.stack import Up
from tests.waiting import wait_for

ALERTS_A_WEBHOOK = 5
SERIES = 40
MASTER_AND_WORKERS = 3
_BETWEEN_KILLS = 10  # acknowledged requests of each sender
_BACK_S = 60.0  # after so many deaths the supervisor waits for half a minute

Post = Callable[[httpx.Client, int], httpx.Response]


class Sender(threading.Thread):
    """Sends one numbered request after the other, each once, and remembers which were acknowledged."""

    def __init__(self, up: Up, post: Post) -> None:
        super().__init__(daemon=True)
        self.acknowledged: list[int] = []
        self.unanswered = 0
        self._up = up
        self._post = post
        self._key = up.unlimited_key()
        self._stop_now = threading.Event()

    def run(self) -> None:
        number = 0
        while not self._stop_now.is_set():
            number += 1
            try:
                with self._up.client(self._key) as client:
                    self._post(client, number).raise_for_status()
                self.acknowledged.append(number)
            except httpx.HTTPError:
                self.unanswered += 1
                time.sleep(0.05)  # the API is away, and a burst of refusals proves nothing

    def stop(self) -> None:
        """Ends with the answer to what is under way."""
        self._stop_now.set()
        self.join(40)


def a_killed_api_loses_nothing(up: Up, *, kills: int) -> str:
    """Gunicorn's master and workers are killed in mid-burst; every acknowledged alert and sample is stored."""
    run = uuid.uuid4().hex[:10]
    began = int(time.time()) - 24 * 3600
    posts = (_alerts(run, began), _json(run, began), _remote_write(run, began))
    senders = [Sender(up, post) for post in posts]
    for sender in senders:
        sender.start()
    try:
        for _ in range(kills):
            _until_all_go_on(senders)
            for pid in _api(up):
                os.kill(pid, signal.SIGKILL)
        _until_all_go_on(senders)
    finally:
        for sender in senders:
            sender.stop()
    of_alerts, of_json, of_remote_write = senders
    cut = sum(sender.unanswered for sender in senders)
    assert cut, "no request was under way when the API was killed"
    lost = _lost_alerts(up, run, of_alerts.acknowledged)
    lost += _lost_samples(up, f"{run}-json", began, of_json.acknowledged)
    lost += _lost_samples(up, f"{run}-write", began, of_remote_write.acknowledged)
    alerts = len(of_alerts.acknowledged) * ALERTS_A_WEBHOOK
    stored = (len(of_json.acknowledged) + len(of_remote_write.acknowledged)) * SERIES
    assert not lost, f"{lost} of {alerts} alerts and {stored} samples lost"
    return f"0 of {alerts} alerts and {stored} samples lost, {kills} times killed, {cut} requests cut off or refused"


def _until_all_go_on(senders: list[Sender]) -> None:
    before = [len(sender.acknowledged) for sender in senders]
    for sender, count in zip(senders, before, strict=True):
        wait_for(
            lambda sender=sender, count=count: len(sender.acknowledged) >= count + _BETWEEN_KILLS,  # type: ignore[misc]
            "every sender is answered again",
            timeout_s=_BACK_S,
        )


def _api(up: Up) -> list[int]:
    """The master and all its workers, the master first: a worker that is left would serve on without it."""

    def complete() -> list[int]:
        pids = up.pids("web")
        return pids if len(pids) >= MASTER_AND_WORKERS else []

    return wait_for(complete, "the API has all its processes")


def _alerts(run: str, began: int) -> Post:
    def post(client: httpx.Client, number: int) -> httpx.Response:
        labels = [
            {"alertname": "Killed", "run": run, "n": str(number), "place": str(n)} for n in range(ALERTS_A_WEBHOOK)
        ]
        return client.post(
            "/api/v1/alerts", json=[{"labels": each, "startsAt": samples.told(began)} for each in labels]
        )

    return post


def _json(run: str, began: int) -> Post:
    return lambda client, number: _post(client, samples.JSON, f"{run}-json", began + number)


def _remote_write(run: str, began: int) -> Post:
    return lambda client, number: _post(client, REMOTE_WRITE, f"{run}-write", began + number)


def _post(client: httpx.Client, wire: samples.Wire, run: str, at: int) -> httpx.Response:
    body = wire.encode(run, [(number, at, float(number)) for number in range(SERIES)])
    return client.post(wire.path, content=body, headers=dict(wire.headers))


def _lost_alerts(up: Up, run: str, acknowledged: list[int]) -> int:
    stored = _counts(up, "SELECT labels ->> 'n', count(*) FROM alerts WHERE labels ->> 'run' = %s GROUP BY 1", run)
    return sum(ALERTS_A_WEBHOOK - stored.get(str(number), 0) for number in acknowledged)


def _lost_samples(up: Up, run: str, began: int, acknowledged: list[int]) -> int:
    stored = _counts(
        up,
        "SELECT extract(epoch FROM timestamp)::bigint, count(*) FROM samples JOIN series ON series.id = series_id "
        "WHERE labels ->> 'run' = %s GROUP BY 1",
        run,
    )
    return sum(SERIES - stored.get(began + number, 0) for number in acknowledged)


def _counts(up: Up, query: str, run: str) -> dict[Any, int]:
    with psycopg.connect(up.facts["database_url"]) as connection:
        return dict(connection.execute(query, (run,)).fetchall())
