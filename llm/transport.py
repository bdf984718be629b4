"""How do bytes travel to the model server and back, never past a deadline and never without end?

The timeouts of httpx are per read: a server that sends a byte now and then, or one endless line, outlives them all.
Here every single wait on the socket is cut to what is left of the deadline, also between two bytes of a header.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import httpcore
import httpx

CONNECT_S = 5.0


class DeadlinePassed(httpx.TimeoutException):
    """The deadline of the whole exchange is over."""


class TooMuch(httpx.TransportError):
    """The response is longer than any answer."""


class DeadlineTransport(httpx.BaseTransport):
    """One exchange over HTTP/1.1, over at `deadline` (of `time.monotonic`), answered in at most `max_bytes`.

    No proxy of the environment is used: evidence goes to the configured server and nowhere else.
    """

    def __init__(self, deadline: float, *, max_bytes: int) -> None:
        self.received_bytes = 0
        self._deadline = deadline
        self._max_bytes = max_bytes
        self._pool = httpcore.ConnectionPool(max_connections=1, network_backend=_Network(self._left))

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        assert isinstance(request.stream, httpx.SyncByteStream)  # noqa: S101 - a sync client has sync streams
        with _Translated():
            response = self._pool.handle_request(
                httpcore.Request(
                    method=request.method,
                    url=httpcore.URL(
                        scheme=request.url.raw_scheme,
                        host=request.url.raw_host,
                        port=request.url.port,
                        target=request.url.raw_path,
                    ),
                    headers=request.headers.raw,
                    content=request.stream,
                    extensions={"timeout": {"connect": CONNECT_S}},
                )
            )
        return httpx.Response(
            status_code=response.status, headers=response.headers, stream=_Body(response, self._counted)
        )

    def close(self) -> None:
        self._pool.close()

    def _left(self) -> float:
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise DeadlinePassed("the deadline is over")
        return left

    def _counted(self, chunk: bytes) -> bytes:
        self._left()
        self.received_bytes += len(chunk)
        if self.received_bytes > self._max_bytes:
            raise TooMuch(f"more than {self._max_bytes} bytes")
        return chunk


class _Body(httpx.SyncByteStream):
    def __init__(self, response: httpcore.Response, counted: Callable[[bytes], bytes]) -> None:
        self._response = response
        self._counted = counted

    def __iter__(self) -> Iterator[bytes]:
        with _Translated():
            for chunk in self._response.iter_stream():
                yield self._counted(chunk)

    def close(self) -> None:
        self._response.close()


class _Translated:
    """httpcore's exceptions as the httpx ones that the `ollama` package lets through."""

    def __enter__(self) -> None: ...

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        match error:
            case httpcore.ConnectError() | httpcore.ConnectTimeout():
                raise httpx.ConnectError(str(error)) from error
            case httpcore.TimeoutException():
                raise DeadlinePassed(str(error)) from error
            case httpcore.NetworkError() | httpcore.ProtocolError():
                raise httpx.RemoteProtocolError(str(error)) from error


class _Network(httpcore.NetworkBackend):
    def __init__(self, left: Callable[[], float]) -> None:
        self._left = left
        self._real = httpcore.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.NetworkStream:
        stream = self._real.connect_tcp(host, port, _least(timeout, self._left()), local_address, socket_options)
        return _Stream(stream, self._left)


class _Stream(httpcore.NetworkStream):
    def __init__(self, real: httpcore.NetworkStream, left: Callable[[], float]) -> None:
        self._real = real
        self._left = left

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._real.read(max_bytes, _least(timeout, self._left()))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._real.write(buffer, _least(timeout, self._left()))

    def close(self) -> None:
        self._real.close()

    def start_tls(
        self, ssl_context: Any, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        secure = self._real.start_tls(ssl_context, server_hostname, _least(timeout, self._left()))
        return _Stream(secure, self._left)

    def get_extra_info(self, info: str) -> Any:
        return self._real.get_extra_info(info)


def _least(timeout: float | None, left: float) -> float:
    return left if timeout is None else min(timeout, left)
