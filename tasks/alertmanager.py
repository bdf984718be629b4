"""What does an Alertmanager list?  Its API, read within a deadline and a bound, each alert checked by itself."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from urllib.parse import urlsplit, urlunsplit

import httpx
import msgspec

from llm.transport import DeadlineTransport, TooMuch
from sensus import times
from sensus.errors import SensusError
from sensus.storable import ANNOTATION_BYTES, FINGERPRINT_BYTES, URL_BYTES, NotStorable, check_pairs, check_text

DEADLINE_S = 15.0
# About a kilobyte an alert.
MOST_BYTES = 64 * 1024 * 1024
# Said in full, although it is the default: what is silenced or inhibited still fires.
_LIST = "/api/v2/alerts?active=true&silenced=true&inhibited=true&unprocessed=true"
_STATUS = "/api/v2/status"


class AlertmanagerAway(SensusError):
    """It does not answer; another try may."""

    outcome = "away"


class AlertmanagerUnreadable(AlertmanagerAway):
    """Something answers, and not as an Alertmanager does."""

    outcome = "unreadable"


@dataclass(frozen=True, slots=True)
class Told:
    """What an Alertmanager says of an alert beside that it fires."""

    labels: dict[str, str]
    annotations: dict[str, str]
    generator_url: str | None
    receivers: tuple[str, ...]
    state: str  # "active", "suppressed" or "unprocessed"


@dataclass(frozen=True, slots=True)
class Listed:
    """An alert that fires as far as the Alertmanager knows."""

    fingerprint: str
    starts_at: datetime  # to the millisecond
    until: datetime | None  # by our clock: when it is over unless the Alertmanager hears of it again
    updated_at: datetime | None
    told: Told | None  # None: there is something in it that can't be stored


@dataclass(frozen=True, slots=True)
class Reading:
    """What one Alertmanager, or the members of one cluster together, listed."""

    up_since: datetime  # by our clock; of the member that started last
    alerts: tuple[Listed, ...]  # each start of each fingerprint once
    unreadable: int = 0  # items that may be any alert


class _Receiver(msgspec.Struct):
    name: str


class _State(msgspec.Struct):
    state: str = "active"


class _Seen(msgspec.Struct):
    fingerprint: str
    startsAt: str  # noqa: N815 (the API's name)
    endsAt: str  # noqa: N815 (the API's name)
    updatedAt: str | None = None  # noqa: N815 (the API's name)


class _Told(msgspec.Struct):
    labels: dict[str, str]
    annotations: dict[str, str] = field(default_factory=dict)
    generatorURL: str | None = None  # noqa: N815 (the API's name)
    receivers: list[_Receiver] = field(default_factory=list)
    status: _State = field(default_factory=_State)


class _Status(msgspec.Struct):
    uptime: str  # the time of the start, in spite of its name


_ALERTS = msgspec.json.Decoder(list[msgspec.Raw])
_SEEN = msgspec.json.Decoder(_Seen)
_TOLD = msgspec.json.Decoder(_Told)
_STATUS_DECODER = msgspec.json.Decoder(_Status)


def read(url: str, *, deadline_s: float = DEADLINE_S, most_bytes: int = MOST_BYTES) -> Reading:
    """What the Alertmanager at this address lists.  Raises AlertmanagerAway or AlertmanagerUnreadable."""
    transport = DeadlineTransport(time.monotonic() + deadline_s, max_bytes=most_bytes)
    headers = {"Accept": "application/json", "Accept-Encoding": "identity", "User-Agent": "sensus"}
    try:
        with httpx.Client(transport=transport, headers=headers, trust_env=False) as client:
            status = _get(client, url + _STATUS)
            skew = _skew(status)
            listed = _get(client, url + _LIST)
    except TooMuch as error:
        raise AlertmanagerUnreadable(f"its answer has {error}") from None
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        # Its own words may hold the address with the password in it.
        raise AlertmanagerAway(type(error).__name__) from None
    return understood(status.content, listed.content, skew)


def understood(status: bytes, listed: bytes, skew: timedelta = timedelta(0)) -> Reading:
    """What these two answers say; `skew` is how far our clock is ahead.  Raises AlertmanagerUnreadable."""
    try:
        up_since = times.parse(_STATUS_DECODER.decode(status).uptime) + skew
        raw = _ALERTS.decode(listed)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, times.BadTime, OverflowError):
        raise AlertmanagerUnreadable("its answer is not that of the API v2 of an Alertmanager") from None
    return _reading(raw, up_since, skew)


def together(readings: Sequence[Reading]) -> Reading:
    """What the members of a cluster list together: each hears of every alert, but not at the same moment."""
    alerts = {(alert.fingerprint, alert.starts_at): alert for reading in readings for alert in reading.alerts}
    return Reading(
        up_since=max(reading.up_since for reading in readings),
        alerts=tuple(alerts.values()),
        unreadable=sum(reading.unreadable for reading in readings),
    )


def without_credentials(url: str) -> str:
    """The address as it may be stored and logged."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))


def _get(client: httpx.Client, url: str) -> httpx.Response:
    answer = client.get(url)
    if answer.status_code >= 500:
        raise AlertmanagerAway(f"it answered {answer.status_code}")
    if answer.status_code != 200:
        raise AlertmanagerUnreadable(f"it answered {answer.status_code}; are address and password right?")
    return answer


def _skew(answer: httpx.Response) -> timedelta:
    """How far our clock is ahead of that of the Alertmanager."""
    try:
        its = parsedate_to_datetime(answer.headers["Date"])
        skew = times.now() - its
    except (KeyError, ValueError, TypeError):
        return timedelta(0)
    # The header has no fractions, so less than this is no difference.
    return skew if abs(skew) > timedelta(seconds=2) else timedelta(0)


def _reading(raw: list[msgspec.Raw], up_since: datetime, skew: timedelta) -> Reading:
    alerts: dict[tuple[str, datetime], Listed] = {}
    unreadable = 0
    for item in raw:
        try:
            seen = _SEEN.decode(item)
            check_text(seen.fingerprint, "fingerprint", FINGERPRINT_BYTES)
            starts_at, ends_at = times.parse(seen.startsAt), times.parse(seen.endsAt)
            until = None if ends_at == times.NONE else ends_at + skew
            updated_at = None if seen.updatedAt is None else times.parse(seen.updatedAt)
        except (NotStorable, msgspec.MsgspecError, UnicodeDecodeError, RecursionError, times.BadTime, OverflowError):
            unreadable += 1
            continue
        alert = Listed(seen.fingerprint, starts_at, until, updated_at, _told(item))
        alerts[alert.fingerprint, alert.starts_at] = alert
    return Reading(up_since, tuple(alerts.values()), unreadable)


def _told(item: msgspec.Raw) -> Told | None:
    try:
        told = _TOLD.decode(item)
        if not told.labels:
            return None
        check_pairs(told.labels, "labels")
        check_pairs(told.annotations, "annotations", value_bytes=ANNOTATION_BYTES)
        check_text(told.generatorURL or "", "generatorURL", URL_BYTES)
        for text in (told.status.state, *(receiver.name for receiver in told.receivers)):
            check_text(text, "receivers", URL_BYTES)
    except (NotStorable, msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    receivers = tuple(receiver.name for receiver in told.receivers)
    return Told(told.labels, told.annotations, told.generatorURL, receivers, told.status.state)
