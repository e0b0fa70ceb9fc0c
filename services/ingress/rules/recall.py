"""A request out of the capture stream, message by message: what was asked, and what its client was answered.

The answer is the leg that is addressed to an ingress, in its frames' order; where several calls were made, the last
call's. `attempt` counts them: with the next one, what was known of the answer is void. Where a worker died, another one
makes its leg again (its `head` says so): what is known of it already comes again, and is passed over.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from shared.contracts import Done, End, Head, HttpRequest, decode

FRAME_HEADER = "Frame"
INGRESS = "ingress-"  # the beginning of an ingress's instance
WHOLE = "c0"
DELETED = "deleted"


class Recall:
    """Takes messages in their order; `take` gives the bytes of the answer that became known."""

    def __init__(self) -> None:
        self.request: HttpRequest | None = None
        self.canonical: HttpRequest | None = None
        self.head: Head | None = None
        self.end: End | None = None
        self.done: Done | None = None
        self.is_deleted = False
        self.ingress: str | None = None  # that answers, or has answered
        self.attempt = 0
        self._call = ""  # whose leg is the answer: the first that is addressed to an ingress, then the next one
        self._producer = ""
        self._next = 0  # number of the next frame
        self._given = 0  # bytes of this leg that became known
        self._passed = 0  # bytes of the leg as it comes now

    def take(self, topic: list[str], headers: Mapping[str, str] | None, data: bytes) -> bytes:
        """`topic` is what stands behind the request's id in the subject."""
        match topic:
            case ["request"]:
                self.request = decode(HttpRequest, data)
            case [call, "request"] if call == WHOLE:
                self.canonical = decode(HttpRequest, data)
            case ["done"]:
                self.done = decode(Done, data)
            case ["event", name] if name == DELETED:
                self.is_deleted = True
            case [call, _, to, kind] if to.startswith(INGRESS) and call == (self._call or call):
                self._call = call
                return self._frame(to, kind, headers or {}, data)
        return b""

    def _frame(self, to: str, kind: str, headers: Mapping[str, str], data: bytes) -> bytes:
        number, _, producer = headers.get(FRAME_HEADER, "").partition(" ")
        self._producer = self._producer or producer
        if producer != self._producer and self._takes_over(kind, data):
            self._producer = producer
        if producer != self._producer or number != str(self._next):
            return b""
        self._next += 1
        self.ingress = to
        if kind == "head":
            self.head = decode(Head, data)
        elif kind == "end":
            self._ended(decode(End, data))
        return self._new(data) if kind == "data" and self._is_answer else b""

    def _takes_over(self, kind: str, data: bytes) -> bool:
        """Whether the frame says that its maker follows one that died: it ends the leg, or makes it again."""
        if kind == "end":
            return decode(End, data).takes_over == self._producer
        if kind != "head" or decode(Head, data).takes_over != self._producer:
            return False
        self._next = self._passed = 0
        return True

    def _new(self, data: bytes) -> bytes:
        known = max(0, self._given - self._passed)
        self._passed += len(data)
        self._given = max(self._given, self._passed)
        return data[known:] if known else data

    @property
    def _is_answer(self) -> bool:
        """Not an error's body."""
        return self.head is not None and self.head.status < 300

    def _ended(self, end: End) -> None:
        if end.next_call is None:
            self.end = end
            return
        self._call, self._next, self._producer, self.head = end.next_call, 0, "", None
        self._given = self._passed = 0
        self.attempt += 0 if end.continued else 1

    @property
    def is_over(self) -> bool:
        return self.done is not None

    @property
    def last(self) -> End | None:
        """How the answer ended, as its client saw it."""
        if self.done is None:
            return None
        end = self.end or End(outcome="lost", worker=self.done.worker, at=self.done.at)
        return msgspec.structs.replace(end, outcome=self.done.outcome, fault=self.done.fault)

    @property
    def is_stream(self) -> bool:
        return self.head is None or self.head.content_type.startswith("text/event-stream")
