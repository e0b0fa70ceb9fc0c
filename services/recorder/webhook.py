"""Finished exchanges to a webhook: at least once, in batches, signed.

The feed has the accounts of finished exchanges only; everything else that was said about one is read from the capture
stream when its account has come, so nothing is kept here. An account is acknowledged once its exchange was accepted:
the place in the stream is the consumer's own. One that was not comes again after a minute, to whichever recorder.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import aiohttp
import anyio
import structlog

from services.recorder.rules.exchange import assemble
from services.recorder.rules.messages import Message
from services.recorder.rules.posting import exchange_json, post_body, post_headers, post_id
from services.recorder.rules.redaction import Redaction
from services.recorder.stream import PAGE_MESSAGES, Stream
from services.recorder.trouble import Trouble
from services.recorder.worker import Rhythm
from shared.bus import Bus, BusUnavailable, Captured, Feed
from shared.contracts import Lag
from shared.secrets import scrub
from shared.subjects import Subjects

AT_ONCE = 50  # exchanges of one post …
POST_BYTES = 8 * 1024 * 1024  # … or as many as make so much
POSTED_WITHIN_S = 30.0
REFUSED = frozenset({400, 413, 422})  # the receiver will never take this post
REFUSALS = 5  # of one exchange alone, before it is left out

log = structlog.get_logger("recorder")


class NotTaken(Exception):
    """The receiver has not accepted a post; `status` where it said so."""

    def __init__(self, why: str, status: int | None = None) -> None:
        super().__init__(why)
        self.status = status


@dataclass(frozen=True, kw_only=True)
class Receiver:
    """Where to, and how."""

    url: str
    place: str  # for logs: without what may be secret
    secret: str | None = None
    with_bodies: bool = False


@dataclass(frozen=True)
class _Finished:
    account: Captured
    id: str
    json: bytes


class Webhook:
    """A sink as others: `run` it; `stop` lets it finish."""

    def __init__(
        self,
        bus: Bus,
        subjects: Subjects,
        receiver: Receiver,
        feed: str,
        rhythm: Rhythm,
        redaction: Redaction | None = None,
    ) -> None:
        self.open_exchanges = 0
        self.place = receiver.place
        self._bus = bus
        self._subjects = subjects
        self._receiver = receiver
        self._feed_name = feed
        self._rhythm = rhythm
        self._redaction = redaction or Redaction()
        self._stream = Stream(bus, subjects, feed)
        self._trouble = Trouble(receiver.place, rhythm.monotonic)
        self._feed: Feed | None = None
        self._waiting_since: float | None = None  # the account that waits longest, in hand
        self._alone = False  # some exchange of the last post was refused
        self._refusals = 0
        self._stop = anyio.Event()

    def stop(self) -> None:
        self._stop.set()

    async def lag(self) -> Lag | None:
        if self._feed is None:
            return None
        waits = self._waiting_since
        behind_s = max(0.0, self._rhythm.clock() - waits) if waits is not None else 0.0
        return Lag(sink=self.place, messages=await self._feed.lag(), behind_s=round(behind_s, 1))

    async def run(self) -> None:
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=POSTED_WITHIN_S)) as session:
            try:
                while not self._stop.is_set():
                    await self._turn(session)
            finally:
                with anyio.CancelScope(shield=True):
                    await self._let_go()

    async def _turn(self, session: aiohttp.ClientSession) -> None:
        try:
            self._feed = self._feed or await self._bus.feed(self._feed_name, self._subjects.done("*"))
            accounts = await self._feed.fetch(AT_ONCE, self._rhythm.wait_s)
            while accounts and not self._stop.is_set():
                self._waiting_since = accounts[0].at
                accounts = accounts[await self._some(session, self._feed, accounts) :]
                self._waiting_since = None
        except BusUnavailable as error:
            await self._let_go()
            await self._pause(str(error))

    async def _some(self, session: aiohttp.ClientSession, feed: Feed, accounts: Sequence[Captured]) -> int:
        """Posts as many of the exchanges as one post takes; how many are dealt with."""
        await self._let_settle(accounts[-1])
        some = await self._finished(accounts[:1] if self._alone else accounts)
        try:
            await self._post(session, some)
        except NotTaken as error:
            some = await self._after_refusal(some, error)
        else:
            self._alone, self._refusals = False, 0
            self._trouble.over()
        for one in some:
            await feed.acknowledge(one.account)
        return len(some)

    async def _after_refusal(self, some: Sequence[_Finished], error: NotTaken) -> list[_Finished]:
        """What is dealt with nevertheless. Of a post that the receiver will never take each exchange is tried alone;
        one that is refused again and again is left out, so that it doesn't hold all others."""
        if error.status in REFUSED:
            if len(some) > 1:
                self._alone = True
                return []
            self._refusals += 1
            if self._refusals >= REFUSALS:
                log.error("recorder.webhook_refused", exchange=some[0].id, sink=self.place, why=str(error))
                self._alone, self._refusals = False, 0
                return list(some)
        await self._pause(str(error))
        return []

    async def _let_settle(self, newest: Captured) -> None:
        """What is said right behind an account belongs to it: the end of a call whose client has left."""
        age_s = self._rhythm.clock() - newest.at
        await anyio.sleep(min(max(0.0, self._rhythm.settle_s - age_s), self._rhythm.settle_s))

    async def _finished(self, accounts: Sequence[Captured]) -> list[_Finished]:
        found: list[_Finished] = []
        size = 0
        for account in accounts:
            one = await self._assembled(account)
            size += len(one.json)
            if found and size > POST_BYTES:
                break
            found.append(one)
        return found

    async def _assembled(self, account: Captured) -> _Finished:
        id = account.subject.split(".")[-2]
        records = self._redaction.records(assemble(id, await self._messages(id)))
        return _Finished(account, id, exchange_json(records, self._receiver.with_bodies))

    async def _messages(self, id: str) -> list[Message]:
        """All that passed about an exchange. What was said later is too late for a post."""
        messages: list[Message] = []
        seq = 1
        while page := await self._bus.history(self._subjects.of_request(id), seq, PAGE_MESSAGES):
            understood = [self._stream.understand(one) for one in page]
            messages += [message for _, message in await self._stream.with_bodies(understood)]
            seq = page[-1].seq + 1
        return messages

    async def _post(self, session: aiohttp.ClientSession, some: Sequence[_Finished]) -> None:
        body = post_body([one.json for one in some])
        headers = post_headers(post_id([one.id for one in some]), self._rhythm.clock(), body, self._receiver.secret)
        try:
            async with session.post(self._receiver.url, data=body, headers=headers, allow_redirects=False) as answer:
                if answer.status >= 300:
                    raise NotTaken(f"it answered {answer.status}", answer.status)
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise NotTaken(scrub(f"it can't be reached: {type(error).__name__}")) from error

    async def _pause(self, why: str) -> None:
        pause_s = self._trouble.met(why)
        with anyio.move_on_after(pause_s):
            await self._stop.wait()

    async def _let_go(self) -> None:
        if self._feed is not None:
            await self._feed.close()
        self._feed = None
