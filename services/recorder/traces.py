"""Finished exchanges to a collector, as traces: at least once, in batches. A span that is sent twice has the same id.

The feed has the accounts of finished exchanges only; what else passed about those that are kept is read from the
capture stream, without the pieces of their answers. So the queue is the stream itself, and outlives every process: an
account is acknowledged once the collector has its trace. What waits too long, or stands before too many others, is
dropped and counted.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import aiohttp
import anyio
import structlog

from services.recorder.accounts import Accounts
from services.recorder.collector import Collector, NotTaken, Trace
from services.recorder.rules.exchange import Heard, hear
from services.recorder.rules.messages import Message
from services.recorder.rules.redaction import Redaction
from services.recorder.rules.spans import Finished, Span, trace_of
from services.recorder.stream import Stream
from services.recorder.trouble import Trouble
from services.recorder.worker import Rhythm
from shared.bus import Bus, BusUnavailable, Captured
from shared.contracts import Done, HttpRequest, Lag
from shared.subjects import Subjects
from shared.traces import PARENT_HEADER, context_of

FEED = "recorder-traces"
AT_ONCE = 100  # exchanges of one post
DRAIN_WAIT_S = 0.1  # for accounts, on the way out
SHORT_MESSAGES = 16  # an exchange of fewer is read at once; measured: four readings cost as much as 30 messages
PAGE_MESSAGES = 512
PARTS = ("*", "*.*", "*.*.*.head", "*.*.*.end")  # of an exchange: request and account, calls and events, legs' ends

log = structlog.get_logger("recorder")


@dataclass(frozen=True, kw_only=True)
class Policy:
    """Which exchanges are told, how, and how long they wait."""

    ratio: float = 1.0
    max_waiting: int = 10_000
    max_wait_s: float = 3600.0
    kinds: Mapping[str, str] = field(default_factory=dict)  # of providers, by name
    redaction: Redaction | None = None


class Dropped(Exception):
    """An exchange that can't be told, and why."""


class Traces:
    """A sink as others: `run` it; `stop` lets it send what is there."""

    def __init__(self, bus: Bus, subjects: Subjects, collector: Collector, policy: Policy, rhythm: Rhythm) -> None:
        self.open_exchanges = 0
        self.place = collector.place
        self._bus = bus
        self._subjects = subjects
        self._collector = collector
        self._policy = policy
        self._rhythm = rhythm
        self._accounts = Accounts(bus, subjects, FEED, collector.place, rhythm)
        self._stream = Stream(bus, subjects, FEED)
        self._trouble = Trouble(collector.place, rhythm.monotonic)
        self._held: Sequence[Captured] = ()  # accounts in hand

    def stop(self) -> None:
        self._accounts.stop()

    async def lag(self) -> Lag | None:
        return await self._accounts.lag()

    async def run(self) -> None:
        async with self._collector.session() as session:
            try:
                while await self._turn(session):
                    pass
            finally:
                with anyio.CancelScope(shield=True):
                    await self._let_go()

    async def _turn(self, session: aiohttp.ClientSession) -> bool:
        """One batch; whether there is to be another turn. What a collector doesn't take waits for the next start."""
        accounts = self._accounts
        try:
            wait_s = DRAIN_WAIT_S if accounts.is_stopping else self._rhythm.wait_s
            self._held = self._held or await accounts.fetch(AT_ONCE, wait_s)
            if self._held:
                accounts.waiting_since = self._held[0].at
                await self._send(session, self._held)
                self._held, accounts.waiting_since = (), None
                return True
        except BusUnavailable as error:
            await self._let_go()
            await accounts.pause(self._trouble.met(str(error)))
        except NotTaken as error:
            await accounts.pause(max(self._trouble.met(str(error)), error.after_s))
        return not accounts.is_stopping

    async def _send(self, session: aiohttp.ClientSession, accounts: Sequence[Captured]) -> None:
        """Deals with all of them for good; raises NotTaken where the collector is not well."""
        await self._accounts.let_settle(accounts[-1])
        crowd = await self._crowd(accounts)
        found = [await self._trace_or_nothing(account) for account in accounts[crowd:]]
        await self._collector.take(session, [trace for trace in found if trace is not None])
        self._trouble.over()
        if crowd:
            self._drop("crowded", crowd)
        await self._accounts.acknowledge(accounts)

    async def _crowd(self, accounts: Sequence[Captured]) -> int:
        """How many of the first are too many."""
        if len(accounts) < AT_ONCE:
            return 0
        return min(len(accounts), max(0, await self._accounts.count() - self._policy.max_waiting))

    async def _trace_or_nothing(self, account: Captured) -> Trace | None:
        try:
            return await self._trace(account)
        except Dropped as dropped:
            self._drop(str(dropped))
            return None

    async def _trace(self, account: Captured) -> Trace | None:
        """None where it isn't kept; raises Dropped where it should be, and can't."""
        if self._rhythm.clock() - account.at > self._policy.max_wait_s:
            raise Dropped("late")
        understood = self._stream.understand(account)
        if understood.message is None:
            raise Dropped("lost")
        id, done = understood.id, understood.message.said
        if not self._is_kept(id, done):
            return None
        heard = hear(await self._messages(id))
        if heard.request is None:  # the capture stream has let go of it
            raise Dropped("lost")
        return self._told(id, heard.request, done, heard)

    def _told(self, id: str, request: HttpRequest, done: Done, heard: Heard) -> Trace:
        policy = self._policy
        context = context_of(id, request.headers, policy.ratio)
        finished = Finished(id=id, context=context, request=request, done=done, heard=heard, kinds=policy.kinds)
        try:
            spans = [self._redacted(span) for span in trace_of(finished)]
            return Trace(id, len(spans), self._collector.encoder.encoded(spans))
        except Exception as error:  # whoever is on the bus may say what no pipeline says
            log.error("recorder.trace_failed", exchange=id, sink=self.place, exc_info=error)
            raise Dropped("failed") from error

    def _is_kept(self, id: str, done: Done) -> bool:
        headers = {PARENT_HEADER: done.traceparent} if done.traceparent is not None else {}
        return context_of(id, headers, self._policy.ratio).sampled

    def _redacted(self, span: Span) -> Span:
        redaction = self._policy.redaction
        if redaction is None:
            return span
        return span.texts_as(lambda text: redaction.data(text.encode("utf-8", "replace")).decode("utf-8", "replace"))

    async def _messages(self, id: str) -> list[Message]:
        """All that passed about an exchange; of one that is long, all but the pieces of its answers."""
        whole = self._subjects.of_request(id)
        found = await self._bus.history(whole, 1, SHORT_MESSAGES)
        if len(found) >= SHORT_MESSAGES:
            found = [one for part in PARTS for one in await self._all_of(whole.removesuffix(">") + part)]
        return [one.message for one in map(self._stream.understand, found) if one.message is not None]

    async def _all_of(self, subjects: str) -> list[Captured]:
        found: list[Captured] = []
        page = await self._bus.history(subjects, 1, PAGE_MESSAGES)
        while page:
            found += page
            is_last = len(page) < PAGE_MESSAGES
            page = [] if is_last else await self._bus.history(subjects, page[-1].seq + 1, PAGE_MESSAGES)
        return found

    def _drop(self, why: str, count: int = 1) -> None:
        self._collector.metrics.add("traces", why, value=count)

    async def _let_go(self) -> None:
        await self._accounts.let_go()
        self._held = ()
