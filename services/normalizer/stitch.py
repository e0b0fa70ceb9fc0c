"""One stream from several calls: one that broke off, and those that go on with its text.

Rules:

* Of each call only whole events count: what it was writing when it broke is written again by the next one.
* An error event waits for the call's end: if another call goes on, nobody gets to see it.
* The calls that go on speak with the first one's id, model and time, never say again whose turn it is, and count
  the tokens of all.

Until a call breaks, bytes pass as they are.
"""

from __future__ import annotations

from typing import Any

import msgspec

from shared.contracts import Usage
from shared.sse import MAX_EVENT_BYTES, OversizedEvent, SseParser
from shared.usage import add_to, added
from shared.whole_events import BOUNDARIES, ERROR_EVENT, WholeEvents

ENVELOPE = ("id", "object", "created", "model", "system_fingerprint", "provider")
FIRST_EVENTS_BYTES = 64 * 1024  # of a stream's beginning that is kept until its envelope is needed

Json = dict[str, Any]


class Stitch:
    """Feed it one call's bytes after the other; `go_on` stands between two."""

    def __init__(self) -> None:
        self._whole = WholeEvents()
        self._beginning = b""
        self._held = b""
        self._envelope: Json = {}
        self._spent = Usage()
        self._parser: SseParser | None = None  # of a call that goes on; None = the first call

    def feed(self, data: bytes) -> bytes:
        """What can be handed on now."""
        passing = self._whole.feed(data) if self._parser is None else self._rewritten(self._parser.feed(data))
        if self._whole.held_bytes > MAX_EVENT_BYTES:
            raise OversizedEvent(f"an event is longer than {MAX_EVENT_BYTES} bytes")
        if self._held:
            self._held += passing
            return b""
        error = ERROR_EVENT.search(passing)
        if error is None:
            return self._noted(passing)
        cut = _event_start(passing, error.start())
        self._held = passing[cut:]
        return self._noted(passing[:cut])

    def finish(self) -> bytes:
        """No call goes on: what was held back."""
        rest = self._whole.rest() if self._parser is None else self._rewritten(self._parser.finish())
        held, self._held = self._held, b""
        return held + rest

    def go_on(self, spent: Usage | None) -> None:
        """The call broke off, after it had used so many tokens; the next one's bytes follow."""
        self._held = b""
        self._envelope = self._envelope or _envelope(self._beginning)
        self._spent = added(self._spent, spent)
        self._parser = SseParser()

    def _noted(self, data: bytes) -> bytes:
        if self._parser is None and len(self._beginning) < FIRST_EVENTS_BYTES:
            self._beginning += data[:FIRST_EVENTS_BYTES]
        return data

    def _rewritten(self, events: list[bytes]) -> bytes:
        return b"".join(map(self._rewrite, events))

    def _rewrite(self, text: bytes) -> bytes:
        try:
            chunk = msgspec.json.decode(text, type=Json)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return b"data: " + text.replace(b"\n", b"\ndata: ") + b"\n\n"  # [DONE], or nothing that we can read
        known = bool(self._envelope)
        chunk |= self._envelope
        self._envelope = self._envelope or {name: chunk[name] for name in ENVELOPE if name in chunk}
        if known and not _without_roles(chunk):
            return b""
        for holder in (chunk, *(chunk.get("choices") or ())):
            if holder.get("usage"):
                add_to(holder["usage"], self._spent)
        return b"data: " + msgspec.json.encode(chunk) + b"\n\n"


def _event_start(data: bytes, at: int) -> int:
    """Where the event that holds position `at` begins."""
    ends = ((data.rfind(boundary, 0, at), len(boundary)) for boundary in BOUNDARIES)
    return max((found + length for found, length in ends if found >= 0), default=0)


def _envelope(beginning: bytes) -> Json:
    """The fields around the choices, as the stream's first chunk has them."""
    for text in SseParser().feed(beginning):
        try:
            chunk = msgspec.json.decode(text, type=Json)
        except (msgspec.DecodeError, UnicodeDecodeError):
            continue
        if chunk.get("choices"):
            return {name: chunk[name] for name in ENVELOPE if name in chunk}
    return {}


def _without_roles(chunk: Json) -> bool:
    """Takes the roles out; whether anything is left to say."""
    choices = chunk.get("choices") or []
    had_role = False
    for choice in choices:
        had_role |= bool((choice.get("delta") or {}).pop("role", None))
    says = any(choice.get("finish_reason") or any((choice.get("delta") or {}).values()) for choice in choices)
    return says or not had_role
