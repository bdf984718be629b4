"""Every promise of the product at full size, each on a stack started as a user starts it: `make prove`."""

from __future__ import annotations

import argparse
import os
import pwd
import re
import shutil
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from sensus.runtime import ports
from tests import benchmarks, forecasting, incident_scenarios, killing, labelled, outside, scenarios, telling
from tests.alertmanager import Alertmanager
from tests.ollama_server import OllamaServer
from tests.receivers import MailServer, WebhookReceiver
from tests.rootcause_figures import Figures
from tests.sentinel import SentinelRedis
from tests.servers import PrivateServers
from tests.stack import environment, sensus_up
from tests.storms.made import Profile

ROOT = Path(__file__).parent.parent
SHARED = ROOT.parent / "shared"
READY_S = 90.0
NAB_FILE = "Twitter_volume_AAPL.csv"


@dataclass(frozen=True, slots=True)
class Line:
    """One row of the table."""

    promise: str
    held: bool
    figure: str
    seconds: float


class Table:
    """Runs proofs one after the other and keeps what came of each."""

    def __init__(self, only: str) -> None:
        self.lines: list[Line] = []
        self._only = only

    def prove(self, promise: str, work: Callable[..., str], *arguments: Any, **options: Any) -> None:
        """Run one proof; a failure is a row of the table, not the end."""
        if self._only not in promise:
            return
        print(f"... {promise}", flush=True)
        began = time.monotonic()
        try:
            line = Line(promise, True, work(*arguments, **options), time.monotonic() - began)
        except Exception as error:
            traceback.print_exc()
            line = Line(promise, False, (str(error) or repr(error)).splitlines()[0][:200], time.monotonic() - began)
        self.lines.append(line)
        print(f"{'held' if line.held else 'BROKEN'}: {line.promise}: {line.figure} ({line.seconds:.0f} s)", flush=True)

    def print(self) -> int:
        """The table as Markdown; the exit code."""
        print("\n| promise | held | figure | s |\n|---|---|---|---|")
        for line in self.lines:
            print(f"| {line.promise} | {'yes' if line.held else '**no**'} | {line.figure} | {line.seconds:.0f} |")
        return 0 if all(line.held for line in self.lines) else 1


def main() -> int:
    """Prove everything, or what `--part NAME` and `--only TEXT` name."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--part", action="append", choices=PARTS, metavar="NAME", help=f"only this; may be repeated: {', '.join(PARTS)}"
    )
    parser.add_argument("--only", default="", metavar="TEXT", help="only the promises that contain TEXT")
    arguments = parser.parse_args()
    table = Table(arguments.only)
    with tempfile.TemporaryDirectory(prefix="sensus-prove-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        for part in arguments.part or PARTS:
            PARTS[part](table, folder)
    return table.print()


def _clones(table: Table, folder: Path) -> None:
    if os.geteuid() == 0:
        with _closed_home() as home:
            table.prove("make up as root, from a clone under its closed home, and again", _twice, home, home / "clone")
        user = pwd.getpwnam("nobody")
        home = folder / "ordinary"
        home.mkdir()
        table.prove("make up as an ordinary user, and again", _twice, home, home / "clone", user)
    else:
        home = folder / "ordinary"
        home.mkdir()
        table.prove("make up as an ordinary user, and again", _twice, home, home / "clone")


def _twice(home: Path, clone: Path, user: pwd.struct_passwd | None = None) -> str:
    """From clone to ready; stop; start again; everything is there."""
    subprocess.run(["git", "clone", "--quiet", str(ROOT), str(clone)], check=True)
    options: dict[str, Any] = {}
    command = ["make", "up", f"ARGS=--port 0 --data {home / 'data'}"]
    if user is not None:
        # An interpreter below somebody else's closed home can't be used; Debian's can.
        command.append("PYTHON=/usr/bin/python3")
        subprocess.run(["chown", "-R", f"{user.pw_uid}:{user.pw_gid}", str(home)], check=True)
        options = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
    env = {**environment(), "HOME": str(home), "XDG_CACHE_HOME": str(home / ".cache")}
    env.pop("VIRTUAL_ENV", None)
    with sensus_up(home / "data", command=command, cwd=clone, env=env, timeout_s=300, **options) as up:
        first_s = up.started_s
        scenarios.captured_webhooks_become_ten_alerts(up)
        scenarios.firing_alerts_are_analysed(up, outcome="evidence_only")
        before = scenarios.snapshot(up)
        stopped_s = up.stop()
    with sensus_up(home / "data", command=command, cwd=clone, env=env, **options) as up:
        second_s = up.started_s
        there = scenarios.everything_is_there(up, before)
    assert first_s < READY_S, f"ready after {first_s:.0f} s"
    return f"ready after {first_s:.0f} s, stopped in {stopped_s:.1f} s, again ready after {second_s:.0f} s, {there}"


def _with_a_model(table: Table, folder: Path) -> None:
    with (
        OllamaServer(models=("llama2:latest",)) as model,
        sensus_up(folder / "model", env=environment(SENSUS_OLLAMA_URL=model.url)) as up,
    ):
        table.prove("captured webhooks, posted twice", scenarios.captured_webhooks_become_ten_alerts, up)
        table.prove("analyses with a model", scenarios.firing_alerts_are_analysed, up, outcome="model")
    table.prove("a model that thinks for minutes holds up nothing, not even a stop", _slow_model, folder / "busy")


def _storms(table: Table, folder: Path) -> None:
    for seed, profile in ((41, Profile(labelling="mixed")), (42, Profile(labelling="kubernetes", topology=0.0))):
        calls = "calls known" if profile.topology else "no call known"
        promise = f"a labelled storm of 300 alerts by {profile.labelling} labels, {calls}"
        table.prove(promise, _storm, folder / f"storm-{seed}", seed, profile)


def _storm(data: Path, seed: int, profile: Profile) -> str:
    # On a stack of its own: what another storm taught of the same names would be no truth here.
    with (
        OllamaServer(models=("llama2:latest",)) as model,
        sensus_up(data, env=environment(SENSUS_OLLAMA_URL=model.url)) as up,
    ):
        return incident_scenarios.a_storm_is_put_together(up, model, seed, profile)


def _slow_model(data: Path) -> str:
    """New alerts while every analyst waits for the model; then a stop, and a start."""
    with OllamaServer(models=("llama2:latest",)) as model:
        env = environment(SENSUS_OLLAMA_URL=model.url)
        with sensus_up(data, env=env) as up:
            answered = scenarios.new_alerts_are_answered_while_the_model_thinks(up, model)
        model.requests.clear()
        with sensus_up(data, env=env) as up:
            return f"{answered}; {scenarios.a_stop_costs_an_analysis_nothing(up, model)}"


def _without_a_model(table: Table, folder: Path) -> None:
    series = next((SHARED / "data").rglob(NAB_FILE))
    with sensus_up(folder / "plain", env=environment(SENSUS_OLLAMA_URL="http://127.0.0.1:9")) as up:
        scenarios.captured_webhooks_become_ten_alerts(up)
        table.prove("analyses without a model", scenarios.firing_alerts_are_analysed, up, outcome="evidence_only")
        table.prove("a re-fire is a second episode", scenarios.a_refire_is_a_second_episode, up)
        table.prove("bad input", scenarios.bad_input_gets_a_clear_error, up)
        table.prove("a real Prometheus and Alertmanager", scenarios.a_real_alertmanager_delivers, up, folder / "peers")
        table.prove(
            "the broken service of a real shop is the first suspect",
            incident_scenarios.the_broken_service_is_the_first_suspect,
            up,
            folder / "shop",
            usual_s=90.0,
        )
        table.prove(
            "a real Prometheus writes for two minutes, the API killed in between",
            scenarios.a_real_prometheus_writes,
            up,
            folder / "remote-write",
            for_s=120.0,
            kill=True,
        )
        for batch, kill, twice in ((500, False, False), (500, True, True), (7, True, False), (1, True, False)):
            name = f"live equals offline: batches of {batch}{', worker killed' * kill}{', sent twice' * twice}"
            out = folder / f"score-{batch}-{kill}-{twice}"
            table.prove(name, scenarios.live_equals_offline, up, series, out, batch=batch, kill=kill, twice=twice)


def _beside_an_alertmanager(table: Table, folder: Path) -> None:
    port = ports.choose(0, "a proof")
    with Alertmanager(folder / "alertmanager", api=f"http://127.0.0.1:{port}") as alertmanager:
        env = environment(SENSUS_OLLAMA_URL="http://127.0.0.1:9", SENSUS_ALERTMANAGER_URL=alertmanager.url)
        with sensus_up(folder / "reconciled", env=env, options=("--port", str(port))) as up:
            for fires_s in (30.0, 75.0):
                table.prove(
                    f"the API down during the whole life of an alert of {fires_s:.0f} s",
                    scenarios.a_life_without_the_api,
                    up,
                    alertmanager,
                    folder / f"life-{fires_s:.0f}",
                    fires_s=fires_s,
                    hurried=False,
                )


def _with_servers_of_ones_own(table: Table, folder: Path) -> None:
    with PrivateServers(durable=True) as servers:
        settings = {"SENSUS_DATABASE_URL": servers.database_url, "SENSUS_REDIS_URL": servers.redis_url}
        with sensus_up(folder / "own", env=environment(SENSUS_OLLAMA_URL="http://127.0.0.1:9", **settings)) as up:
            table.prove(
                "Redis stopped for 60 s in the middle of 200 webhooks",
                scenarios.redis_may_be_away,
                up,
                servers.redis,
                webhooks=200,
                away_s=60.0,
            )


def _behind_sentinel(table: Table, folder: Path) -> None:
    table.prove("Redis dies in the middle of 200 webhooks, and Sentinel makes another", _sentinel, folder / "failover")


def _sentinel(folder: Path) -> str:
    """Redis behind HAProxy fails over while webhooks come in."""
    with PrivateServers(durable=True, redis=False) as servers, SentinelRedis(folder / "sentinel") as failing_over:
        settings = {"SENSUS_DATABASE_URL": servers.database_url, "SENSUS_REDIS_URL": failing_over.url}
        env = environment(SENSUS_OLLAMA_URL="http://127.0.0.1:9", **settings)
        with sensus_up(folder / "failing-over", env=env) as up:
            return scenarios.redis_may_be_away(up, failing_over, webhooks=200, away_s=12.0)


def _killed(table: Table, folder: Path) -> None:
    with sensus_up(folder / "killed", env=environment(SENSUS_OLLAMA_URL="http://127.0.0.1:9")) as up:
        table.prove(
            "kill -9 of the API's master and workers in mid-burst, ten times",
            killing.a_killed_api_loses_nothing,
            up,
            kills=10,
        )


def _told(table: Table, folder: Path) -> None:
    with WebhookReceiver() as webhook, MailServer() as mail:
        env = environment(
            SENSUS_OLLAMA_URL="http://127.0.0.1:9", SENSUS_NOTIFY_URLS=f"{webhook.url('user:word@')} {mail.url}"
        )
        with sensus_up(folder / "told", env=env) as up:
            table.prove(
                "each state of an incident is told once by webhook and mail, both down for a minute, the worker killed",
                telling.each_state_is_told_once,
                up,
                webhook,
                mail,
                away_s=60.0,
            )


def _root_causes(table: Table, folder: Path) -> None:
    work = folder / "rootcause"
    work.mkdir()
    figures = Figures(SHARED / "data" / "rca" / "dev", SHARED / "tools" / "evaluate_rootcause.py", work)
    for promise, proof in (
        ("sensus rootcause: the cause is first, or among the first", figures.finds_the_cause),
        ("sensus rootcause: an alert that is told a minute late costs nothing", figures.may_be_told_late),
        ("sensus rootcause: units don't matter", figures.knows_no_units),
        ("sensus rootcause: the confidence tells right from wrong", figures.knows_how_sure_it_may_be),
        ("sensus rootcause: the change that broke it, without a model", figures.knows_the_change),
    ):
        table.prove(promise, proof)
    found = cache(lambda: benchmarks.figures(benchmark="analyse"))
    for metrics in benchmarks.MOST_RANKING_MS:
        table.prove(
            f"bench analyse: suspects among {metrics:,} metrics",
            lambda n=metrics: benchmarks.suspects_are_found_quickly(found(), n),
        )


def _suite(table: Table, folder: Path) -> None:
    table.prove(
        "PgBouncer in transaction mode before PostgreSQL",
        _tests,
        "tests/integration/db/test_pooler.py",
        TESTS_NO_SKIP="1",
    )
    table.prove("the manifests of every overlay", _tests, "tests/kubernetes")
    table.prove("what goes wrong elsewhere", _tests, "tests/integration/ingest/test_what_goes_wrong_elsewhere.py")
    table.prove(
        "every list uses an index, with 1,000,000 alerts and 5,000,000 samples",
        _tests,
        "tests/integration/read/test_plans.py",
        TESTS_PLANS_SCALE="20",
    )


def _operations(table: Table, folder: Path) -> None:
    table.prove(
        "targets, panels, rules, an alert for each component killed, an anomaly told to people (make ops-check)",
        _make,
        "ops-check",
    )


def _make(target: str) -> str:
    """A check that is a target of its own; its last lines tell what was seen."""
    done = subprocess.run(["make", target], cwd=ROOT, capture_output=True, text=True, check=False)
    seen = [line.removeprefix("ok: ") for line in done.stdout.splitlines() if line.startswith("ok: ")]
    assert done.returncode == 0, done.stdout[-2000:]
    return "; ".join(seen)


def _tests(path: str, **env: str) -> str:
    """A part of the suite, which may be larger by its environment."""
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", path],
        cwd=ROOT,
        env={**os.environ, **env},
        capture_output=True,
        text=True,
        check=False,
    )
    last = done.stdout.strip().rpartition("\n")[2]
    assert done.returncode == 0, last
    return last


def _composition(table: Table, folder: Path) -> None:
    table.prove("images and composition, on an engine of their own", _containers)


def _containers() -> str:
    done = subprocess.run(["make", "containers-check"], cwd=ROOT, capture_output=True, text=True, check=False)
    lines = done.stdout.strip().splitlines()
    failed = next((line for line in lines if line.startswith("FAILED")), lines[-1] if lines else done.stderr[-200:])
    assert done.returncode == 0, failed
    told = [line for line in lines if re.search("built by podman|comes up, each|stops in time|comes up again", line)]
    return "; ".join(line.removeprefix("ok: ") for line in told if line.startswith("ok: "))


def _from_outside(table: Table, folder: Path) -> None:
    loader = SHARED / "tools" / "load.py"
    with sensus_up(folder / "outside", env=environment(SENSUS_OLLAMA_URL="http://127.0.0.1:9")) as up:
        table.prove("the load generator from outside loses nothing", outside.nothing_is_lost, up, loader)


def _forecasts(table: Table, folder: Path) -> None:
    for suite in sorted((SHARED / "data" / "detection" / "dev").iterdir()):
        if suite.is_dir():
            promise = f"forecasts lose less than the naive seasonal one: {suite.name}"
            table.prove(promise, forecasting.better_than_naive, suite)
    table.prove("forecasts of 10,000 series are cheap", forecasting.cheap)


def _detection(table: Table, folder: Path) -> None:
    suites = labelled.Labelled(SHARED, folder / "labelled")
    (folder / "labelled").mkdir()
    table.prove("detection: NAB at the one threshold, and its false alarms", suites.pages)
    for suite in labelled.LEAST_VUS_PR:
        table.prove(f"detection: ranking on {suite}", suites.ranks, suite)
    found = cache(lambda: benchmarks.figures(benchmark="score"))
    table.prove("bench score: samples a second and core", lambda: benchmarks.scoring_is_fast(found()))
    table.prove("bench score: training of 10,000 series", lambda: benchmarks.training_is_cheap(found()))


def _ingest(table: Table, folder: Path) -> None:
    # One run of about half an hour serves all rows; without any of them it is not made.
    found = cache(lambda: benchmarks.figures("--full"))
    for name in ("alerts_1", "alerts_50"):
        table.prove(
            f"bench ingest: {name} near the bare handler", lambda n=name: benchmarks.alerts_near_bare(found(), n)
        )
    for name in ("samples_json", "samples_json_1000", "samples_remote_write"):
        table.prove(f"bench ingest: {name} near COPY", lambda n=name: benchmarks.samples_near_copy(found(), n))
    table.prove("bench ingest: bytes of a stored sample", lambda: benchmarks.samples_are_small(found()))
    for kind in ("alerts_1", "alerts_50", "samples_json", "samples_remote_write"):
        promise = f"bench ingest: {kind} with 1,000,000 alerts stored"
        table.prove(promise, lambda n=kind: benchmarks.as_fast_when_full(found(), n))
    for name in ("list_alerts", "get_alert", "acknowledge_alert"):
        promise = f"bench ingest: {name} with 1,000,000 alerts stored"
        table.prove(promise, lambda n=name: benchmarks.as_quick_when_full(found(), n))
    table.prove("bench ingest: nothing acknowledged is lost", lambda: benchmarks.nothing_is_lost(found()))


@contextmanager
def _closed_home() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix=".sensus-prove-", dir=Path.home()))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _scaled(table: Table, folder: Path) -> None:
    table.prove("bench scale: more processes, and nothing is lost", benchmarks.more_processes_lose_nothing)


PARTS: dict[str, Callable[[Table, Path], None]] = {
    "clones": _clones,
    "model": _with_a_model,
    "storms": _storms,
    "no-model": _without_a_model,
    "reconciler": _beside_an_alertmanager,
    "outages": _with_servers_of_ones_own,
    "failover": _behind_sentinel,
    "kills": _killed,
    "notify": _told,
    "outside": _from_outside,
    "root-causes": _root_causes,
    "detection": _detection,
    "forecasts": _forecasts,
    "suite": _suite,
    "operations": _operations,
    "composition": _composition,
    "scale": _scaled,
    "ingest": _ingest,
}


if __name__ == "__main__":
    sys.exit(main())
