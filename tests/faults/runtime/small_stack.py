"""Supervises small processes: `python -m tests.faults.runtime.small_stack FOLDER NAME[:KIND]... [/ NAME...]`.

A slash begins a new stage. Each process appends what happens to it to FOLDER/events.
"""

import os
import re
import sys
from pathlib import Path

from sensus.errors import SensusError
from sensus.runtime.output import Console
from sensus.runtime.processes import ProcessSpec
from sensus.runtime.supervisor import Supervisor

CHILD = """
import os, signal, subprocess, sys, time
from pathlib import Path
folder, name, kind = Path(sys.argv[1]), sys.argv[2], sys.argv[3]

def event(what):
    handle = os.open(folder / "events", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    os.write(handle, f"{what} {name} {os.getpid()}\\n".encode())
    os.close(handle)

def stop(*_):
    event("stopped")
    sys.exit(0)

signal.signal(signal.SIGTERM, signal.SIG_IGN if kind in ("deaf", "stubborn") else stop)
event("started")
if kind == "broken":
    print("the disk is made of cheese", file=sys.stderr)
    sys.exit(3)
if kind in ("family", "runaway"):
    # A grandchild that ignores SIGTERM; `runaway` puts it into a session of its own, as PostgreSQL does.
    code = (
        "import os, signal, sys, time; from pathlib import Path; signal.signal(signal.SIGTERM, signal.SIG_IGN);"
        "Path(sys.argv[1]).write_text(str(os.getpid())); time.sleep(300)"
    )
    grandchild = folder / f"{name}.grandchild"
    subprocess.Popen([sys.executable, "-c", code, grandchild], start_new_session=kind == "runaway")
    while not (grandchild.exists() and grandchild.read_text()):
        time.sleep(0.01)
if kind == "chatty":
    (folder / f"{name}.ready").touch()
    for number in range(100_000):
        print("line", number, "x" * 200, flush=True)
    event("said-all")
if kind == "banner":
    print("hit anything to go on", "it works", sep="\\n", flush=True)
if kind not in ("slow", "late"):
    (folder / f"{name}.ready").touch()
while True:
    time.sleep(1)
"""


def spec(folder: Path, text: str) -> ProcessSpec:
    name, _, kind = text.partition(":")
    return ProcessSpec(
        name=name,
        command=(sys.executable, "-c", CHILD, str(folder), name, kind),
        env=dict(os.environ),
        cwd=folder,
        ready=(folder / f"{name}.ready").exists,
        ready_timeout_s=1.5 if kind == "slow" else 20,
        told_every_s=0.2,
        hidden=re.compile("^hit anything"),
        stop_timeout_s=9 if kind == "stubborn" else 1.5,
    )


def main(folder: Path, texts: list[str]) -> str | None:
    stages: list[list[ProcessSpec]] = [[]]
    for text in texts:
        if text == "/":
            stages.append([])
        else:
            stages[-1].append(spec(folder, text))
    try:
        with Supervisor(Console(sys.stdout.fileno(), colour=False), run=str(folder)) as supervisor:
            for stage in stages:
                supervisor.start(stage)
            (folder / "up").touch()
            supervisor.run()
    except SensusError as error:
        return str(error)
    return None


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2:]))
