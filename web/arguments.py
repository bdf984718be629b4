"""How arguments are read: what nobody knows is refused by name, and so is a body that is not JSON."""

from __future__ import annotations

import json
from typing import Any

from flask import Request
from flask_smorest import Blueprint
from marshmallow import RAISE, Schema, missing
from webargs.flaskparser import FlaskParser
from werkzeug.exceptions import UnsupportedMediaType

from sensus.errors import NotFound, Unreadable
from web import bodies
from web.schemas.fields import LARGEST_ID


class StrictSchema(Schema):
    """A schema that names each field it does not know: a misspelt filter would answer another question."""

    class Meta:
        unknown = RAISE


class StrictParser(FlaskParser):
    """webargs, with the schema deciding what is unknown, and the errors of Sensus."""

    DEFAULT_UNKNOWN_BY_LOCATION = {**FlaskParser.DEFAULT_UNKNOWN_BY_LOCATION, "query": RAISE}

    def load_json(self, req: Request, schema: Schema) -> Any:  # noqa: ARG002 - webargs hands it over
        """The body; `missing` when there is none.  Raises Unreadable, and 415 for another content type."""
        body = bodies.whole(req)
        if not body:
            return missing
        if not req.is_json:
            raise UnsupportedMediaType("the body must be JSON, with the header Content-Type: application/json")
        try:
            return json.loads(body)
        except (ValueError, RecursionError):
            raise Unreadable("the body is not JSON") from None


class StrictBlueprint(Blueprint):  # type: ignore[misc]  # flask_smorest has no types
    """A blueprint whose arguments are read this way."""

    ARGUMENTS_PARSER = StrictParser()

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.url_value_preprocessor(_refuse_impossible)


def _refuse_impossible(_endpoint: str | None, values: dict[str, Any] | None) -> None:
    for name, value in (values or {}).items():
        # PostgreSQL would call it out of range, which is not what the caller wants to know.
        if isinstance(value, int) and value > LARGEST_ID:
            raise NotFound(f"there is no {name} {value}")
        if isinstance(value, str) and "\0" in value:
            raise NotFound(f"there is no such {name}")
