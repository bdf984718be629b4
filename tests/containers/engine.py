"""A Docker engine of the check's own, in namespaces in which nothing else is, and which end with it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.containers.tools import run
from tests.waiting import wait_for

SOCKET = "unix:///run/sensus-docker.sock"
# Its network is not the machine's, so its bridges, rules and published ports are seen by nobody else.
NAMESPACES = ("unshare", "--mount", "--net", "--ipc", "--uts", "--pid", "--fork", "--kill-child", "--mount-proc")


def in_namespaces(module: str, *arguments: str, env: Mapping[str, str]) -> int:
    """Run a module of ours where its engine may do as it likes; the exit code."""
    return subprocess.run(
        [*NAMESPACES, sys.executable, "-m", module, *arguments], env=dict(env), check=False
    ).returncode


@contextmanager
def engine(folder: Path, env: Mapping[str, str]) -> Iterator[dict[str, str]]:
    """A running engine; yields the environment in which `docker` and `docker-compose` find it."""
    run("mount", "-t", "tmpfs", "tmpfs", "/run", env=env)
    run("ip", "link", "set", "lo", "up", env=env)
    # The engine leaves a forwarding rule to the kernel's default, which a new namespace has off.
    Path("/proc/sys/net/ipv4/ip_forward").write_text("1")
    log = (folder / "dockerd.log").open("ab")
    process = subprocess.Popen(
        [
            "dockerd",
            f"--host={SOCKET}",
            f"--data-root={folder / 'docker'}",
            "--exec-root=/run/sensus-docker",
            "--pidfile=/run/sensus-docker.pid",
            "--storage-driver=overlay2",
            "--default-ulimit=nofile=16384:16384",
            "--default-ulimit=nproc=8192:8192",
        ],
        env=dict(env),
        stdout=log,
        stderr=log,
        stdin=subprocess.DEVNULL,
    )
    found = {**env, "DOCKER_HOST": SOCKET}
    try:
        wait_for(lambda: _answers(process, found), f"the engine, whose log is {log.name}", timeout_s=60)
        yield found
    finally:
        process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
        log.close()


def inspected(env: Mapping[str, str], container: str) -> dict[str, Any]:
    """All that the engine knows of a container."""
    facts: dict[str, Any] = json.loads(run("docker", "inspect", container, env=env))[0]
    return facts


def _answers(process: subprocess.Popen[bytes], env: Mapping[str, str]) -> bool:
    assert process.poll() is None, f"the engine ended with {process.returncode}"
    done = subprocess.run(["docker", "info"], env=dict(env), capture_output=True, check=False)
    return done.returncode == os.EX_OK
