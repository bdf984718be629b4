"""Which images does the composition need, and how are they made where no registry is reached?

The base images are Debian's packages, imported under the names that our Dockerfile and Compose file ask for, so that
both are used as they are.
"""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from tests.containers.tools import CACHE, CERTIFICATES, ROOT, CheckFailed, run

STANDINS = Path(__file__).parent / "standins"
SERVERS = "localhost/sensus-servers"
# What Docker means by a name alone; podman would mean `localhost/`.
REGISTRY = "docker.io/library/"
# Too large for what a stand-in would show: they are tried nowhere here, and the documentation says so.
UNTRIED = frozenset({"grafana", "ollama", "ollama-gpu"})
_OUR_TARGETS = ("web", "worker", "celery-exporter")
_PYTHON_PACKAGES = ("python3", "python3-venv", "python3-pip", "ca-certificates")
_SERVER_PACKAGES = (
    "ca-certificates",
    "busybox",
    "curl",
    "postgresql-15",
    "redis-server",
    "prometheus",
    "prometheus-alertmanager",
    "prometheus-blackbox-exporter",
    "prometheus-postgres-exporter",
    "prometheus-redis-exporter",
    "nginx-light",
)
_BASE_KEPT_DAYS = 7


def composition(env: Mapping[str, str]) -> dict[str, Any]:
    """The Compose file as Compose 1.29 understands it, all profiles included."""
    read: dict[str, Any] = yaml.safe_load(run("docker-compose", "config", env=env))
    return read


def make_bases(env: Mapping[str, str]) -> None:
    """Debian's Python, and Debian's servers."""
    CACHE.mkdir(parents=True, exist_ok=True)
    python = next(
        line.partition("=")[2]
        for line in (ROOT / "ops/docker/Dockerfile").read_text().splitlines()
        if line.startswith("ARG PYTHON_IMAGE=")
    )
    for packages, name, image in ((_PYTHON_PACKAGES, "python", python), (_SERVER_PACKAGES, "servers", SERVERS)):
        archive = CACHE / f"{name}.tar"
        if not archive.exists() or time.time() - archive.stat().st_mtime > _BASE_KEPT_DAYS * 86_400:
            fresh = archive.with_suffix(".new.tar")
            slim = [f'--dpkgopt=path-exclude="/usr/share/{part}/*"' for part in ("doc", "man", "locale")]
            run(
                "mmdebstrap",
                "--variant=minbase",
                f"--include={','.join(packages)}",
                *slim,
                "bookworm",
                fresh,
                env=env,
            )
            os.replace(fresh, archive)
        run("podman", "import", "--quiet", archive, image, env=env)


def build_ours(env: Mapping[str, str], composed: Mapping[str, Any], log: Path) -> dict[str, str]:
    """Our images by target, built as the Compose file says."""
    made: dict[str, str] = {}
    for service in composed["services"].values():
        build = service.get("build")
        if build is None or build["target"] in made:
            continue
        arguments = [f"--build-arg={name}={value}" for name, value in build["args"].items()]
        run(
            "podman",
            "build",
            "--format=docker",
            "--network=host",
            # The machine's certificates, where its registry has one of its own; mounted, never in the image.
            f"--volume={CERTIFICATES}:{CERTIFICATES}:ro",
            f"--file={ROOT / build['dockerfile']}",
            f"--target={build['target']}",
            f"--tag={REGISTRY}{service['image']}",
            *arguments,
            ROOT,
            env=env,
            log=log,
        )
        made[build["target"]] = REGISTRY + service["image"]
    if set(made) != set(_OUR_TARGETS):
        raise CheckFailed(f"the Compose file builds {sorted(made)}, the Dockerfile has {sorted(_OUR_TARGETS)}")
    return made


def build_standins(env: Mapping[str, str], composed: Mapping[str, Any], log: Path) -> list[str]:
    """The images of others that the composition asks for, made of Debian's packages."""
    made = []
    for name, service in composed["services"].items():
        if name in UNTRIED or "build" in service:
            continue
        # docker.io/prom/alertmanager:v0.28.1 is the target `alertmanager`.
        target = service["image"].rpartition("/")[2].partition(":")[0]
        run(
            "podman",
            "build",
            "--format=docker",
            f"--file={STANDINS / 'Dockerfile'}",
            f"--target={target}",
            f"--tag={service['image']}",
            STANDINS,
            env=env,
            log=log,
        )
        made.append(service["image"])
    return made


def look_into(env: Mapping[str, str], images: Mapping[str, str]) -> str:
    """What an image must be and hold, tried in containers whose root can't be written to."""
    told = []
    for target, image in images.items():
        facts = json.loads(run("podman", "image", "inspect", image, env=env))[0]
        config = facts["Config"]
        if config["User"] != "10001:10001" or not facts.get("Healthcheck"):
            raise CheckFailed(f"{image}: user {config['User']}, health check {facts.get('Healthcheck')}")
        leaked = [name for name in config["Env"] if "SECRET" in name or "PASSWORD" in name]
        if leaked:
            raise CheckFailed(f"{image} has {leaked} in its environment")
        told.append(f"{target} {facts['Size'] / 1e6:.0f} MB")
    for target in ("web", "worker"):
        if "sensus" not in _in_container(env, images[target], "sensus", "--version"):
            raise CheckFailed(f"{images[target]} does not run its command")
    lean = _in_container(env, images["web"], "/opt/sensus/bin/python", "-c", _LOOK)
    extra = set(json.loads(lean)["distributions"]) - pinned("web")
    if extra or json.loads(lean)["seen"] != _SEEN:
        raise CheckFailed(f"the image of the API has {sorted(extra)} besides its requirements; {lean}")
    refusal = _refused(env, images["web"], "score", "--input", "/tmp", "--output", "/tmp")
    if "use the workers' image" not in refusal:
        raise CheckFailed(f"the image of the API says of a command of the workers: {refusal}")
    return ", ".join(told)


def pinned(name: str) -> set[str]:
    """The distributions that requirements/NAME.txt pins."""
    text = (ROOT / f"requirements/{name}.txt").read_text()
    return {_normal(found) for found in re.findall(r"^([A-Za-z0-9._-]+)(?:\[[^\]]*\])?==", text, re.MULTILINE)}


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


_SEEN = {"model_code": [], "uid": 10001, "root": "read-only"}
_LOOK = """
import importlib.metadata, importlib.util, json, os, re
try:
    open("/opt/sensus/app/web/new", "w")
    root = "writable"
except OSError:
    root = "read-only"
model_code = [name for name in ("ml", "llm", "numpy", "sklearn", "pip", "uv") if importlib.util.find_spec(name)]
there = {re.sub("[-_.]+", "-", each.name).lower() for each in importlib.metadata.distributions()}
seen = {"model_code": model_code, "uid": os.getuid(), "root": root}
print(json.dumps({"distributions": sorted(there), "seen": seen}))
"""


def _refused(env: Mapping[str, str], image: str, *words: str) -> str:
    try:
        _in_container(env, image, "sensus", *words)
    except CheckFailed as error:
        return str(error)
    raise CheckFailed(f"{image} does what it should refuse: sensus {' '.join(words)}")


def _in_container(env: Mapping[str, str], image: str, program: str, *arguments: str) -> str:
    return run(
        "podman",
        "run",
        "--rm",
        "--read-only",
        "--network=none",
        "--cap-drop=all",
        "--security-opt=no-new-privileges",
        f"--entrypoint={program}",
        image,
        *arguments,
        env=env,
    )
