"""What came in the body of an ingest request: bytes of the right type and size, and the JSON in it, unopened."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import msgspec
from flask import Request, request
from werkzeug.exceptions import RequestEntityTooLarge, UnsupportedMediaType

from sensus.errors import Invalid, Unreadable

# A bad request of thousands of items is not answered with as many lines.
MOST_ERRORS = 100

_MAPPING = msgspec.json.Decoder(dict[str, msgspec.Raw])
_LIST = msgspec.json.Decoder(list[msgspec.Raw])
_AT = re.compile(r"^(?P<what>.*?) - at `\$\.?(?P<path>.*)`$", re.DOTALL)
_MISSING = re.compile(r"missing required field `(?P<name>[^`]*)`")
_INNER = re.compile(r"\[(?:\.\.\.|(\d+))\]")


def read_json_bytes() -> bytes:
    """The body, of a request whose content type is JSON or not given.

    415 for another type or an encoding of the content, 413 when it is too large, Unreadable when it is empty.
    """
    kind = request.mimetype
    if kind and kind != "application/json" and not kind.endswith("+json"):
        raise UnsupportedMediaType(f"send application/json, not {kind}")
    if request.headers.get("Content-Encoding", "identity").lower() != "identity":
        raise UnsupportedMediaType("send the body without Content-Encoding")
    body = whole(request)
    if not body.strip():
        raise Unreadable("the body is empty; send JSON")
    return body


def whole(request: Request) -> bytes:
    """The body to its end.  Raises RequestEntityTooLarge.

    Of a body whose length was not announced werkzeug gives as much as is allowed, and not a word of the rest.
    """
    most = request.max_content_length
    too_large = RequestEntityTooLarge(f"the body has more than {most} bytes; send less, or raise SENSUS_MAX_BODY_BYTES")
    try:
        body = request.get_data(cache=True)
    except RequestEntityTooLarge:
        raise too_large from None
    if request.content_length is None and most is not None and len(body) >= most:
        raise too_large
    return body


def open_json(body: bytes) -> dict[str, msgspec.Raw] | list[msgspec.Raw]:
    """The fields of an object or the items of a list, each still JSON text.

    Raises Unreadable for what is no JSON: broken or too deep, NaN and Infinity, text that is not UTF-8.
    """
    try:
        # The items stay closed here, so text in them would not be looked at.
        body.decode()
        return _LIST.decode(body) if body.lstrip()[:1] == b"[" else _MAPPING.decode(body)
    except RecursionError:
        raise Unreadable("the JSON is nested too deeply") from None
    except UnicodeDecodeError:
        raise Unreadable("the body is not UTF-8") from None
    except msgspec.ValidationError:
        raise Unreadable("send a JSON object or a list") from None
    except msgspec.DecodeError as error:
        raise Unreadable(f"the body is not valid JSON: {error}") from None


def read_json(body: bytes) -> Any:
    """The same, opened to the last value: of an object or a list.  Raises Unreadable."""
    open_json(body)
    try:
        return msgspec.json.decode(body)
    except RecursionError:
        raise Unreadable("the JSON is nested too deeply") from None
    except msgspec.DecodeError as error:
        # A number beyond what a float holds is seen here first.
        raise Unreadable(f"the body can't be read: {error}") from None


def items_of(raw: msgspec.Raw, name: str) -> list[msgspec.Raw]:
    """The items of a field that must be a list; null is an empty one.  Raises Invalid."""
    if bytes(raw) == b"null":
        return []
    try:
        return _LIST.decode(raw)
    except msgspec.DecodeError:
        raise Invalid("some fields are not as they must be", {name: "must be a list"}) from None


def what_is_wrong(error: msgspec.ValidationError) -> tuple[str, str]:
    """The path of the bad field, such as `labels` or `metric_value`, empty for the whole; and what is wrong with it."""
    text = str(error)
    path = ""
    if match := _AT.match(text):
        text, path = match["what"], match["path"]
    if match := _MISSING.search(text):
        return ".".join(part for part in (_dotted(path), match["name"]) if part), "missing"
    return _dotted(path), text[:1].lower() + text[1:]


def invalid(fields: Mapping[str, str]) -> Invalid:
    """The refusal of a whole request, with the path of each bad field."""
    first = dict(list(fields.items())[:MOST_ERRORS])
    return Invalid("some fields are not as they must be", first)


def _dotted(path: str) -> str:
    return _INNER.sub(lambda match: f".{match[1]}" if match[1] else "", path).strip(".")
