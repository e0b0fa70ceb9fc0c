"""Logs: structlog to stderr, lines for people on a terminal, JSON everywhere else.

An event's name is a constant, `subject.happened`; what it is about goes into typed fields. The libraries' own
logs (aiohttp, nats) take the same way. Secrets are kept out by those who log; what slips through and looks like
one is taken out by the last step before a line is rendered.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Mapping
from typing import Any, Literal, TextIO

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from shared.secrets import REDACTED, Secret, is_secret_name, scrub

SERVICE_STARTED = "service.started"
SERVICE_READY = "service.ready"
SERVICE_DRAINING = "service.draining"
SERVICE_STOPPED = "service.stopped"
CONFIG_LOADED = "config.loaded"
CONFIG_REFUSED = "config.refused"
CONFIG_NEEDS_RESTART = "config.needs_restart"

Level = Literal["debug", "info", "warning", "error"]
Format = Literal["auto", "console", "json"]
Scrubber = Callable[[Any], Any]
MAX_DEPTH = 6  # of nested fields that are looked into


def configure(level: Level = "info", format: Format = "auto", stream: TextIO | None = None) -> None:
    """Sets up logging for the process; composition roots call it once."""
    stream = stream or sys.stderr
    is_console = format == "console" or (format == "auto" and stream.isatty())
    renderer = _renderer(is_console, stream)
    structlog.configure(
        processors=[structlog.contextvars.merge_contextvars, *_common(), redact, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(stream),
        cache_logger_on_first_use=False,
    )
    _route_libraries(level, renderer, stream)


def redact(logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
    """Takes out what looks like a secret, wherever it stands."""
    return {name: _clean(name, value, MAX_DEPTH) for name, value in event.items()}


def _clean(name: str, value: Any, depth: int) -> Any:
    if isinstance(value, Secret) or (is_secret_name(name) and value is not None):
        return REDACTED
    if isinstance(value, bool | int | float | None):
        return value
    if isinstance(value, str):
        return scrub(value)
    return _clean_nested(value, depth)


def _clean_nested(value: Any, depth: int) -> Any:
    if isinstance(value, bytes):
        return scrub(value.decode("utf-8", "replace"))
    if depth and isinstance(value, Mapping):
        return {str(key): _clean(str(key), one, depth - 1) for key, one in value.items()}
    if depth and isinstance(value, list | tuple | set | frozenset):
        return [_clean("", one, depth - 1) for one in value]
    return scrub(str(value))


def _common() -> list[Processor]:
    return [
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
        structlog.processors.format_exc_info,
    ]


def _renderer(is_console: bool, stream: TextIO) -> Processor:
    if is_console:
        plain = structlog.dev.plain_traceback  # the pretty ones print local variables
        return structlog.dev.ConsoleRenderer(colors=stream.isatty(), exception_formatter=plain)
    return structlog.processors.JSONRenderer(ensure_ascii=False)


def _route_libraries(level: Level, renderer: Processor, stream: TextIO) -> None:
    """What the libraries log through `logging` comes out alike; below warning only where we debug."""
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.add_logger_name, *_common()],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, redact, renderer],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.DEBUG if level == "debug" else logging.WARNING)
