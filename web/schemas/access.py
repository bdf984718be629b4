"""Tokens, users, keys and audit records as they are asked for and answered."""

from __future__ import annotations

from marshmallow import Schema, ValidationError, fields, validate

from db.models.access import SCOPES
from web.arguments import StrictSchema
from web.identity import LONGEST_KEY_NAME, USER_NAME, WHAT_A_USER_NAME_IS
from web.pages import PageSchema
from web.passwords import LONGEST, SHORTEST
from web.schemas.fields import NAME_LENGTH, Moment, Text

MOST_RATE = 10_000_000


def user_name(value: str) -> None:
    """Refuse what is no name."""
    if not USER_NAME.fullmatch(value):
        raise ValidationError(WHAT_A_USER_NAME_IS)


def scopes_field() -> fields.Field[list[str | None]]:
    """A list of scopes, at least one."""
    one = fields.String(validate=validate.OneOf(SCOPES))
    return fields.List(one, required=True, validate=validate.Length(1, len(SCOPES)))


class TokenAnswer(Schema):
    """An access token."""

    access_token = fields.String(required=True)
    token_type = fields.Constant("Bearer")
    expires_in = fields.Integer(required=True, metadata={"description": "Seconds"})
    scope = fields.String(required=True, metadata={"description": "Scopes, separated by blanks"})


class MeAnswer(Schema):
    """Who is calling."""

    name = fields.String(required=True)
    kind = fields.String(required=True, validate=validate.OneOf(("user", "key")))
    scopes = fields.List(fields.String(), required=True)
    expires_at = Moment(allow_none=True, metadata={"description": "Of a token; a key has no end"})


class UserAnswer(Schema):
    """A person who logs in."""

    name = fields.String(required=True)
    scopes = fields.List(fields.String())
    created_at = Moment()


class NewUserBody(StrictSchema):
    """A new person."""

    name = fields.String(required=True, validate=user_name)
    password = fields.String(required=True, validate=validate.Length(SHORTEST, LONGEST))
    scopes = scopes_field()


class NewPasswordBody(StrictSchema):
    """A new password; one's own needs the old one."""

    password = fields.String(required=True, validate=validate.Length(SHORTEST, LONGEST))
    old_password = fields.String(validate=validate.Length(1, LONGEST))


class PageQuery(StrictSchema, PageSchema):
    """Which page."""


class UsersAnswer(Schema):
    """A page of people, by name."""

    items = fields.List(fields.Nested(UserAnswer), required=True)
    next_cursor = fields.String(required=True, allow_none=True)


class KeyAnswer(Schema):
    """An API key, without its secret."""

    id = fields.Integer(required=True)
    name = fields.String(required=True)
    scopes = fields.List(fields.String())
    rate = fields.Integer(allow_none=True, metadata={"description": "Requests a minute; null for no limit"})
    created_by = fields.String(allow_none=True)
    created_at = Moment()
    last_used_at = Moment(allow_none=True)
    revoked_at = Moment(allow_none=True)


class NewKeyBody(StrictSchema):
    """A new key."""

    name = Text(required=True, shortest=1, longest=LONGEST_KEY_NAME)
    scopes = scopes_field()
    rate = fields.Integer(
        allow_none=True,
        strict=True,
        validate=validate.Range(1, MOST_RATE),
        metadata={"description": "Requests a minute; null for no limit; by default SENSUS_RATE_LIMIT_KEYS"},
    )


class MadeKeyAnswer(KeyAnswer):
    """A key just made: the only time that its secret is shown."""

    key = fields.String(required=True, metadata={"description": "The secret; shown only now"})


class KeysAnswer(Schema):
    """A page of keys, newest first."""

    items = fields.List(fields.Nested(KeyAnswer), required=True)
    next_cursor = fields.String(required=True, allow_none=True)


class AuditQuery(PageQuery):
    """Which records."""

    action = Text(shortest=1, longest=NAME_LENGTH)
    actor = Text(shortest=1, longest=NAME_LENGTH)
    since = Moment()
    until = Moment()


class AuditRecordAnswer(Schema):
    """One act."""

    id = fields.Integer(required=True)
    action = fields.String(required=True)
    actor = fields.String(required=True)
    subject = fields.String(allow_none=True)
    succeeded = fields.Boolean()
    facts = fields.Dict()
    request_id = fields.String(allow_none=True)
    client_address = fields.String(allow_none=True)
    at = Moment()


class AuditAnswer(Schema):
    """A page of acts, newest first."""

    items = fields.List(fields.Nested(AuditRecordAnswer), required=True)
    next_cursor = fields.String(required=True, allow_none=True)
