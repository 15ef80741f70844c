"""The log: structlog to stderr, JSON lines for machines or coloured text for a terminal."""

from __future__ import annotations

import logging
import sys

import orjson
import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

_LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40}


def configure(form: str, level: str, **always: str) -> None:
    """Log to stderr from now on.  `form`: json or console; `level`: debug, info, warning or error.

    `always`: what every line says besides.

    Not through the standard library's logging, which costs four times as much an event; what
    libraries log there is shown from warnings on.
    """

    def with_always(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
        return {**event, **always}

    shared: list[Processor] = [
        *([with_always] if always else []),
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    structlog.configure(
        processors=[*shared, _as_json if form == "json" else structlog.dev.ConsoleRenderer()],
        wrapper_class=structlog.make_filtering_bound_logger(_LEVELS[level]),
        logger_factory=structlog.WriteLoggerFactory(sys.stderr),
        cache_logger_on_first_use=False,
    )
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr, format="%(levelname)s %(name)s %(message)s")


def _as_json(_logger: WrappedLogger, _method: str, event: EventDict) -> str:
    return orjson.dumps(event, default=str).decode()
