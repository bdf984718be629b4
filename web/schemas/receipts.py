"""What a sender hears of what it sent."""

from __future__ import annotations

import msgspec


class AlertsReceipt(msgspec.Struct):
    """Of a webhook: accepted = created + updated + duplicates."""

    accepted: int
    created: int
    updated: int
    duplicates: int
    quarantined: int
    alert_ids: list[int]
    request_id: str


class SampleError(msgspec.Struct):
    """Why a sample was not stored; `index` is its place in the request."""

    index: int
    field: str
    message: str


class SamplesReceipt(msgspec.Struct, omit_defaults=True):
    """Of samples: accepted includes the duplicates, and accepted + rejected were sent.  At most 100 errors are told."""

    accepted: int
    duplicates: int
    rejected: int
    batch_id: str
    request_id: str
    errors: list[SampleError] | None = None


class EventReceipt(msgspec.Struct):
    """Of a change event; a repeated one is a duplicate and has the id of the first."""

    accepted: int
    duplicates: int
    event_id: int
    request_id: str


class ChangesReceipt(msgspec.Struct):
    """Of a webhook about changes.  `ignored` is the name of an event that is no change; it is no fault to send it."""

    accepted: int
    duplicates: int
    event_ids: list[int]
    ignored: str | None
    request_id: str
