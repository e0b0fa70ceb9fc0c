"""One provider's answer, piece by piece onto a leg."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import anyio.lowlevel
import msgspec

from services.upstream.call import CallFailed
from services.upstream.hearing import Heard
from services.upstream.route import Route
from services.upstream.rules import faults
from services.upstream.rules.remedies import in_our_words
from services.upstream.rules.verdicts import judge
from services.upstream.rules.watch import AnswerFacts, StreamWatch
from shared.contracts import CallOutcome, Fault, Head
from shared.legs import LegWriter
from shared.secrets import redact_headers
from shared.slices import beginning

ERROR_BODY_BYTES = 1024 * 1024  # of an error answer that is read
PLAIN_BODY_BYTES = 64 * 1024 * 1024  # of a plain completion that is understood; past it the bytes pass unread
KEPT_HEADERS = frozenset({"content-type", "content-encoding", "content-disposition", "retry-after", "retry-after-ms"})
HOP_HEADERS = frozenset({"connection", "keep-alive", "transfer-encoding", "content-length", "trailer", "upgrade"})
STREAM_STARTS = (b"data:", b"event:", b":")


@dataclass(frozen=True)
class Ending:
    """How a call ended."""

    outcome: CallOutcome
    fault: Fault | None = None
    called: bool = True  # False: it came to nothing before the provider was asked


@dataclass
class Progress:
    """What the end of a leg will say."""

    started: float = field(default_factory=time.monotonic)
    first_byte_s: float | None = None
    facts: AnswerFacts = field(default_factory=AnswerFacts)

    def as_end(self) -> dict[str, Any]:
        """The fields of an `end` that are known by now."""
        facts = self.facts
        return {
            "usage": facts.usage,
            "finish_reason": facts.finish_reason,
            "completion_id": facts.completion_id,
            "done_seen": facts.done_seen,
            "error_sent": facts.error is not None,
            "first_byte_s": self.first_byte_s,
            "total_s": time.monotonic() - self.started,
        }

    def piece_came(self) -> None:
        if self.first_byte_s is None:
            self.first_byte_s = time.monotonic() - self.started


class Relay:
    """Writes one answer onto `leg`; `hear` gets every piece of an event stream besides."""

    def __init__(self, leg: LegWriter, route: Route, instance: str, hear: Callable[[bytes], None]) -> None:
        self._leg = leg
        self._route = route
        self._instance = instance
        self._hear = hear
        self.progress = Progress()
        leg.so_far = self.progress.as_end

    async def unread(self, answer: Heard) -> Ending:
        """Whatever it is: status, headers and bytes as they come."""
        hidden = self._route.adapter.hidden_headers | HOP_HEADERS
        headers = {name: value for name, value in answer.headers.items() if name not in hidden}
        await self._leg.head(msgspec.structs.replace(self._head(answer), headers=redact_headers(headers)))
        async for piece in answer.pieces():
            self.progress.piece_came()
            await self._leg.data(piece)
        return Ending("complete")

    async def kept_back(self, answer: Heard) -> Ending:
        """A refusal that speaks of our account: told in our words, for the leg goes to the client as it is."""
        body = b"".join([piece async for piece in answer.pieces()])[:ERROR_BODY_BYTES]
        fault = faults.of_status(self._route.name, answer.status, answer.headers, body)
        return Ending("refused", in_our_words(self._route.name, judge(fault).verdict, fault))

    async def refusal(self, answer: Heard) -> Ending:
        await self._leg.head(self._head(answer))
        body = b""
        async for piece in answer.pieces():
            self.progress.piece_came()
            await self._leg.data(piece)
            body += piece[: ERROR_BODY_BYTES - len(body)]
        return Ending("refused", faults.of_status(self._route.name, answer.status, answer.headers, body))

    async def answer(self, answer: Heard, streamed: bool) -> Ending:
        """A completion, as a stream or as one body."""
        watch: StreamWatch | None = None
        body = bytearray()
        async for piece in answer.pieces():
            if self.progress.first_byte_s is None:
                watch = await self._begin(answer, streamed and piece.lstrip().startswith(STREAM_STARTS))
            self.progress.piece_came()
            if watch is not None:
                await self._streamed(piece, watch)
                continue
            await self._leg.data(piece)
            if len(body) <= PLAIN_BODY_BYTES:
                body += piece
        if watch is not None:
            watch.finish()
            return self._stream_ending()
        return await self._plain_ending(answer, bytes(body))

    async def _streamed(self, piece: bytes, watch: StreamWatch) -> None:
        ahead, rest = (piece, b"") if self._leg.frames else beginning(piece)
        await self._heard(ahead, watch)
        if rest:
            await anyio.lowlevel.checkpoint()  # so that the beginning leaves by itself
            await self._heard(rest, watch)

    async def _heard(self, piece: bytes, watch: StreamWatch) -> None:
        await self._leg.data(piece)
        watch.feed(piece)
        self._hear(piece)

    async def _begin(self, answer: Heard, looks_like_stream: bool) -> StreamWatch | None:
        is_stream = answer.is_event_stream or looks_like_stream
        await self._leg.head(self._head(answer, "text/event-stream" if is_stream else None))
        if not is_stream:
            return None
        watch = StreamWatch()
        self.progress.facts = watch.facts
        return watch

    def _stream_ending(self) -> Ending:
        facts = self.progress.facts
        if facts.error is not None:
            return Ending("broken", facts.error)
        if not facts.is_whole:
            return Ending("truncated", faults.truncated(self._route.name))
        return Ending("complete")

    async def _plain_ending(self, answer: Heard, body: bytes) -> Ending:
        facts = self.progress.facts
        if not self._leg.started:
            await self._leg.head(self._head(answer))
        if not facts.learn(body) and len(body) <= PLAIN_BODY_BYTES:
            return Ending("broken", faults.unreadable(self._route.name, body))
        return Ending("complete") if facts.error is None else Ending("broken", facts.error)

    def broken(self, failed: CallFailed) -> Ending:
        """The connection failed: before the answer, in the middle of it, or after all was said."""
        facts = self.progress.facts
        if not self._leg.started:
            return Ending("refused", failed.fault)
        if facts.is_whole and facts.error is None:
            return Ending("complete")
        return Ending("broken", facts.error or failed.fault)

    def _head(self, answer: Heard, content_type: str | None = None) -> Head:
        keep = KEPT_HEADERS | self._route.adapter.kept_headers
        return Head(
            status=answer.status,
            worker=self._instance,
            at=time.time(),
            provider=self._route.name,
            model=self._route.target.model,
            content_type=content_type or answer.headers.get("content-type", "application/octet-stream"),
            headers={name: value for name, value in answer.headers.items() if name in keep},
        )
