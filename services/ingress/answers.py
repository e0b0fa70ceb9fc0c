"""How an answer is written to a client: as a stream, as one body, or handed through."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Protocol

import msgspec
from aiohttp import web

from services.ingress.dialects.base import Answering, Refusal
from shared.assembly import Assembly
from shared.contracts import End, Fault, Head
from shared.errors import Refused
from shared.whole_answers import as_stream

EVENT_STREAM = "text/event-stream"
STREAM_HEADERS = {"Content-Type": EVENT_STREAM, "Cache-Control": "no-cache", "X-Accel-Buffering": "no"}
BODY_BYTES = 256 * 1024 * 1024  # of a plain answer that has to be held until its end is known
RECORDED_BODY_BYTES = 32 * 1024 * 1024  # of an answer of our own that the account carries
LAST_WORD = b"[DONE]"  # behind it many clients leave, the official SDK among them
LAST_BYTES = 32
CLIENT_LEFT = 499  # nginx's status for a client that closed its connection before it got any
REPAIRS_HEADER = "X-Moontide-Repairs"
ATTEMPTS_HEADER = "X-Moontide-Attempts"
UNMET_HEADER = "X-Moontide-Unmet"


@dataclass
class Reply:
    """What the client got, for the account."""

    status: int
    response: web.StreamResponse | None = None
    headers: dict[str, str] = field(default_factory=dict)
    body_bytes: int = 0
    is_leg: bool = False  # the leg's bytes, with `tail` behind them; in another dialect, where there is a `body`
    tail: bytes = b""
    body: bytes = b""  # what the client got instead; of a long one the beginning
    left_out: Mapping[str, str] = field(default_factory=dict)  # what could not be told, and why


class Answer(Protocol):
    """Begins with a head, takes pieces, closes with an end."""

    def begin(self, head: Head) -> None: ...

    def restart(self) -> None:
        """What was taken so far is void: another call answers. Never after something went on to the client."""

    async def take(self, data: bytes) -> bool:
        """A piece of the leg; whether something went on to the client."""

    async def keep_alive(self) -> None:
        """Nothing has come for a while: tells the client that somebody is there."""

    async def close(self, end: End) -> Reply: ...

    @property
    def is_over(self) -> bool:
        """Whether the client has everything: one that leaves now has not broken anything off."""

    def so_far(self) -> Reply:
        """What a client got that left before the end."""


class Streamed:
    """An event stream: each piece is written when it comes.

    Nothing is promised before the first one, so that a fault is an error status. A keep-alive is a first one too:
    behind it a fault is an error event.
    """

    def __init__(self, http: web.Request, answering: Answering, headers: dict[str, str]) -> None:
        self._http = http
        self._answering = answering
        self._codec = answering.codec()
        self._copy = bytearray()  # of what was written, where that is not the leg
        self._headers = headers
        self._head: Head | None = None
        self._response: web.StreamResponse | None = None
        self._held = bytearray()  # a whole completion, where no stream came
        self._written = 0
        self._last = b""  # the end of what was written
        self._is_closed = False

    def begin(self, head: Head) -> None:
        self._head = head

    def restart(self) -> None:
        self._head = None
        self._held.clear()
        self._codec.restart()

    async def take(self, data: bytes) -> bool:
        if self._head is None or self._head.status >= 300 or not _is_stream(self._head):
            self._held += data[: BODY_BYTES - len(self._held)]
            return False
        return await self._write(self._codec.feed(data))

    async def keep_alive(self) -> None:
        await self._write(self._codec.keep_alive())

    async def _write(self, data: bytes) -> bool:
        if not data:
            return False
        if self._response is None:
            kept = self._head.headers if self._head is not None else {}
            self._response = web.StreamResponse(headers={**_visible(kept), **STREAM_HEADERS, **self._headers})
            await self._response.prepare(self._http)
        self._written += len(data)
        self._last = data[-LAST_BYTES:]
        if self._answering.is_translated:
            self._copy += data[: RECORDED_BODY_BYTES - len(self._copy)]
        await self._response.write(data)
        return True

    async def close(self, end: End) -> Reply:
        if self._held and end.is_well_formed:
            await self._write(self._codec.feed(as_stream(bytes(self._held))))
            end = msgspec.structs.replace(end, done_seen=True)
        tail = self._codec.finish(end)
        if self._response is None and not end.is_well_formed:
            return _error_reply(self._answering, end, self._headers)
        await self._write(tail)
        self._is_closed = True
        assert self._response is not None  # noqa: S101 - a complete answer has at least its end
        with contextlib.suppress(ConnectionError):  # many clients leave at `[DONE]`; they have everything
            await self._response.write_eof()
        return replace(self.so_far(), tail=b"" if self._copy else tail)

    @property
    def is_over(self) -> bool:
        return self._is_closed or self._last.rstrip().endswith(LAST_WORD)

    def so_far(self) -> Reply:
        written = _written_so_far(self._response, self._written)
        return replace(written, body=bytes(self._copy), left_out=self._answering.left_out)


class Plain:
    """One body. It is held until its end is known: half an answer is an error, never a 200."""

    is_over = False

    def __init__(self, answering: Answering, headers: dict[str, str]) -> None:
        self._answering = answering
        self._headers = headers
        self._head: Head | None = None
        self._body = bytearray()
        self._assembly: Assembly | None = None

    def begin(self, head: Head) -> None:
        self._head = head
        if head.status < 300 and _is_stream(head):
            self._assembly = Assembly()

    def restart(self) -> None:
        self._head = None
        self._body.clear()
        self._assembly = None

    async def take(self, data: bytes) -> bool:
        if self._assembly is not None:
            self._assembly.feed(data)
        elif len(self._body) < BODY_BYTES:
            self._body += data
        return True

    async def keep_alive(self) -> None:
        """Nothing can be said before a whole body."""

    async def close(self, end: End) -> Reply:
        if not end.is_well_formed or self._head is None:
            return _error_reply(self._answering, end, self._headers)
        is_cut = end.outcome == "stopped"
        whole = bytes(self._body) if self._assembly is None else self._assembly.completion(is_cut=is_cut)
        try:
            body = self._answering.plain(whole, end)
        except Refused as refused:
            return error_reply(self._answering.refusal(refused.fault), refused.fault, self._headers)
        is_own = self._assembly is not None or self._answering.is_translated
        headers = {**_visible(self._head.headers), "Content-Type": "application/json", **self._headers}
        if end.repairs:
            headers[REPAIRS_HEADER] = ", ".join(f"{name}={count}" for name, count in sorted(end.repairs.items()))
        headers |= attempts_of(end)
        response = web.Response(status=self._head.status, body=body, headers=headers)
        kept = body[:RECORDED_BODY_BYTES] if is_own else b""
        is_leg = not is_own or self._answering.is_translated
        left_out = self._answering.left_out
        return Reply(self._head.status, response, headers, len(body), is_leg=is_leg, body=kept, left_out=left_out)

    def so_far(self) -> Reply:
        return Reply(CLIENT_LEFT)


class Through:
    """Anything else: status, headers and bytes as the provider sent them."""

    is_over = False

    def __init__(self, http: web.Request, answering: Answering, headers: dict[str, str]) -> None:
        self._http = http
        self._answering = answering
        self._headers = headers
        self._head: Head | None = None
        self._response: web.StreamResponse | None = None
        self._written = 0

    def begin(self, head: Head) -> None:
        self._head = head

    def restart(self) -> None:
        self._head = None

    async def take(self, data: bytes) -> bool:
        response = await self._prepared()
        self._written += len(data)
        await response.write(data)
        return True

    async def keep_alive(self) -> None:
        """Nobody knows what these bytes are."""

    async def _prepared(self) -> web.StreamResponse:
        if self._response is None:
            head = self._head or Head(status=502, worker="", at=0)
            headers = {"Content-Type": head.content_type, **head.headers, **self._headers}
            self._response = web.StreamResponse(status=head.status, headers=headers)
            await self._response.prepare(self._http)
        return self._response

    async def close(self, end: End) -> Reply:
        if self._response is None and (self._head is None or end.outcome != "complete"):
            return _error_reply(self._answering, end, self._headers)
        response = await self._prepared()
        if end.outcome == "complete":
            await response.write_eof()
        elif self._http.transport is not None:
            self._http.transport.abort()  # half a body must not look like a whole one
        return self.so_far()

    def so_far(self) -> Reply:
        return _written_so_far(self._response, self._written)


def _written_so_far(response: web.StreamResponse | None, written: int) -> Reply:
    if response is None:
        return Reply(CLIENT_LEFT)
    return Reply(response.status, response, dict(response.headers), written, is_leg=True)


def attempts_of(end: End) -> dict[str, str]:
    """Headers of an answer that was asked for more than once."""
    headers = {ATTEMPTS_HEADER: str(end.attempts)} if end.attempts != 1 else {}
    return headers | ({UNMET_HEADER: end.unmet} if end.unmet is not None else {})


def _is_stream(head: Head) -> bool:
    return head.content_type.startswith(EVENT_STREAM)


def _visible(headers: dict[str, str]) -> dict[str, str]:
    """The provider's headers that a client gets beside ours."""
    return {name: value for name, value in headers.items() if not name.startswith("content-")}


def _error_reply(answering: Answering, end: End, headers: dict[str, str]) -> Reply:
    fault = end.fault or Fault(status=502, code="no_answer", message="There is no answer.")
    return error_reply(answering.refusal(fault), fault, headers)


def error_reply(refusal: Refusal, fault: Fault, headers: dict[str, str]) -> Reply:
    """An error in the caller's dialect, with `Retry-After` where waiting helps."""
    headers = {**headers, **refusal.headers, "Content-Type": "application/json"}
    if fault.retry_after_s is not None:
        headers["Retry-After"] = str(max(1, round(fault.retry_after_s)))
    response = web.Response(status=refusal.status, body=refusal.body, headers=headers)
    body = refusal.body
    return Reply(refusal.status, response, headers, len(body), body=body[:RECORDED_BODY_BYTES])
