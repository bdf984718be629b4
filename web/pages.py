"""Pages by key: an opaque cursor says where the last page ended."""

from __future__ import annotations

import base64
import binascii
import json

from marshmallow import Schema, fields, validate

from sensus.errors import Invalid

MOST = 500
DEFAULT = 50
Key = tuple[str | int | float, ...]


class PageSchema(Schema):
    """The two parameters of every list."""

    limit = fields.Integer(
        load_default=DEFAULT, validate=validate.Range(1, MOST), metadata={"description": "Items of a page"}
    )
    cursor = fields.String(metadata={"description": "`next_cursor` of the page before"})


def encode(*key: str | int | float) -> str:
    """The cursor after the row with this key."""
    return base64.urlsafe_b64encode(json.dumps(key, separators=(",", ":")).encode()).decode().rstrip("=")


def decode(cursor: str, *kinds: type) -> Key:
    """The key in a cursor, whose parts are of these kinds.  Raises Invalid when it is none of ours."""
    try:
        key = json.loads(base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True))
    except (binascii.Error, ValueError, RecursionError):
        key = None
    well_formed = isinstance(key, list) and len(key) == len(kinds)
    if not well_formed or any(type(part) is not kind for part, kind in zip(key or [], kinds, strict=True)):
        raise Invalid("the cursor is none of ours", {"cursor": "take `next_cursor` of the page before, unchanged"})
    if any(abs(part) >= 2**63 if isinstance(part, int) else not _storable(part) for part in key):
        raise Invalid("the cursor is none of ours", {"cursor": "take `next_cursor` of the page before, unchanged"})
    return tuple(key)


def _storable(part: str | float) -> bool:
    # A key is compared in PostgreSQL, which holds neither a NUL nor half of a surrogate pair.
    return isinstance(part, float) or ("\0" not in part and part.encode("utf-8", "ignore").decode("utf-8") == part)
