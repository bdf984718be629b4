"""The process that sends one message through Apprise, and ends.

A job as JSON in one line of stdin: url, title, body, tone, key, fields, limit_s. Two lines come back: `ready`, and when
it has been sent or refused {"outcome": ..., "reason": ...}. A process of its own, because only that can be ended when a
server keeps it waiting; and it ends with the worker that started it, whose end closes the pipe, so that nobody sends
twice at one time.
"""

from __future__ import annotations

import json
import os
import re
import sys
import threading
from email.utils import make_msgid
from functools import partial
from typing import Any

import apprise
from apprise.plugins.email import base as e_mail

from sensus import targets

# All else that Apprise tells of a failure may hold parts of the URL.
_ANSWERED = re.compile(r"\berror=(\d{3})\b")
_DEFAULT_READ_S = 4.0


def main() -> int:
    """Send the job on stdin."""
    job = json.loads(sys.stdin.readline())
    threading.Thread(target=_end_with_our_starter, daemon=True).start()
    print("ready", flush=True)
    outcome, reason = send(job)
    print(json.dumps({"outcome": outcome, "reason": reason}), flush=True)
    return 0


def send(job: dict[str, Any]) -> tuple[str, str | None]:
    """Whether it was taken, and if not why, in words that tell nothing of the URL."""
    asset = apprise.AppriseAsset(
        app_id="Sensus",
        app_desc="Sensus",
        app_url=job["fields"].get("url", ""),
        async_mode=False,
        storage_mode="memory",
        pgp_autogen=False,
        pem_autogen=False,
        service_timeout=0,
    )
    service = targets.service(job["url"], asset)
    if service is None:
        return "failed", "Apprise does not understand its URL"
    _mark(service, job["key"], job["fields"])
    if service.socket_read_timeout == _DEFAULT_READ_S:
        # Who gives up sooner than need be sends again what a slow server has taken.
        service.socket_read_timeout = job["limit_s"]
    server = apprise.Apprise(asset=asset)
    server.add(service)
    result = server.notify(
        body=job["body"], title=job["title"], notify_type=apprise.NotifyType(job["tone"]), body_format="text"
    )
    if result:
        return "sent", None
    told = " ".join(entry.message for entry in result.logs())
    answered = _ANSWERED.search(told)
    return "failed", f"it answered {answered[1]}" if answered else "it can't be reached, or refused the message"


def _mark(service: Any, key: str, fields: dict[str, Any]) -> None:
    """Let a receiver know a message again that was sent twice, because nobody knew what had become of the first try."""
    own = getattr(service, "headers", None)
    if isinstance(own, dict):
        own.setdefault("X-Sensus-Notification", key)
    extras = getattr(service, "payload_extras", None)
    if isinstance(extras, dict):
        is_json = str(service.url(privacy=True)).startswith("json")
        for name, value in {"notification_id": key, **fields}.items():
            extras.setdefault(name, value if is_json else "" if value is None else str(value))
    # A mail that comes twice with one Message-ID is shown as one by most that read it.
    vars(e_mail)["make_msgid"] = partial(_message_id, key)


def _message_id(key: str, domain: str | None = None) -> str:
    return f"<{key}@{make_msgid(domain=domain).rpartition('@')[2]}"


def _end_with_our_starter() -> None:
    # Not through sys.stdin, whose lock would be missed at our own orderly end.
    while os.read(0, 1024):
        pass
    os._exit(1)


if __name__ == "__main__":
    sys.exit(main())
