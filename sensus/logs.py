"""Structured logs: one event a line, with the request and task it belongs to."""

from __future__ import annotations

import logging
import re
import sys
import uuid
from typing import Any, Literal, cast

import structlog

REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
REQUEST_ID_HEADER = "X-Request-ID"


def configure(level: str, style: Literal["json", "console"]) -> None:
    """Route structlog and the standard library's loggers through one handler on stderr."""
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    # Never with local variables: they hold tokens, payloads and prompts.
    renderers: list[structlog.typing.Processor] = (
        [
            structlog.processors.ExceptionRenderer(structlog.tracebacks.ExceptionDictTransformer(show_locals=False)),
            structlog.processors.JSONRenderer(),
        ]
        if style == "json"
        else [
            structlog.dev.ConsoleRenderer(
                colors=sys.stderr.isatty(), pad_event_to=0, exception_formatter=structlog.dev.plain_traceback
            )
        ]
    )
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                *renderers,
            ],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    # These say nothing at INFO that an operator of this product needs.
    for chatty in ("httpx", "httpcore", "alembic.runtime.migration", "kombu", "celery.worker.strategy"):
        logging.getLogger(chatty).setLevel(max(logging.WARNING, logging.getLevelName(level)))


def get_logger(name: str) -> structlog.stdlib.BoundLogger:
    """A logger whose lines carry the bound request and task ids."""
    return cast(structlog.stdlib.BoundLogger, structlog.get_logger(name))


def new_request_id() -> str:
    """A fresh correlation id."""
    return uuid.uuid4().hex


def sane_request_id(given: str | None) -> str:
    """The caller's id when it is short and harmless, else a new one."""
    return given if given is not None and REQUEST_ID.fullmatch(given) else new_request_id()


def bind(**facts: Any) -> None:
    """Attach facts to every later line of this request or task."""
    structlog.contextvars.bind_contextvars(**facts)


def unbind_all() -> None:
    """Forget the facts of the request or task that has ended."""
    structlog.contextvars.clear_contextvars()


def bound_request_id() -> str | None:
    """The correlation id of the work under way, if any."""
    value = structlog.contextvars.get_contextvars().get("request_id")
    return value if isinstance(value, str) else None
