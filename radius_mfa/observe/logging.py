"""The log: structlog to stderr, JSON lines for machines or coloured text for a terminal."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable

import orjson
import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from radius_mfa.core.printing import printable

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


def configure_elsewhere(say: Callable[[str, str], object], level: str) -> None:
    """Log to where another program does, from now on.  `say`: takes a line after its level."""

    def said(_logger: WrappedLogger, method: str, event: EventDict) -> str:
        say(method, _as_words(event))
        raise structlog.DropEvent

    structlog.configure(
        processors=[said],
        wrapper_class=structlog.make_filtering_bound_logger(_LEVELS[level]),
        cache_logger_on_first_use=False,
    )
    logging.basicConfig(level=logging.WARNING, handlers=[_Elsewhere(say)], force=True)


class _Elsewhere(logging.Handler):
    """What libraries log."""

    def __init__(self, say: Callable[[str, str], object]) -> None:
        super().__init__(logging.WARNING)
        self._say = say

    def emit(self, record: logging.LogRecord) -> None:
        level = "error" if record.levelno >= logging.ERROR else "warning"
        self._say(level, f"{record.name}: {printable(record.getMessage())}")


def _as_words(event: EventDict) -> str:
    """`event: key=value, key=value: note`, for people."""
    said = {key: printable(str(value)) for key, value in event.items()}
    what, note = said.pop("event"), said.pop("note", "")
    rest = ", ".join(f"{key}={value}" for key, value in said.items())
    return ": ".join(filter(None, (what, rest, note)))


def _as_json(_logger: WrappedLogger, _method: str, event: EventDict) -> str:
    return orjson.dumps(event, default=str).decode()
