"""What a load generator that knows nothing of us sees: alerts a second, and whether any is lost."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from tests.stack import Up, environment

TOTAL = 5_000
SENDERS = 4


def nothing_is_lost(up: Up, loader: Path) -> str:
    """New alerts and repeats, one and fifty a webhook: no error, and each acknowledged one is a row."""
    key = up.unlimited_key()
    told = []
    for each in (1, 50):
        for mode in ("unique", "duplicate"):
            options = ["--mode", mode, "--alerts-per-webhook", str(each), "--total", str(TOTAL)]
            options += ["--concurrency", str(SENDERS), "--token", key, "--dsn", up.facts["database_url"]]
            done = subprocess.run(
                [sys.executable, str(loader), "--target", "sensus", "--url", up.api, "--json", *options],
                stdout=subprocess.PIPE,
                env=environment(),
                text=True,
                check=False,
            )
            found = json.loads(done.stdout)
            assert done.returncode == 0, f"{mode}, {each} a webhook: lost {found['lost']}, {found['first_error']}"
            told.append(f"{found['alerts_s']:,.0f} ({mode}, {each} a webhook)")
    return f"0 lost; alerts/s beside the working stack: {', '.join(told)}"
