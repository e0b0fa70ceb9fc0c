"""A collector of traces, spoken to by OTLP over HTTP."""

from __future__ import annotations

import gzip
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import aiohttp
import structlog

from services.recorder.rules.spans import Span
from shared.metrics import Metrics
from shared.secrets import Secret, scrub

POSTED_WITHIN_S = 10.0
ANSWER_BYTES = 64 * 1024  # of an answer that are read
REFUSED = frozenset({400, 413, 422})  # the collector will never take this post
LONGEST_WAIT_S = 30.0  # that a collector may ask for

log = structlog.get_logger("recorder")


class Encoder(Protocol):
    """Spans to the bytes of a post, and the answer to one to what was not kept of it.

    The bytes of several posts, one after the other, are those of one: so it is with every Protocol Buffers message.
    """

    def encoded(self, spans: Sequence[Span]) -> bytes: ...

    def rejected(self, answer: bytes) -> tuple[int, str]: ...


class NotTaken(Exception):
    """The collector has not accepted a post; `status` where it said so."""

    def __init__(self, why: str, status: int | None = None, after_s: float = 0.0) -> None:
        super().__init__(why)
        self.status = status
        self.after_s = after_s  # for so long it wants to be left alone


@dataclass(frozen=True)
class Trace:
    """An exchange's spans, encoded."""

    id: str
    spans: int
    data: bytes


@dataclass(frozen=True, kw_only=True)
class Collector:
    url: str
    place: str  # for logs and figures
    headers: Mapping[str, Secret]
    encoder: Encoder
    metrics: Metrics

    def session(self) -> aiohttp.ClientSession:
        return aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=POSTED_WITHIN_S))

    async def take(self, session: aiohttp.ClientSession, traces: Sequence[Trace]) -> None:
        """All of them for good; raises NotTaken where the collector is not well.

        A post that will never be taken is halved until it is known whose fault it is: that trace is dropped.
        """
        if not traces:
            return
        try:
            rejected = await self._post(session, b"".join(trace.data for trace in traces))
        except NotTaken as refused:
            if refused.status not in REFUSED:
                raise
            await self._halves(session, traces, refused)
            return
        self._count("exported", len(traces), sum(trace.spans for trace in traces) - rejected)
        if rejected:
            self.metrics.add("spans", "rejected", value=rejected)

    async def _halves(self, session: aiohttp.ClientSession, traces: Sequence[Trace], refused: NotTaken) -> None:
        if len(traces) > 1:
            half = len(traces) // 2
            await self.take(session, traces[:half])
            await self.take(session, traces[half:])
            return
        log.error("recorder.trace_refused", exchange=traces[0].id, sink=self.place, why=str(refused))
        self._count("refused", 1, traces[0].spans)

    def _count(self, result: str, traces: int, spans: int) -> None:
        self.metrics.add("traces", result, value=traces)
        self.metrics.add("spans", result, value=spans)

    async def _post(self, session: aiohttp.ClientSession, body: bytes) -> int:
        """How many spans the collector says it has not kept."""
        headers = {name: value.reveal() for name, value in self.headers.items()}
        headers |= {"content-type": "application/x-protobuf", "content-encoding": "gzip"}
        try:
            data = gzip.compress(body, compresslevel=1)
            async with session.post(self.url, data=data, headers=headers, allow_redirects=False) as answer:
                if answer.status >= 300:
                    after_s = seconds(answer.headers.get("Retry-After", ""))
                    raise NotTaken(f"it answered {answer.status}", answer.status, after_s)
                rejected, why = self.encoder.rejected(await answer.content.read(ANSWER_BYTES))
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise NotTaken(f"it can't be reached: {type(error).__name__}") from error
        if rejected:
            log.warning("recorder.spans_rejected", sink=self.place, spans=rejected, why=scrub(why))
        return rejected


def seconds(text: str) -> float:
    """Of a `Retry-After`; a date there is passed over."""
    return min(float(text), LONGEST_WAIT_S) if text.isascii() and text.isdigit() else 0.0
