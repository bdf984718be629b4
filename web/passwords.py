"""Passwords: hashed with bcrypt, checked in the same time whether the user exists or not."""

from __future__ import annotations

import base64
import hashlib
from functools import cache

import bcrypt

ROUNDS = 12
SHORTEST = 8
LONGEST = 1024


def hashed(password: str) -> str:
    """What is stored of a password."""
    return bcrypt.hashpw(_digest(password), bcrypt.gensalt(ROUNDS)).decode()


def matches(password: str, stored: str | None) -> bool:
    """Whether this is the password; `stored` is None for a user that is not there, which takes as long."""
    right = bcrypt.checkpw(_digest(password), (stored or _nobodys()).encode())
    return right and stored is not None


def _digest(password: str) -> bytes:
    # bcrypt reads 72 bytes only and stops at a NUL; a digest in base64 has neither trouble.
    return base64.b64encode(hashlib.sha256(password.encode("utf-8", "surrogatepass")).digest())


@cache
def _nobodys() -> str:
    return hashed("nobody has this password")
