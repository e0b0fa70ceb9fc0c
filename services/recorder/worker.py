"""The capture stream into one database, batch by batch: fetch, understand, write, acknowledge.

Nothing is acknowledged before the database has it, or has it down as taken. The position in the database says what
comes next; what the feed leaves out, because it lies with a recorder that died, is read from the stream itself.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import anyio
import structlog
from anyio.to_thread import run_sync

from services.recorder.rules.position import START, Position, follows, fresh, portions
from services.recorder.rules.redaction import Redaction
from services.recorder.sealing import Sealing
from services.recorder.sharing import Stretch
from services.recorder.store import Batch, Overtaken, Store
from services.recorder.stream import Stream, Understood
from services.recorder.trouble import Trouble
from shared.bus import Bus, BusUnavailable, Captured, Feed
from shared.contracts import Lag
from shared.records.database import BUSY_TIMEOUT_S, NoRecords, RecordsUnavailable, place_of
from shared.subjects import Subjects

BATCH_MESSAGES = 1000
BATCH_BYTES = 32 * 1024 * 1024  # of one transaction, bodies from the object store included
DRAIN_WAIT_S = 0.1  # for messages, on the way out
TIDY_AGAIN_S = 0.5  # between two portions of what is deleted: writing goes on meanwhile

log = structlog.get_logger("recorder")


@dataclass(frozen=True, kw_only=True)
class Rhythm:
    """When things are done."""

    batch_messages: int = BATCH_MESSAGES  # of one transaction; a full batch means that more is waiting
    wait_s: float = 0.25  # for messages
    linger_s: float = 0.1  # between two batches that are not full: a transaction costs what a hundred messages do
    compare_every_s: float = 1.0  # an idle feed with the stream
    busy_timeout_s: float = BUSY_TIMEOUT_S  # how long a write waits for a lock of somebody else's
    settle_s: float = 1.0  # after an exchange's account, before it is posted
    sweep_every_s: float = 60.0
    settled_after_s: float = 60.0  # what is said later than this about a finished exchange becomes an event
    abandoned_after_s: float = 900.0
    left_behind_after_s: float = 5.0  # what was taken and is not written then belongs to a recorder that died
    keep_s: float | None = None  # how long an exchange is kept; None = for ever
    keep_bytes: float | None = None  # how much room all of them may take; the oldest go first
    clock: Callable[[], float] = time.time
    monotonic: Callable[[], float] = time.monotonic


class Sink:
    """One database and its own place in the stream. `run` it; `stop` lets it finish."""

    def __init__(
        self,
        bus: Bus,
        subjects: Subjects,
        url: str,
        feed: str,
        rhythm: Rhythm,
        redaction: Redaction | None = None,
    ) -> None:
        self.open_exchanges = 0
        self._bus = bus
        self.place = place_of(url)
        self._url = url
        self._redaction = redaction or Redaction()
        self._sealing = Sealing(seals=self._redaction.is_on)
        self._feed_name = feed
        self._stream = Stream(bus, subjects, feed)
        self._rhythm = rhythm
        self._trouble = Trouble(self.place, rhythm.monotonic)
        self._store: Store | None = None
        self._feed: Feed | None = None
        self._reads = False  # the feed is ours: on Postgres one recorder reads at a time
        self._saved = START  # as the database has it
        self._counted_at = self._swept_at = rhythm.monotonic()
        self._compared_at = self._searched_at = rhythm.monotonic()
        self._kept_at, self._pause_s = rhythm.monotonic(), rhythm.sweep_every_s
        self._stopping = False
        self._held: list[Captured] = []  # fetched, not written yet
        self._began_at = rhythm.clock()

    def stop(self) -> None:
        """`run` ends once all that was captured so far is written."""
        self._stopping = True

    async def lag(self) -> Lag | None:
        """How far the sink is behind the stream; None while nobody knows."""
        if self._feed is None:
            return None
        messages = await self._feed.lag()
        if self._saved is START and messages:  # what is written nobody knows yet: it waits for as long as we do
            return Lag(sink=self.place, messages=messages, behind_s=round(self._rhythm.clock() - self._began_at, 1))
        next_ = await self._stream.page(self._saved, 1) if messages else []
        behind_s = max(0.0, self._rhythm.clock() - next_[0].at) if next_ else 0.0
        return Lag(sink=self.place, messages=messages, behind_s=round(behind_s, 1))

    async def run(self) -> None:
        goes_on = True
        try:
            while goes_on:
                try:
                    goes_on = await self._turn()
                    self._trouble.over()
                except (RecordsUnavailable, NoRecords) as error:
                    self._reads = self._store is not None and not self._store.is_shared  # else gone with the connection
                    goes_on = await self._wait(error)
                except BusUnavailable as error:
                    await self._let_go_of_feed()
                    goes_on = await self._wait(error)
        finally:
            with anyio.CancelScope(shield=True):
                await self._close()

    async def _wait(self, error: Exception) -> bool:
        """Whether there is to be another attempt; what is captured can wait for the next start as well."""
        pause_s = self._trouble.met(str(error))
        if not self._stopping:
            await anyio.sleep(pause_s)
        return not self._stopping

    async def _turn(self) -> bool:
        """One batch, or what somebody left behind; whether there is to be another turn."""
        store, feed = await self._opened()
        batch = await self._fetched(store, feed)
        if batch:
            await self._record(store, batch)
            if batch[-1].receipt:
                await feed.acknowledge(batch[-1])
            self._held = []
        is_full = len(batch) >= self._rhythm.batch_messages
        helped = not is_full and await self._help(store)
        if not helped and not is_full and not self._stopping:
            await anyio.sleep(self._rhythm.linger_s if self._reads else self._rhythm.wait_s)
        await self._look_after(store, batch)
        return bool(batch) or helped or not self._stopping

    async def _fetched(self, store: Store, feed: Feed) -> list[Captured]:
        """The next messages; none where another recorder reads."""
        if not self._reads:
            self._reads = await run_sync(store.begin_reading)
            if self._reads or self._saved is START:
                self._saved = await run_sync(store.position)
            if not self._reads:
                return []
        if not self._held:
            self._held = await feed.fetch(
                self._rhythm.batch_messages, DRAIN_WAIT_S if self._stopping else self._rhythm.wait_s
            )
        self._held = self._held or await self._left_behind()
        return self._held

    async def _left_behind(self) -> list[Captured]:
        """What the feed gave to a reader that died is given out again after a minute; the stream has it now."""
        now = self._rhythm.monotonic()
        if not self._stopping and now - self._compared_at < self._rhythm.compare_every_s:
            return []
        self._compared_at = now
        return await self._stream.page(self._saved)

    async def _help(self, store: Store) -> bool:
        """Writes what another recorder took and left; whether there was something."""
        now = self._rhythm.monotonic()
        if not store.is_shared or (not self._stopping and now - self._searched_at < self._rhythm.compare_every_s):
            return False
        stretch = await run_sync(store.left_behind, 0.0 if self._stopping else self._rhythm.left_behind_after_s)
        if stretch is None:
            self._searched_at = now
            return False
        log.warning("recorder.left_behind", feed=self._feed_name, after=stretch.first_seq - 1, until=stretch.last_seq)
        await self._write_taken(store, await self._stream.stretch(stretch), stretch)
        return True

    async def _opened(self) -> tuple[Store, Feed]:
        if self._feed is None:  # first: how much waits is known while the database is down
            self._feed = await self._bus.feed(self._feed_name)
            await self._sealing.agree(self._bus)
        if self._store is None:
            settings = (self._url, self._feed_name, self._rhythm.busy_timeout_s, self._redaction, self._sealing)
            self._store = await run_sync(Store.open, *settings)
        return self._store, self._feed

    async def _let_go_of_feed(self) -> None:
        """It may be gone for good; what was fetched from it and isn't written comes again."""
        if self._feed is not None:
            await self._feed.close()
        self._feed, self._held = None, []

    async def _close(self) -> None:
        await self._let_go_of_feed()
        if self._store is not None:
            await run_sync(self._store.close)

    async def _record(self, store: Store, fetched: Sequence[Captured]) -> None:
        """Writes what is new of a batch, and whatever should have come before it."""
        position = self._saved
        if any(position.is_of_older_stream(message) for message in fetched):
            log.warning("recorder.new_stream", feed=self._feed_name, position=position.seq)
            position = Position(0, position.at)
        while self._reads and (rest := fresh(position, fetched)):
            messages = rest if follows(position, rest) else await self._stream.with_missing(position, rest)
            position = await self._write(store, position, messages)

    async def _write(self, store: Store, position: Position, messages: Sequence[Captured]) -> Position:
        """Writes the messages in portions; the position after them."""
        understood = [self._stream.understand(message) for message in messages]
        slices = list(portions([one.size for one in understood], BATCH_BYTES))
        try:
            if store.is_shared and len(messages) >= self._rhythm.batch_messages:
                return await self._write_shared(store, messages, understood, slices)
            for portion in slices:
                after = position.after(messages[portion])
                await run_sync(store.write, await self._batch(understood[portion], self._saved, after))
                self._saved = position = after
        except Overtaken:
            self._saved = await run_sync(store.position)
            log.warning("recorder.overtaken", feed=self._feed_name, position=self._saved.seq)
            return self._saved
        return position

    async def _write_shared(
        self, store: Store, messages: Sequence[Captured], understood: Sequence[Understood], slices: Sequence[slice]
    ) -> Position:
        """With a backlog: somebody else may read on while this is written."""
        stretches = [Stretch.of(messages[portion]) for portion in slices]
        after = self._saved.after(messages)
        await run_sync(store.take, stretches, self._saved, after)
        self._saved = after
        self._reads = False
        await run_sync(store.end_reading)
        for stretch, portion in zip(stretches, slices, strict=True):
            await self._write_understood(store, understood[portion], stretch)
        return after

    async def _write_taken(self, store: Store, messages: Sequence[Captured], stretch: Stretch) -> None:
        await self._write_understood(store, [self._stream.understand(message) for message in messages], stretch)

    async def _write_understood(self, store: Store, understood: Sequence[Understood], stretch: Stretch) -> None:
        try:
            await run_sync(store.write, await self._batch(understood, START, START, stretch))
        except Overtaken:
            log.info("recorder.written_by_another", feed=self._feed_name, after=stretch.first_seq - 1)

    async def _batch(
        self, understood: Sequence[Understood], before: Position, after: Position, stretch: Stretch | None = None
    ) -> Batch:
        poison = [one.poison for one in understood if one.poison is not None]
        messages = await self._stream.with_bodies(understood)
        return Batch(messages=messages, poison=poison, before=before, after=after, stretch=stretch)

    async def _look_after(self, store: Store, batch: Sequence[Captured]) -> None:
        """Now and then: what is still open, what never will be over, and what is kept no longer."""
        now = self._rhythm.monotonic()
        if now - self._counted_at >= 1:
            self._counted_at = now
            self.open_exchanges = await run_sync(store.open_exchanges)
            if not self._reads:
                self._saved = await run_sync(store.position)
        if self._reads and now - self._swept_at >= self._rhythm.sweep_every_s and (batch or self._bus.is_connected):
            # with a backlog, silence is counted in the stream's time: the end of an exchange may be yet to come
            await self._sweep(store, batch[-1].at if batch else self._rhythm.clock())
            self._swept_at = now
        if self._reads and self._retains and now - self._kept_at >= self._pause_s:
            self._kept_at = now
            self._pause_s = TIDY_AGAIN_S if await self._keep(store) else self._rhythm.sweep_every_s

    async def _sweep(self, store: Store, now: float) -> None:
        await run_sync(store.sweep, now, self._rhythm.settled_after_s, self._rhythm.abandoned_after_s)

    async def _keep(self, store: Store) -> bool:
        """Deletes what is too old or too much, a little at a time; whether there is more to do."""
        rhythm, expired = self._rhythm, 0
        if rhythm.keep_s is not None:
            expired += await run_sync(store.expire, rhythm.clock() - rhythm.keep_s)
        if rhythm.keep_bytes is not None:
            expired += await run_sync(store.shrink, rhythm.keep_bytes)
        if expired:
            log.info("recorder.expired", feed=self._feed_name, exchanges=expired)
        return await run_sync(store.give_back) or expired > 0

    @property
    def _retains(self) -> bool:
        return self._rhythm.keep_s is not None or self._rhythm.keep_bytes is not None
