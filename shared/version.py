"""Which version runs."""

from __future__ import annotations

from functools import cache
from importlib.metadata import version as _version_of


@cache  # reading the distribution's metadata takes 2 ms, and every heartbeat says it
def version() -> str:
    """The installed distribution's version, as in `0.1.0`."""
    return _version_of("moontide")
