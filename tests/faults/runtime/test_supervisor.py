"""The supervisor, with small processes in place of the real stack."""

from __future__ import annotations

import functools
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from sensus.runtime import leftovers
from tests.waiting import wait_for

pytestmark = pytest.mark.faults


class Run:
    """One supervisor of small processes in a process of its own."""

    def __init__(self, folder: Path, *texts: str) -> None:
        self.folder = folder
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.faults.runtime.small_stack", str(folder), *texts],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def events(self, what: str) -> list[str]:
        path = self.folder / "events"
        lines = path.read_text().splitlines() if path.exists() else []
        return [line.split()[1] for line in lines if line.split()[0] == what]

    def pids(self, name: str | None = None) -> list[int]:
        lines = (self.folder / "events").read_text().splitlines()
        started = [line.split() for line in lines if line.startswith("started")]
        return [int(pid) for _, who, pid in started if name in (None, who)]

    def grandchildren(self) -> list[int]:
        return [int(path.read_text()) for path in self.folder.glob("*.grandchild")]

    def guardians(self) -> list[psutil.Process]:
        children = psutil.Process(self.process.pid).children()
        return [child for child in children if leftovers.GUARDIAN in words(child)]

    def until_up(self) -> None:
        wait_for((self.folder / "up").exists, "the stack is up")

    def end(self, how: signal.Signals = signal.SIGTERM) -> tuple[str, str]:
        """Send the signal and wait for the end; what was printed."""
        self.process.send_signal(how)
        return self.process.communicate(timeout=20)


def words(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []  # it has died, and may wait to be reaped


def until_gone(pids: list[int], seconds: float = 8) -> None:
    wait_for(lambda: not any(map(alive, pids)), f"{pids} have gone", timeout_s=seconds)


def alive(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Run]]:
    runs: list[Run] = []

    def _start(*texts: str) -> Run:
        runs.append(Run(tmp_path, *texts))
        return runs[-1]

    yield _start
    for run in runs:
        run.process.kill()
        run.process.wait()
        for pipe in (run.process.stdout, run.process.stderr):
            if pipe is not None:
                pipe.close()
        if (run.folder / "events").exists():
            left = [*run.pids(), *run.grandchildren()]
            until_gone(left)


def test_stages_start_in_order_and_stop_in_reverse(start: Callable[..., Run]) -> None:
    run = start("database", "/", "broker", "/", "web")
    run.until_up()
    run.end()

    assert run.process.returncode == 0
    assert run.events("started") == ["database", "broker", "web"]
    assert run.events("stopped") == ["web", "broker", "database"]


def test_ctrl_c_stops_like_sigterm(start: Callable[..., Run]) -> None:
    run = start("database", "/", "web")
    run.until_up()
    run.end(signal.SIGINT)

    assert run.process.returncode == 0
    assert run.events("stopped") == ["web", "database"]


def test_output_has_the_name_of_its_process(start: Callable[..., Run]) -> None:
    run = start("chatty:chatty", "/", "web")
    run.until_up()
    out, _ = run.end()

    assert "chatty | line 1 xxx" in out
    assert "sensus | stopping" in out
    assert out.endswith("sensus | stopped\n")
    assert "\x1b[" not in out


def test_what_says_nothing_to_people_is_hidden(start: Callable[..., Run]) -> None:
    run = start("web:banner")
    run.until_up()
    out, _ = run.end()

    assert "web    | it works" in out
    assert "hit anything" not in out


def test_the_next_stage_waits_until_the_one_before_is_ready(start: Callable[..., Run]) -> None:
    run = start("database:slow", "/", "web")
    wait_for(lambda: run.events("started") == ["database"], "the database runs")
    _, err = run.process.communicate(timeout=20)

    assert run.process.returncode == 1
    assert err == (
        "database was not ready in 2 s, though it runs; on a slow machine start it again: what is there is kept\n"
    )
    assert run.events("started") == ["database"]
    assert run.events("stopped") == ["database"]


def test_a_process_that_takes_long_to_be_ready_is_waited_for_and_this_is_said(start: Callable[..., Run]) -> None:
    run = start("database:late", "/", "web")
    out = run.process.stdout
    assert out is not None
    wait_for(lambda: "still waiting for database, which has run for " in out.readline(), "it says what it waits for")
    assert run.events("started") == ["database"]
    (run.folder / "database.ready").touch()
    run.until_up()
    run.end()

    assert run.process.returncode == 0
    assert run.events("started") == ["database", "web"]


def test_a_process_that_dies_at_start_is_reported_in_one_line_with_its_last_words(start: Callable[..., Run]) -> None:
    run = start("database", "/", "web:broken")
    _, err = run.process.communicate(timeout=20)

    assert run.process.returncode == 1
    assert err == "web exited with status 3: the disk is made of cheese\n"
    assert run.events("stopped") == ["database"]


def test_a_process_that_dies_is_started_again_later_each_time(start: Callable[..., Run]) -> None:
    run = start("database", "/", "web")
    run.until_up()
    delays = []
    for _ in range(2):
        last = run.pids("web")[-1]
        os.kill(last, signal.SIGKILL)
        killed_at = time.monotonic()
        wait_for(functools.partial(lambda old: run.pids("web")[-1] != old, last), "web runs again")
        delays.append(time.monotonic() - killed_at)
    out, _ = run.end()

    assert delays[0] >= 0.5
    assert delays[1] >= 1.0
    assert "web was killed by SIGKILL; starting it again in 0.5 s" in out
    assert len(run.pids("database")) == 1


def test_what_a_dead_process_leaves_of_its_group_is_killed_before_it_starts_again(start: Callable[..., Run]) -> None:
    run = start("web:family")
    run.until_up()
    (grandchild,) = run.grandchildren()
    os.kill(run.pids("web")[0], signal.SIGKILL)
    until_gone([grandchild])
    wait_for(lambda: len(run.pids("web")) == 2, "web runs again")
    run.end()


def test_a_process_that_ignores_sigterm_is_killed_and_the_others_still_stop_in_order(start: Callable[..., Run]) -> None:
    run = start("database", "/", "deaf:deaf", "/", "web")
    run.until_up()
    began = time.monotonic()
    run.end()

    assert time.monotonic() - began < 5
    assert run.process.returncode == 0
    assert run.events("stopped") == ["web", "database"]
    assert not any(map(alive, run.pids()))


def test_a_stop_takes_fifteen_seconds_at_most_and_the_databases_get_their_share(start: Callable[..., Run]) -> None:
    run = start("database", "/", "deaf1:stubborn", "/", "deaf2:stubborn", "deaf3:stubborn")
    run.until_up()
    began = time.monotonic()
    run.end()

    assert 9 < time.monotonic() - began < 15
    assert run.process.returncode == 0
    assert run.events("stopped") == ["database"]
    assert not any(map(alive, run.pids()))


def test_a_grandchild_in_a_session_of_its_own_does_not_survive_the_stop(start: Callable[..., Run]) -> None:
    run = start("web:runaway", "worker:family")
    run.until_up()
    run.end()

    assert len(run.grandchildren()) == 2
    assert not any(map(alive, run.grandchildren()))


def test_a_second_signal_ends_the_waiting(start: Callable[..., Run]) -> None:
    run = start("deaf1:stubborn", "/", "deaf2:stubborn")
    run.until_up()
    run.process.send_signal(signal.SIGINT)
    out = run.process.stdout
    assert out is not None
    wait_for(lambda: "stopping" in out.readline(), "it is stopping")
    began = time.monotonic()
    run.end(signal.SIGINT)

    assert time.monotonic() - began < 5  # each of them alone would have its 9 s
    assert run.process.returncode == 0


def test_a_signal_during_the_start_stops_what_runs(start: Callable[..., Run]) -> None:
    run = start("database", "/", "web:slow", "/", "never")
    wait_for(lambda: run.events("started") == ["database", "web"], "web runs")
    run.end()

    assert run.process.returncode == 0
    assert run.events("stopped") == ["web", "database"]


def test_nothing_survives_a_supervisor_that_is_killed(start: Callable[..., Run]) -> None:
    run = start("database", "/", "web:family", "deaf:deaf", "runaway:runaway")
    run.until_up()
    started = [*run.pids(), *run.grandchildren()]
    assert len(started) == 6
    run.end(signal.SIGKILL)

    until_gone(started)
    assert {"database", "web"} <= set(run.events("stopped"))  # asked first, then killed


def test_the_next_start_ends_what_is_left_when_supervisor_and_guardian_are_killed(start: Callable[..., Run]) -> None:
    run = start("web:family", "deaf:deaf")
    run.until_up()
    guardian = run.guardians()[0]
    started = [*run.pids(), *run.grandchildren()]
    run.process.send_signal(signal.SIGSTOP)  # so that it makes no new guardian
    guardian.kill()
    run.end(signal.SIGKILL)
    assert all(map(alive, started))

    leftovers.clear(str(run.folder))
    assert not any(map(alive, started))


def test_the_next_start_waits_for_a_guardian_that_cleans_up(start: Callable[..., Run]) -> None:
    run = start("deaf:deaf")
    run.until_up()
    guardian = run.guardians()[0]
    run.end(signal.SIGKILL)
    leftovers.clear(str(run.folder))

    assert not guardian.is_running()  # it would take the next start's processes for leftovers
    assert not any(map(alive, run.pids()))


def test_what_runs_for_another_folder_is_left_alone(start: Callable[..., Run], tmp_path: Path) -> None:
    run = start("web")
    run.until_up()

    assert leftovers.clear(str(tmp_path)[:-1]) == 0
    assert all(map(alive, run.pids()))


def test_a_killed_guardian_is_replaced(start: Callable[..., Run]) -> None:
    run = start("web")
    run.until_up()
    (first,) = run.guardians()
    first.kill()
    wait_for(lambda: any(guardian.pid != first.pid for guardian in run.guardians()), "there is a new guardian")
    # Told of `web` before it is asked to act: what it reads first is the pipe's content, then its end.
    run.end(signal.SIGKILL)
    until_gone(run.pids())


def test_output_that_nobody_reads_holds_no_process_up(start: Callable[..., Run]) -> None:
    run = start("chatty:chatty")
    run.until_up()
    wait_for(lambda: run.events("said-all") == ["chatty"], "it has said 20 MB though nobody listens")
    run.end()


def test_a_closed_output_stops_nothing(start: Callable[..., Run]) -> None:
    run = start("chatty:chatty", "web")
    assert run.process.stdout is not None
    run.process.stdout.close()
    run.process.stdout = None
    run.until_up()
    wait_for(lambda: run.events("said-all") == ["chatty"], "it has said all")
    run.end()

    assert run.process.returncode == 0
    assert set(run.events("stopped")) == {"chatty", "web"}
