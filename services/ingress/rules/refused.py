"""What is recorded of a request that got no further than the door.

A caller whom nobody knows (no key, or a wrong one) must not be able to fill the records: of its requests only the
outline is kept, without a body, and only so many a second. What is over that is answered, and counted.
"""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import parse_qsl

from shared.contracts import Body
from shared.secrets import is_secret_name, redact_headers, scrub

BODY_BYTES = 256 * 1024  # of a refused request's body; a longer one is recorded by its size alone
PATH_CHARACTERS = 2048  # of what somebody wrote into a request line
HEADER_CHARACTERS = 256  # of a stranger's header
STRANGERS_HEADERS = ("user-agent", "content-type", "content-length", "accept", "anthropic-version", "origin", "host")
MESSAGE_CHARACTERS = 4096  # of an error that quotes what it was sent
BURST_S = 4.0  # of an allowance that was not used, what may be made up for at once
QUERY_KEYS = frozenset({"key", "token"})  # what some put their keys into
API = "/v1/"


def is_recorded(method: str, path: str) -> bool:
    """Whether it was meant for the API: a browser's or a scanner's look at other addresses is nobody's exchange."""
    return path == API.rstrip("/") or path.startswith(API) or method not in ("GET", "HEAD", "OPTIONS")


def secret_in_query(names: Mapping[str, str]) -> str | None:
    """The first parameter that looks like a secret."""
    return next((name for name in names if is_secret_name(name) or name.lower() in QUERY_KEYS), None)


def shown_path(raw_path: str) -> str:
    """The request line's address without what may be a secret: such a query is left out as a whole."""
    path, mark, query = raw_path.partition("?")
    if mark and secret_in_query(dict(parse_qsl(query, keep_blank_values=True))) is None:
        path += mark + query
    return scrub(path)[:PATH_CHARACTERS]


def shown_headers(headers: Mapping[str, str], is_known: bool) -> dict[str, str]:
    shown = redact_headers(headers)
    if is_known:
        return shown
    return {name: shown[name][:HEADER_CHARACTERS] for name in STRANGERS_HEADERS if name in shown}


def shown_body(read: bytes | None, announced: int | None) -> Body:
    """As much as was read, where it is not too much; else how long it is, or said it would be."""
    if read is None:
        return Body(size=announced or 0)
    return Body(data=read if 0 < len(read) <= BODY_BYTES else None, size=len(read))


class Allowance:
    """So many a second, and no more than a few seconds' worth at once."""

    def __init__(self, per_s: float) -> None:
        self.per_s = per_s
        self._most = per_s * BURST_S
        self._left = self._most
        self._at: float | None = None
        self._missed = 0

    def take(self, now: float) -> int | None:
        """How many were turned away since the last one that wasn't; None where this one is."""
        passed = now - self._at if self._at is not None else 0.0
        self._at = now
        self._left = min(self._most, self._left + passed * self.per_s)
        if self._left < 1:
            self._missed += 1
            return None
        self._left -= 1
        missed, self._missed = self._missed, 0
        return missed
