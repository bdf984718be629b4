"""The body of a request, decompressed: never more of it than may be."""

from __future__ import annotations

import gzip
import io
import zlib

import cramjam
from werkzeug.exceptions import RequestEntityTooLarge

from sensus.errors import Unreadable

# Text shrinks to a tenth, so a body within its own limit may be a bomb; senders' messages end at 8 MB.
TIMES_THE_BODY = 4


def snappy_block(body: bytes, *, most: int) -> bytes:
    """What Prometheus calls snappy: one block, without frames.  Raises Unreadable and RequestEntityTooLarge."""
    try:
        length = cramjam.snappy.decompress_raw_len(body)
        if length <= most:
            return bytes(cramjam.snappy.decompress_raw(body))
    except cramjam.DecompressionError as error:
        raise Unreadable(f"the body is not one block of snappy: {error}") from None
    raise _too_large(most)


def gunzipped(body: bytes, *, most: int) -> bytes:
    """The content of a gzip body.  Raises Unreadable and RequestEntityTooLarge."""
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(body)) as file:
            content = file.read(most + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise Unreadable(f"the body is not gzip: {error}") from None
    if len(content) > most:
        raise _too_large(most)
    return content


def _too_large(most: int) -> RequestEntityTooLarge:
    return RequestEntityTooLarge(f"more than {most} bytes when decompressed; send less in one request")
