"""Users and API keys."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Sequence

from sqlalchemy import delete, func, or_, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from db.models import ApiKey, User
from sensus.errors import Conflict, NotFound


def user(session: Session, name: str) -> User | None:
    """The user of this name."""
    return session.scalar(select(User).where(User.name == name))


def users(session: Session, *, limit: int, after: str | None = None) -> Sequence[User]:
    """Users by name, from after `after`."""
    query = select(User).order_by(User.name).limit(limit)
    return session.scalars(query if after is None else query.where(User.name > after)).all()


def add_user(session: Session, name: str, password_hash: str, scopes: Collection[str]) -> User:
    """A new user.  Raises Conflict when the name is taken."""
    statement = (
        insert(User)
        .values(name=name, password_hash=password_hash, scopes=sorted(set(scopes)))
        .on_conflict_do_nothing(index_elements=[User.name])
        .returning(User)
    )
    added = session.scalar(statement)
    if added is None:
        raise Conflict(f"there is a user {name} already")
    return added


def set_password(session: Session, name: str, password_hash: str) -> None:
    """A new password; tokens of the old one no longer hold.  Raises NotFound."""
    statement = (
        update(User)
        .where(User.name == name)
        .values(password_hash=password_hash, generation=User.generation + 1)
        .returning(User.id)
    )
    if session.scalar(statement) is None:
        raise NotFound(f"there is no user {name}")


def delete_user(session: Session, name: str) -> None:
    """Remove a user.  Raises NotFound, and Conflict for the last one with scope admin."""
    found = user(session, name)
    if found is None:
        raise NotFound(f"there is no user {name}")
    # Locked together, or two admins could remove each other at the same time.
    admins = session.scalars(select(User).where(User.scopes.contains(["admin"])).with_for_update()).all()
    if "admin" in found.scopes and len(admins) == 1:
        raise Conflict(f"{name} is the last user with scope admin; make another first")
    session.execute(delete(User).where(User.id == found.id))


def use_key(session: Session, secret_hash: bytes) -> ApiKey | None:
    """The key with this hash unless it is revoked; notes that it was used, once a minute."""
    key = session.scalar(select(ApiKey).where(ApiKey.secret_hash == secret_hash, ApiKey.revoked_at.is_(None)))
    if key is not None:
        minute_ago = func.now() - func.make_interval(0, 0, 0, 0, 0, 1)
        session.execute(
            update(ApiKey)
            .where(ApiKey.id == key.id, or_(ApiKey.last_used_at.is_(None), ApiKey.last_used_at < minute_ago))
            .values(last_used_at=func.now())
            .execution_options(synchronize_session=False)
        )
    return key


def keys(session: Session, *, limit: int, before: int | None = None) -> Sequence[ApiKey]:
    """Keys, newest first, from below the id `before`; revoked ones as well."""
    query = select(ApiKey).order_by(ApiKey.id.desc()).limit(limit)
    return session.scalars(query if before is None else query.where(ApiKey.id < before)).all()


def add_key(
    session: Session, name: str, secret: str, scopes: Collection[str], *, rate: int | None, created_by: str
) -> ApiKey | None:
    """A new key, of which only the hash is kept; None when this secret is a key already."""
    statement = (
        insert(ApiKey)
        .values(
            name=name,
            secret_hash=hashlib.sha256(secret.encode()).digest(),
            scopes=sorted(set(scopes)),
            rate=rate,
            created_by=created_by,
        )
        .on_conflict_do_nothing(index_elements=[ApiKey.secret_hash])
        .returning(ApiKey)
    )
    return session.scalar(statement)


def revoke_key(session: Session, key_id: int) -> ApiKey:
    """From now on the key opens nothing.  Raises NotFound when there is none that still does."""
    statement = (
        update(ApiKey)
        .where(ApiKey.id == key_id, ApiKey.revoked_at.is_(None))
        .values(revoked_at=func.now())
        .returning(ApiKey)
    )
    revoked = session.scalar(statement)
    if revoked is None:
        raise NotFound(f"there is no API key {key_id} that is not revoked")
    return revoked
