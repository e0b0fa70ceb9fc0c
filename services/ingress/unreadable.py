"""What is logged of bytes that are no HTTP: that they came, never what they are, for there may be a key in them."""

from __future__ import annotations

import logging

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

SERVER = "aiohttp.server"  # aiohttp's logger


def without_contents(record: logging.LogRecord) -> bool:
    """A filter for aiohttp's log, which quotes the line that it could not read."""
    error = record.exc_info[1] if record.exc_info else None
    if isinstance(error, web.RequestPayloadError):
        return False  # it was refused, and that was logged
    if isinstance(error, HttpProcessingError):
        record.msg = f"A request that is no HTTP ({type(error).__name__}): answered with {error.code}"
        record.args, record.exc_info = (), None
        record.levelno, record.levelname = logging.WARNING, "WARNING"
    return True
