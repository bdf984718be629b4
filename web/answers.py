"""Answers that msgspec writes: fields in the order of the type."""

from __future__ import annotations

from http import HTTPStatus

import msgspec
from flask import Response


def accepted(receipt: msgspec.Struct) -> Response:
    """202: it is committed, whatever the workers do."""
    return Response(msgspec.json.encode(receipt), HTTPStatus.ACCEPTED, mimetype="application/json")
