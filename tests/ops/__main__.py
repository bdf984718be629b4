"""`make ops-check`: rules, targets, panels, alerts and the way from an anomaly to people, with the real programs."""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import time
from pathlib import Path

import yaml

from tests.containers.tools import CheckFailed, run, step
from tests.ops import life, loop, outages, questions, shortened
from tests.ops.stack import demand_tools, running
from tests.stack import environment


def main() -> int:
    """Everything, in order; the exit code."""
    parser = argparse.ArgumentParser(prog="make ops-check", description=__doc__)
    parser.add_argument("--folder", type=Path, help="work here and leave the logs; by default they are kept on failure")
    parser.add_argument("--outages", default="", metavar="TEXT", help="only the outages that contain TEXT")
    arguments = parser.parse_args()
    folder = Path(arguments.folder or tempfile.mkdtemp(prefix="sensus-ops-"))
    folder.mkdir(parents=True, exist_ok=True)
    try:
        demand_tools()
        _check(folder, arguments.outages)
    except (CheckFailed, AssertionError) as error:
        sys.stdout.write(f"FAILED: {error}\nops-check FAILED; logs are in {folder}\n")
        return 1
    if arguments.folder is None:
        shutil.rmtree(folder)
    sys.stdout.write("ops-check passed\n")
    return 0


def _check(folder: Path, only: str) -> None:
    _files()
    config = yaml.safe_load((shortened.PROMETHEUS / "prometheus.yml").read_text("utf-8"))
    jobs = {job["job_name"] for job in config["scrape_configs"]}
    with running(folder) as stack:
        began = time.monotonic()
        with step("targets") as told:
            told.append(f"{stack.prometheus.wait_until_up(jobs, timeout_s=90)} targets of {len(jobs)} jobs are up")
        with step("life goes on") as told:
            told.append(life.goes_on(stack))
        with step("from an anomaly to people and back") as told:
            told.append(loop.anomaly_to_alert_and_back(stack))
        with step("panels") as told:
            told.append(questions.panels(stack, since_s=int(time.monotonic() - began) + 5))
        with step("rules") as told:
            told.append(questions.rules(stack))
        for seen in outages.every_outage(stack, only):
            sys.stdout.write(f"ok: {seen}\n")
            sys.stdout.flush()
        with step("targets, after all that") as told:
            told.append(f"{stack.prometheus.wait_until_up(jobs, timeout_s=90)} are up again")


def _files() -> None:
    """Configuration, rules and their tests, as they are committed."""
    env = environment()
    prometheus = shortened.PROMETHEUS
    with step("promtool and amtool find the files good"):
        run("promtool", "check", "config", prometheus / "prometheus.yml", env=env)
        run("promtool", "check", "rules", "--lint=all", "--lint-fatal", *(prometheus / "rules").glob("*.yml"), env=env)
        run("promtool", "test", "rules", *sorted((prometheus / "tests").glob("*.yml")), env=env)
        run("amtool", "check-config", shortened.ALERTMANAGER, env=env)


if __name__ == "__main__":
    sys.exit(main())
