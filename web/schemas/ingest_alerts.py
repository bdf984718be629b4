"""The webhook of Alertmanager, or a bare list of alerts: what can be stored of it, and what is put aside."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

import msgspec

from db.queries.episodes import Message, message, to_millisecond
from db.queries.quarantine import Oddity
from sensus import fingerprint, times
from sensus.storable import ANNOTATION_BYTES, FINGERPRINT_BYTES, URL_BYTES, NotStorable, check_pairs, check_text
from web import bodies

# By this it is the webhook of an Alertmanager.
_EXTERNAL_URL = "externalURL"
_KNOWN_OF_WEBHOOK = frozenset(
    {"alerts", "status", "groupLabels", "commonLabels", "commonAnnotations", "version", "groupKey", "truncatedAlerts"}
)
# Far more than anybody sends, and far less than what makes a reader of the row run out of stack.
_DEEPEST = 64


class AlertIn(msgspec.Struct, forbid_unknown_fields=True):
    """An alert as Alertmanager sends it.  Further fields are kept."""

    labels: dict[str, str]
    status: Literal["firing", "resolved"] | None = None
    annotations: dict[str, str] | None = None
    startsAt: str | float | None = None  # noqa: N815 (the sender's name)
    endsAt: str | float | None = None  # noqa: N815 (the sender's name)
    generatorURL: str | None = None  # noqa: N815 (the sender's name)
    fingerprint: str | None = None


class WebhookIn(msgspec.Struct):
    """The webhook of Alertmanager, version 4.  Further fields are kept."""

    alerts: list[AlertIn]
    version: str | None = None
    groupKey: str | None = None  # noqa: N815 (the sender's name)
    truncatedAlerts: int | None = None  # noqa: N815 (the sender's name)
    status: str | None = None
    receiver: str | None = None
    groupLabels: dict[str, str] | None = None  # noqa: N815 (the sender's name)
    commonLabels: dict[str, str] | None = None  # noqa: N815 (the sender's name)
    commonAnnotations: dict[str, str] | None = None  # noqa: N815 (the sender's name)
    externalURL: str | None = None  # noqa: N815 (the sender's name)


@dataclass(frozen=True, slots=True)
class Delivery:
    """What one request brought."""

    messages: list[Message]
    oddities: list[Oddity]
    truncated: int  # alerts that Alertmanager left out (max_alerts)


_ALERT = msgspec.json.Decoder(AlertIn)
_FIELDS = frozenset(AlertIn.__struct_fields__)


def read(body: bytes, received_at: datetime) -> Delivery:
    """The alerts of a body.  One odd alert never costs its neighbours.

    Raises Unreadable when the body is no JSON, Invalid when it has no list of alerts.
    """
    opened = bodies.open_json(body)
    group_key: str | None = None
    truncated = 0
    around: dict[str, Any] = {}
    if isinstance(opened, dict):
        if "alerts" not in opened:
            raise bodies.invalid({"alerts": "missing"})
        group_key = _text(opened.get("groupKey"))
        truncated = _count(opened.get("truncatedAlerts"))
        around = _around(opened)
        opened = bodies.items_of(opened["alerts"], "alerts")
    messages: list[Message] = []
    oddities: list[Oddity] = []
    for raw in opened:
        try:
            messages.append(_message(raw, received_at, group_key, around))
        except NotStorable as error:
            # The JSON text of a NUL is six harmless characters.
            oddities.append(Oddity(error.reason, f"{error.field}: {error}".strip(": "), bytes(raw).decode()))
    return Delivery(messages, oddities, truncated)


def _message(raw: msgspec.Raw, received_at: datetime, group_key: str | None, around: dict[str, Any]) -> Message:
    alert, further = _decode(raw)
    # As in Prometheus, a label without a value is a label that is not there.
    labels = {name: value for name, value in alert.labels.items() if value}
    annotations = alert.annotations or {}
    if not labels:
        raise NotStorable("no_labels", "labels", "an alert is known by its labels, and has none")
    check_pairs(labels, "labels")
    check_pairs(annotations, "annotations", value_bytes=ANNOTATION_BYTES)
    check_text(alert.generatorURL or "", "generatorURL", URL_BYTES)
    check_text(alert.fingerprint or "", "fingerprint", FINGERPRINT_BYTES)
    starts_at = _time(alert.startsAt, "startsAt")
    ends_at = _time(alert.endsAt, "endsAt")
    over = alert.status == "resolved" or (alert.status is None and ends_at is not None and ends_at <= received_at)
    return message(
        fingerprint=alert.fingerprint or fingerprint.of_labels(labels),
        starts_at=to_millisecond(starts_at) if starts_at and _EXTERNAL_URL in around else starts_at,
        status="resolved" if over else "firing",
        labels=labels,
        annotations=annotations,
        ends_at=ends_at,
        generator_url=alert.generatorURL,
        group_key=group_key,
        extra=further | ({"webhook": around} if around else {}),
    )


def _decode(raw: msgspec.Raw) -> tuple[AlertIn, dict[str, Any]]:
    """The alert, and its fields that we do not know."""
    try:
        return _ALERT.decode(raw), {}
    except msgspec.ValidationError as first:
        try:
            given = msgspec.json.decode(raw)
            if not isinstance(given, dict):
                raise NotStorable("wrong_type", "", "not an object")
            further = {name: value for name, value in given.items() if name not in _FIELDS}
            _check_further(further, "")
            known = {name: value for name, value in given.items() if name in _FIELDS}
            return msgspec.convert(known, AlertIn), further
        except RecursionError:
            raise NotStorable("too_deep", "", f"nested more than {_DEEPEST} deep") from None
        except msgspec.ValidationError as error:
            # What the decoder says of the text is nearer to the truth than what it says of the values.
            told = error if "unknown field" in str(first) else first
            field, message = bodies.what_is_wrong(told)
            raise NotStorable("wrong_type", field, message) from None


def _around(opened: Mapping[str, msgspec.Raw]) -> dict[str, Any]:
    """What a webhook says beside its alerts, and no column has.  What can't be kept as it is is kept as its text."""
    kept: dict[str, Any] = {}
    for name, raw in opened.items():
        if name in _KNOWN_OF_WEBHOOK:
            continue
        try:
            value = msgspec.json.decode(raw)
            _check_further(value, name)
        except (msgspec.ValidationError, RecursionError, NotStorable):
            value = bytes(raw).decode()
        kept[name.replace("\0", "\\0")] = value
    return kept


def _check_further(value: object, path: str, depth: int = 0) -> None:
    """No NUL anywhere within, names included, and no deeper than can be read back."""
    if depth > _DEEPEST:
        raise NotStorable("too_deep", path[:100], f"nested more than {_DEEPEST} deep")
    if isinstance(value, str):
        if "\0" in value:
            raise NotStorable("nul", path[:100], "contains a NUL")
    elif isinstance(value, dict):
        for name, inner in value.items():
            _check_further(name, path)
            _check_further(inner, f"{path}.{name}".strip("."), depth + 1)
    elif isinstance(value, list):
        for inner in value:
            _check_further(inner, path, depth + 1)


def _time(value: str | float | None, field: str) -> datetime | None:
    if value is None or value == "":
        return None
    try:
        at = times.parse(value)
    except times.BadTime as error:
        raise NotStorable("bad_time", field, str(error)) from None
    return None if at == times.NONE else at


def _text(raw: msgspec.Raw | None) -> str | None:
    value = None if raw is None else _value(raw)
    return value if isinstance(value, str) and "\0" not in value else None


def _count(raw: msgspec.Raw | None) -> int:
    value = None if raw is None else _value(raw)
    return max(0, value) if isinstance(value, int) and not isinstance(value, bool) else 0


def _value(raw: msgspec.Raw) -> object:
    try:
        return msgspec.json.decode(raw)
    except (msgspec.ValidationError, RecursionError):
        return None  # a number that no machine holds
