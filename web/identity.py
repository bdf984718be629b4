"""Making users and keys, for the API and the command line alike."""

from __future__ import annotations

import re
import secrets
from collections.abc import Collection

from sqlalchemy.orm import Session

from db.models import ApiKey, User
from db.queries import access, audit
from sensus.errors import Invalid
from sensus.settings import Settings
from web import passwords

KEY_PREFIX = "sns_"
LONGEST_KEY_NAME = 100
# Names go into tokens, logs and limits, so they are short and plain; Basic can't carry a colon.
USER_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}")
WHAT_A_USER_NAME_IS = "a user's name has 1 to 64 letters, digits and ._@-, and begins with a letter or digit"
ADMIN = "admin"
ADMIN_SCOPES = ("read", "write", "admin")
SOURCE_KEY_NAME = "source"
SOURCE_SCOPES = ("read", "write")


def make_key(
    session: Session,
    name: str,
    scopes: Collection[str],
    *,
    rate: int | None,
    actor: str,
    request_id: str,
    client_address: str | None = None,
) -> tuple[ApiKey, str]:
    """A new key with its secret, which is kept nowhere.  Raises Invalid."""
    if not 0 < len(name) <= LONGEST_KEY_NAME or not name.isprintable() or name != name.strip():
        told = f"the name of a key has 1 to {LONGEST_KEY_NAME} printable characters, and no blanks around it"
        raise Invalid(told, {"name": told})
    secret = KEY_PREFIX + secrets.token_urlsafe(32)
    key = access.add_key(session, name, secret, scopes, rate=rate, created_by=actor)
    if key is None:
        raise AssertionError("256 random bits came twice")
    facts = {"name": name, "scopes": key.scopes, "rate": rate}
    audit.record(
        session,
        action="key_created",
        actor=actor,
        request_id=request_id,
        subject=f"key:{key.id}",
        facts=facts,
        client_address=client_address,
    )
    return key, secret


def make_user(
    session: Session,
    name: str,
    password: str,
    scopes: Collection[str],
    *,
    actor: str,
    request_id: str,
    client_address: str | None = None,
) -> User:
    """A new user.  Raises Conflict when the name is taken, and Invalid when it is no name."""
    if not USER_NAME.fullmatch(name):
        raise Invalid(WHAT_A_USER_NAME_IS, {"name": WHAT_A_USER_NAME_IS})
    user = access.add_user(session, name, passwords.hashed(password), scopes)
    facts = {"scopes": user.scopes}
    audit.record(
        session,
        action="user_created",
        actor=actor,
        request_id=request_id,
        subject=f"user:{name}",
        facts=facts,
        client_address=client_address,
    )
    return user


def ensure_first_access(session: Session, settings: Settings, *, request_id: str) -> None:
    """The user `admin` and the source key of the settings, when they are not there yet.

    A password in the settings holds for the first start only: afterwards people change it with `sensus user passwd`.
    """
    if settings.admin_password is not None and access.user(session, ADMIN) is None:
        password = settings.admin_password.get_secret_value()
        make_user(session, ADMIN, password, ADMIN_SCOPES, actor="sensus", request_id=request_id)
    if settings.source_key is not None:
        secret = settings.source_key.get_secret_value()
        key = access.add_key(
            session, SOURCE_KEY_NAME, secret, SOURCE_SCOPES, rate=settings.rate_limit_keys, created_by="sensus"
        )
        if key is not None:
            subject = f"key:{key.id}"
            audit.record(session, action="key_created", actor="sensus", request_id=request_id, subject=subject)
