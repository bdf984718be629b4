"""Fields that several resources share: bounded text, times, labels, selectors."""

# ruff: noqa: ARG002 - marshmallow hands every field the same arguments.

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from marshmallow import ValidationError, fields, validate

from db.queries.labels import Matcher
from db.queries.series_reads import Selector
from sensus import times
from web.schemas import selector

# The largest number that an id of the database can be; a larger one in a path names nothing.
LARGEST_ID = 2**63 - 1
NAME_LENGTH = 1024
NOTE_LENGTH = 4096
FILTER_LENGTH = 4096
_DURATION = re.compile(r"([0-9]{1,9})([smhd]?)")
_UNIT_S = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86_400}


class Text(fields.String):
    """Text that PostgreSQL can hold, of bounded length."""

    def __init__(self, *, longest: int, shortest: int = 0, **kwargs: Any) -> None:
        super().__init__(validate=validate.Length(min=shortest, max=longest), **kwargs)

    def _deserialize(self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any) -> str:
        return storable(super()._deserialize(value, attr, data, **kwargs))


class TrueOrFalse(fields.Boolean):
    """A JSON boolean, and nothing that looks like one."""

    def _deserialize(self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any) -> bool:
        if not isinstance(value, bool):
            raise ValidationError("must be true or false")
        return value


class Moment(fields.Field[datetime]):
    """A time: ISO 8601 or Unix seconds coming in, ISO 8601 with a Z going out."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**_described(kwargs, type="string", format="date-time"))

    def _serialize(self, value: datetime | None, attr: str | None, obj: Any, **kwargs: Any) -> str | None:
        return None if value is None else times.isoformat(value)

    def _deserialize(self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any) -> datetime:
        try:
            return times.parse(value)
        except times.BadTime as error:
            raise ValidationError(str(error)) from None


class Number(fields.Float):
    """A finite number coming in; whatever JSON can't say goes out as null."""

    def _serialize(self, value: Any, attr: str | None, obj: Any, **kwargs: Any) -> float | None:
        return value if value is not None and math.isfinite(value) else None


class LabelIs(fields.Field[Matcher]):
    """A label's value as `name=value`; an empty value means that the label is absent or empty."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**_described(kwargs, type="string", example="instance=web-1:9100"))

    def _deserialize(self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any) -> Matcher:
        name, equals, wanted = str(value).partition("=")
        if not name or not equals:
            raise ValidationError("write name=value")
        # `env!=prod` would otherwise ask for a label called `env!`, and find nothing for ever.
        if name.endswith("!"):
            raise ValidationError("only name=value can be asked for here")
        if len(name) + len(wanted) > FILTER_LENGTH:
            raise ValidationError(f"longer than {FILTER_LENGTH} characters")
        return Matcher(storable(name), "=", storable(wanted))


class Seconds(fields.Field[int]):
    """A length of time in whole seconds: `300`, or `5m` as Prometheus writes it."""

    def __init__(self, *, longest: int, **kwargs: Any) -> None:
        super().__init__(validate=validate.Range(min=1, max=longest), **_described(kwargs, type="string", example="5m"))

    def _deserialize(self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any) -> int:
        matched = _DURATION.fullmatch(str(value))
        if matched is None:
            raise ValidationError("write whole seconds, or such as 30s, 5m, 1h, 1d")
        return int(matched[1]) * _UNIT_S[matched[2]]


class SelectorText(fields.Field[Selector]):
    """Series as Prometheus selects them: `up{job="node",instance=~"web-.*"}`."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**_described(kwargs, type="string", example='up{job="node",instance=~"web-.*"}'))

    def _deserialize(self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any) -> Selector:
        text = storable(str(value))
        if len(text) > FILTER_LENGTH:
            raise ValidationError(f"longer than {FILTER_LENGTH} characters")
        try:
            return selector.parse(text)
        except selector.BadSelector as error:
            raise ValidationError(str(error)) from None


def storable(text: str) -> str:
    """The text itself.  Raises ValidationError for what PostgreSQL can't hold."""
    if "\x00" in text:
        raise ValidationError("has a NUL character")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValidationError("has half of a surrogate pair") from None
    return text


def _described(kwargs: dict[str, Any], **facts: str) -> dict[str, Any]:
    return {**kwargs, "metadata": {**facts, **kwargs.get("metadata", {})}}
