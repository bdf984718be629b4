"""What the check is made with: Debian's programs, how they are called, and where they keep things."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
# Base images take minutes to make, and are the same until Debian's packages change.
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "sensus-containers"
CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")
# By the program that is looked for: the package that brings it.
PACKAGES = {
    "podman": "podman",
    "buildah": "buildah",
    "runc": "runc",
    "conmon": "conmon",
    "mmdebstrap": "mmdebstrap",
    "dockerd": "docker.io",
    "docker-compose": "docker-compose",
    "iptables": "iptables",
    "ip": "iproute2",
    "unshare": "util-linux",
    "openssl": "openssl",
}
_ALSO = ("catatonit", "netavark", "aardvark-dns", "uidmap")
_PODMAN = """\
[containers]
default_ulimits = ["nofile=16384:16384", "nproc=8192:8192"]
[engine]
cgroup_manager = "cgroupfs"
events_logger = "file"
runtime = "runc"
[network]
network_backend = "netavark"
"""


class CheckFailed(Exception):
    """Something is not as it must be; the message says what."""


def demand() -> None:
    """Raises CheckFailed when this machine can't do it; nothing is left out quietly."""
    path = os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin", "/sbin"))
    missing = [package for program, package in PACKAGES.items() if shutil.which(program, path=path) is None]
    if missing:
        install = "apt-get install --no-install-recommends"
        raise CheckFailed(f"missing: {install} {' '.join(sorted({*missing, *_ALSO}))}")
    if os.geteuid() != 0:
        raise CheckFailed("images and engines of its own need root; run it on a machine of your own as root")


def environment(folder: Path) -> dict[str, str]:
    """The environment of podman, whose configuration and storage are the check's own."""
    config = folder / "containers.conf"
    config.write_text(_PODMAN)
    storage = folder / "storage.conf"
    storage.write_text(
        f'[storage]\ndriver = "overlay"\ngraphroot = "{folder / "podman"}"\nrunroot = "{folder / "podman-run"}"\n'
    )
    path = os.pathsep.join((os.environ["PATH"], "/usr/sbin", "/sbin"))
    kept = {name: value for name, value in os.environ.items() if not name.startswith("SENSUS_")}
    return {**kept, "PATH": path, "CONTAINERS_CONF": str(config), "CONTAINERS_STORAGE_CONF": str(storage)}


def run(*command: str | Path, env: Mapping[str, str], cwd: Path = ROOT, log: Path | None = None) -> str:
    """What a command prints.  Raises CheckFailed with its last words when it fails."""
    done = subprocess.run(
        [str(word) for word in command],
        cwd=cwd,
        env=dict(env),
        text=True,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT if log else subprocess.PIPE,
        check=False,
    )
    if log is not None:
        with log.open("a") as file:
            file.write(f"$ {' '.join(map(str, command))}\n{done.stdout}\n")
    if done.returncode:
        words = (done.stdout + (done.stderr or ""))[-3000:]
        raise CheckFailed(f"{' '.join(map(str, command))} ended with {done.returncode}:\n{words}")
    return done.stdout.strip()


@contextmanager
def step(what: str) -> Iterator[list[str]]:
    """Say what is being done, and then how long it took with what was put into the list."""
    began = time.monotonic()
    told: list[str] = []
    sys.stdout.write(f"... {what}\n")
    sys.stdout.flush()
    yield told
    sys.stdout.write(f"ok: {what}{': ' * bool(told)}{'; '.join(told)} ({time.monotonic() - began:.0f} s)\n")
    sys.stdout.flush()
