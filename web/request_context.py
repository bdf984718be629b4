"""Which request is this, and from where?  Its id is on every response, log line and audit entry."""

from __future__ import annotations

import ipaddress

from flask import Flask, Response, g, request

from sensus import logs, tracing
from web.resources import resources


def install(app: Flask) -> None:
    """Give each request an id, and each response that id in its header."""
    app.before_request(_begin)
    app.after_request(_sign)
    app.teardown_request(_end)


def request_id() -> str:
    """The id of this request: the caller's when it sent a sane one."""
    if "request_id" not in g:
        g.request_id = logs.sane_request_id(request.headers.get(logs.REQUEST_ID_HEADER))
    return str(g.request_id)


def client_address() -> str:
    """The address of the caller; X-Forwarded-For is believed only from a trusted proxy."""
    peer = request.remote_addr or "unknown"
    trusted = [ipaddress.ip_network(part, strict=False) for part in resources().settings.trusted_proxies]
    hops = [hop.strip() for hop in ",".join(request.headers.getlist("X-Forwarded-For")).split(",") if hop.strip()]
    # From the nearest hop outward: the first that is no proxy of ours is the caller, and
    # whatever stands before it was written by the caller.
    for hop in reversed(hops):
        if not _is_in(peer, trusted):
            break
        if not _is_address(hop):
            break
        peer = hop
    return peer


def _begin() -> None:
    logs.unbind_all()
    logs.bind(request_id=request_id())
    # Probes and scrapes come every few seconds, and tell nothing.
    if request.path.startswith("/api/"):
        route = request.url_rule.rule if request.url_rule else None
        g.span = tracing.begin_request(
            f"{request.method} {route}" if route else request.method,
            request_id(),
            traceparent=request.headers.get("traceparent"),
            **{"http.request.method": request.method, "http.route": route or ""},
        )


def _sign(response: Response) -> Response:
    response.headers[logs.REQUEST_ID_HEADER] = request_id()
    g.status = response.status_code
    return response


def _end(error: BaseException | None) -> None:
    if (span := g.pop("span", None)) is not None:
        status = g.get("status", 500)
        failed = type(error).__name__ if error else f"answered {status}" if status >= 500 else None
        span.end(failed=failed, **{"http.response.status_code": status})
    logs.unbind_all()


def _is_in(address: str, networks: list[ipaddress.IPv4Network | ipaddress.IPv6Network]) -> bool:
    return _is_address(address) and any(ipaddress.ip_address(address) in network for network in networks)


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True
