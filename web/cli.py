"""`sensus user`, `token`, `key` and `audit`: access from the command line, by whoever reaches the database."""

from __future__ import annotations

import argparse
import getpass
import json
import secrets
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import redis
from flask import Flask
from sqlalchemy.orm import Session

from db.models.access import SCOPES
from db.queries import access
from db.queries import audit as audit_rows
from db.session import Database
from sensus import audit as streams
from sensus import logs, settings, times
from sensus.errors import ConfigurationError, Invalid, NotFound
from web import credentials, identity, passwords
from web.schemas.access import MOST_RATE
from web.schemas.fields import LARGEST_ID

ACTOR = "command line"
_MOST = 10_000


def configure_user(parser: argparse.ArgumentParser) -> None:
    """`create`, `list`, `passwd`, `delete`."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    create = actions.add_parser("create", help="add a person")
    create.add_argument("name")
    create.add_argument("--scope", action="append", choices=SCOPES, required=True, help="may be repeated")
    actions.add_parser("list", help="people and their scopes")
    passwd = actions.add_parser("passwd", help="set a new password")
    passwd.add_argument("name")
    delete = actions.add_parser("delete", help="remove a person")
    delete.add_argument("name")
    for action in (create, passwd):
        action.add_argument("--password-stdin", action="store_true", help="read the password from standard input")
        # A password that we make is said once it holds, not before.
        action.set_defaults(told="")


def user(arguments: argparse.Namespace) -> int:
    """Do what `sensus user ACTION` asks."""
    request_id = logs.new_request_id()
    with _session() as (session, _):
        if arguments.action == "create":
            password = _password(arguments)
            identity.make_user(session, arguments.name, password, arguments.scope, actor=ACTOR, request_id=request_id)
            print(f"user {arguments.name} made, with {' '.join(sorted(set(arguments.scope)))}{arguments.told}")
        elif arguments.action == "passwd":
            access.set_password(session, arguments.name, passwords.hashed(_password(arguments)))
            _record(session, "password_changed", f"user:{arguments.name}", request_id)
            print(f"user {arguments.name} has a new password; tokens of the old one no longer hold{arguments.told}")
        elif arguments.action == "delete":
            access.delete_user(session, arguments.name)
            _record(session, "user_deleted", f"user:{arguments.name}", request_id)
            print(f"user {arguments.name} removed")
        else:
            for each in access.users(session, limit=_MOST):
                print(f"{each.name:32} {' '.join(each.scopes):20} since {times.isoformat(each.created_at)}")
    return 0


def configure_token(parser: argparse.ArgumentParser) -> None:
    """The user's name."""
    parser.add_argument("name", help="the user")


def token(arguments: argparse.Namespace) -> int:
    """Print an access token of a user."""
    with _session() as (session, current):
        found = access.user(session, arguments.name)
        if found is None:
            raise NotFound(f"there is no user {arguments.name}; `sensus user list` has them")
        app = Flask(__name__)
        credentials.sign_with(app, current)
        with app.app_context():
            print(credentials.token(found, frozenset(found.scopes)))
        _record(session, "token_printed", f"user:{arguments.name}", logs.new_request_id())
    return 0


def configure_key(parser: argparse.ArgumentParser) -> None:
    """`create`, `list`, `revoke`."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    create = actions.add_parser("create", help="make a key; its secret is shown only now")
    create.add_argument("name")
    create.add_argument("--scope", action="append", choices=SCOPES, required=True, help="may be repeated")
    create.add_argument("--rate", type=_rate, default=0, help="requests a minute, or none (SENSUS_RATE_LIMIT_KEYS)")
    actions.add_parser("list", help="keys, without their secrets")
    revoke = actions.add_parser("revoke", help="from now on a key opens nothing")
    revoke.add_argument("id", type=_id)


def key(arguments: argparse.Namespace) -> int:
    """Do what `sensus key ACTION` asks."""
    request_id = logs.new_request_id()
    with _session() as (session, current):
        if arguments.action == "create":
            rate = current.rate_limit_keys if arguments.rate == 0 else arguments.rate
            made, secret = identity.make_key(
                session, arguments.name, arguments.scope, rate=rate, actor=ACTOR, request_id=request_id
            )
            print(f"id  {made.id}\nkey {secret}")
        elif arguments.action == "revoke":
            access.revoke_key(session, arguments.id)
            _record(session, "key_revoked", f"key:{arguments.id}", request_id)
            print(f"key {arguments.id} revoked")
        else:
            for each in access.keys(session, limit=_MOST):
                state = "revoked" if each.revoked_at else f"{each.rate or 'no'} limit"
                print(f"{each.id:6} {each.name:32} {' '.join(each.scopes):20} {state}")
    return 0


def configure_audit(parser: argparse.ArgumentParser) -> None:
    """`tail`."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    tail = actions.add_parser("tail", help="the newest entries, a JSON object each")
    tail.add_argument("--follow", action="store_true", help="then each new one as it comes")
    tail.add_argument("--stream", choices=(streams.RAW, streams.ACCESS), default=streams.ACCESS)
    tail.add_argument("--count", type=int, default=20, help="how many of the newest")


def audit(arguments: argparse.Namespace) -> int:
    """Print an audit stream."""
    current = _reachable()
    with redis.Redis.from_url(current.require_redis_url(), decode_responses=True) as client:
        try:
            for entry in streams.tail(client, arguments.stream, count=arguments.count, follow=arguments.follow):
                print(json.dumps({**entry, "data": json.loads(entry["data"])}, ensure_ascii=False), flush=True)
        except redis.RedisError as error:
            raise ConfigurationError(f"Redis can't be read ({error}); is SENSUS_REDIS_URL right?") from error
    return 0


def prepare_access(current: settings.Settings) -> None:
    """What `sensus up` does once the tables are there: the first user and the first key."""
    database = Database(current.require_unpooled_url(), application="sensus-cli")
    try:
        with database.transaction() as session:
            identity.ensure_first_access(session, current, request_id=logs.new_request_id())
    finally:
        database.close()


@contextmanager
def _session() -> Iterator[tuple[Session, settings.Settings]]:
    current = _reachable()
    database = Database(current.require_unpooled_url(), application="sensus-cli")
    try:
        with database.transaction() as session:
            yield session, current
    finally:
        database.close()


def _reachable() -> settings.Settings:
    # Beside a running `sensus up` its own servers and secrets are meant.
    current = settings.load()
    return settings.of_running_stack(current)


def _record(session: Session, action: str, subject: str, request_id: str) -> None:
    audit_rows.record(session, action=action, actor=ACTOR, request_id=request_id, subject=subject)


def _password(arguments: argparse.Namespace) -> str:
    if arguments.password_stdin:
        password = sys.stdin.readline().rstrip("\n")
    elif sys.stdin.isatty():
        password = getpass.getpass("password: ")
        if getpass.getpass("once more: ") != password:
            raise Invalid("the two passwords differ; nothing was changed")
    else:
        password = secrets.token_urlsafe(15)
        arguments.told = f"\npassword {password}"
    if not passwords.SHORTEST <= len(password) <= passwords.LONGEST:
        raise Invalid(f"a password has {passwords.SHORTEST} to {passwords.LONGEST} characters; nothing was changed")
    return password


def _id(text: str) -> int:
    if text.isdecimal() and 0 < int(text) <= LARGEST_ID:
        return int(text)
    raise argparse.ArgumentTypeError("the number of a key; `sensus key list` has them")


def _rate(text: str) -> int | None:
    if text == "none":
        return None
    if text.isdecimal() and 0 < int(text) <= MOST_RATE:
        return int(text)
    raise argparse.ArgumentTypeError(f"1 to {MOST_RATE} requests a minute, or none")
