"""Who is calling?  Tokens and API keys, however a sender can put them into a request."""

from __future__ import annotations

import base64
import binascii
import hashlib
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from threading import Lock
from typing import Generic, Literal, TypeVar, cast

import jwt
from flask import Flask, current_app
from flask_jwt_extended import JWTManager, create_access_token, decode_token
from flask_jwt_extended.exceptions import JWTExtendedException

from db.models import User
from db.queries import access as access_rows
from db.session import Database
from sensus.errors import Unauthenticated
from sensus.settings import Settings

T = TypeVar("T")
REMEMBERED_S = 5.0
_MOST_REMEMBERED = 10_000
_SCOPES = "scopes"
_GENERATION = "gen"
_USER_ID = "uid"
_EXTENSION = "sensus_credentials"


@dataclass(frozen=True, slots=True)
class _Account:
    """What a user has now; a token of another account or generation no longer holds, whatever the name."""

    id: int
    generation: int
    scopes: frozenset[str]


@dataclass(frozen=True, slots=True)
class Caller:
    """Who has proved to be calling, and what they may do."""

    name: str
    kind: Literal["user", "key"]
    identity: str  # "user:NAME" or "key:ID"
    scopes: frozenset[str]
    rate: int | None  # requests a minute of a key; None for no limit, and for users
    expires_at: datetime | None = None


class Remembered(Generic[T]):
    """Values for a few seconds each, so that a busy sender does not cost a look-up a request."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._values: OrderedDict[str | bytes, tuple[float, T]] = OrderedDict()
        self._lock = Lock()

    def get(self, key: str | bytes, look_up: Callable[[], T | None]) -> T | None:
        """The value; looked up when it is not remembered.  What is not there is not remembered."""
        with self._lock:
            found = self._values.get(key)
        if found is not None and found[0] > self._clock():
            return found[1]
        value = look_up()
        with self._lock:
            if value is None:
                self._values.pop(key, None)
            else:
                self._values[key] = (self._clock() + REMEMBERED_S, value)
                self._values.move_to_end(key)
                while len(self._values) > _MOST_REMEMBERED:
                    self._values.popitem(last=False)
        return value


class Credentials:
    """Checks what requests carry.  A revocation or a new password takes effect within five seconds."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._keys: Remembered[Caller] = Remembered()
        self._accounts: Remembered[_Account] = Remembered()

    def caller(self, authorization: str | None) -> Caller:
        """Who sent this Authorization header.  Raises Unauthenticated."""
        if not authorization:
            raise Unauthenticated("no credentials; send `Authorization: Bearer <token or API key>`")
        scheme, _, credential = authorization.strip().partition(" ")
        credential = credential.strip()
        if scheme.lower() == "basic":
            _, credential = basic(credential)
        # Alertmanager may name any scheme, so the credential itself says what it is.
        if credential.count(".") == 2:
            return self._of_token(credential)
        return self._of_key(credential)

    def _of_key(self, secret: str) -> Caller:
        digest = hashlib.sha256(secret.encode("utf-8", "replace")).digest()
        caller = self._keys.get(digest, lambda: self._look_up_key(digest))
        if caller is None:
            raise Unauthenticated("this API key is unknown or revoked")
        return caller

    def _look_up_key(self, digest: bytes) -> Caller | None:
        with self._database.transaction() as session:
            key = access_rows.use_key(session, digest)
        if key is None:
            return None
        return Caller(key.name, "key", f"key:{key.id}", frozenset(key.scopes), key.rate)

    def _of_token(self, token: str) -> Caller:
        try:
            claims = decode_token(token)
        except jwt.ExpiredSignatureError:
            raise Unauthenticated("this token has expired; get a new one at /api/v1/auth/token") from None
        except (jwt.PyJWTError, JWTExtendedException, ValueError):
            raise Unauthenticated("this token does not hold") from None
        name = str(claims.get("sub"))
        account = self._accounts.get(name, lambda: self._account(name))
        if account is None or (account.id, account.generation) != (claims.get(_USER_ID), claims.get(_GENERATION)):
            raise Unauthenticated("this token no longer holds; get a new one at /api/v1/auth/token")
        expires_at = datetime.fromtimestamp(claims["exp"], UTC)
        return Caller(name, "user", f"user:{name}", account.scopes & set(claims.get(_SCOPES, ())), None, expires_at)

    def _account(self, name: str) -> _Account | None:
        with self._database.transaction() as session:
            user = access_rows.user(session, name)
            return None if user is None else _Account(user.id, user.generation, frozenset(user.scopes))


def install(app: Flask, settings: Settings, database: Database) -> None:
    """Prepare the signing of tokens and the checking of what requests carry."""
    app.extensions[_EXTENSION] = Credentials(database)
    sign_with(app, settings)


def sign_with(app: Flask, settings: Settings) -> None:
    """Prepare the signing of tokens."""
    app.config.update(
        JWT_SECRET_KEY=settings.require_jwt_secret(),
        JWT_ALGORITHM="HS256",
        JWT_ACCESS_TOKEN_EXPIRES=timedelta(minutes=settings.token_minutes),
    )
    JWTManager(app)


def known() -> Credentials:
    """What checks credentials in the current application."""
    return cast(Credentials, current_app.extensions[_EXTENSION])


def token(user: User, scopes: frozenset[str]) -> str:
    """A signed token of a user, with some of his scopes; in an application's context."""
    claims = {_SCOPES: sorted(scopes), _USER_ID: user.id, _GENERATION: user.generation}
    return str(create_access_token(user.name, additional_claims=claims))


def basic(credential: str) -> tuple[str, str]:
    """Name and password of Basic credentials.  Raises Unauthenticated."""
    try:
        name, colon, password = base64.b64decode(credential, validate=True).decode("utf-8").partition(":")
    except (binascii.Error, UnicodeDecodeError):
        colon = ""
    if not colon:
        raise Unauthenticated("these Basic credentials can't be read")
    return name, password
