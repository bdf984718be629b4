"""`sensus notify test`: does a message arrive where finished analyses go?"""

from __future__ import annotations

import argparse
import uuid

from sensus import settings
from sensus.errors import ConfigurationError
from sensus.targets import targets
from tasks.delivery import deliver_all
from tasks.notice import Notice


def configure(parser: argparse.ArgumentParser) -> None:
    """A subcommand for each action."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    actions.add_parser("test", help="send a test message to each URL of SENSUS_NOTIFY_URLS; needs no server of ours")


def run(_arguments: argparse.Namespace) -> int:
    """Send the test message; a line for each target, by its name."""
    current = settings.of_running_stack(settings.load())
    there = targets(current.notification_urls())
    if not there:
        raise ConfigurationError("SENSUS_NOTIFY_URLS is not set; set it to URLs such as slack://... or mailto://...")
    notice = Notice(
        key=uuid.uuid4().hex,
        title="Sensus: a test",
        body="This is where finished analyses of incidents will come. Nothing has happened.",
        tone="info",
        fields={"test": True},
    )
    outcomes = deliver_all([(target, notice) for target in there], timeout_s=current.notify_timeout_s)
    for target, outcome in zip(there, outcomes, strict=True):
        print(f"{target.name:20} {'sent' if outcome.is_sent else f'NOT SENT: {outcome.error}'}")
    return 0 if all(outcome.is_sent for outcome in outcomes) else 1
