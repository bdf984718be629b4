"""`make containers-check`: build the images, look into them, bring the composition up, and let it do its main job."""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.containers import engine, images
from tests.containers.tools import ROOT, CheckFailed, demand, environment, run, step


def main() -> int:
    """Everything, in order; the exit code."""
    parser = argparse.ArgumentParser(prog="make containers-check", description=__doc__)
    parser.add_argument("--folder", type=Path, help="work here and leave it, with its layers, for the next time")
    kept = parser.parse_args().folder
    folder = kept or Path(tempfile.mkdtemp(prefix="sensus-containers-", dir="/var/tmp"))
    try:
        demand()
        folder.mkdir(parents=True, exist_ok=True)
        _unmount(folder)
        return _check(folder)
    except CheckFailed as error:
        sys.stdout.write(f"FAILED: {error}\n")
        return 1
    finally:
        _unmount(folder)
        if kept is None:
            shutil.rmtree(folder, ignore_errors=True)


def _check(folder: Path) -> int:
    env = environment(folder)
    log = folder / "build.log"
    with step("docker-compose 1.29 and podman-compose read the composition"):
        composed = images.composition(env)
        podman_compose = ROOT / ".venv/package/bin/podman-compose"
        run(podman_compose, "--file", "docker-compose.yml", "config", env=env)
    with step("base images out of Debian's packages"):
        images.make_bases(env)
    with step("our images are built by podman") as told:
        ours = images.build_ours(env, composed, log)
        told.append(images.look_into(env, ours))
    with step("stand-ins for the images of others"):
        others = images.build_standins(env, composed, log)
    archive = folder / "images.tar"
    archive.unlink(missing_ok=True)
    with step("images go from podman to Docker"):
        run(
            "podman",
            "save",
            "--quiet",
            "--multi-image-archive",
            f"--output={archive}",
            *ours.values(),
            *others,
            env=env,
        )
    project = folder / "sensus"
    shutil.rmtree(project, ignore_errors=True)
    project.mkdir()
    shutil.copy(ROOT / "docker-compose.yml", project)
    shutil.copytree(ROOT / "ops", project / "ops")
    run("sh", ROOT / "ops/docker/secrets.sh", project / "secrets", env=env)
    code = engine.in_namespaces("tests.containers.composition", str(folder), env=env)
    sys.stdout.write("containers-check passed\n" if code == 0 else "containers-check FAILED\n")
    return code


def _unmount(folder: Path) -> None:
    # What an engine that was killed left mounted would be emptied through the mount.
    mounts = [line.split()[1] for line in Path("/proc/mounts").read_text().splitlines() if str(folder) in line]
    for mount in sorted(mounts, key=len, reverse=True):
        subprocess.run(["umount", "--lazy", mount], check=False, stderr=subprocess.DEVNULL)


if __name__ == "__main__":
    sys.exit(main())
