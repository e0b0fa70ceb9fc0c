"""The accounts of finished exchanges, as a durable consumer brings them to a sink that keeps nothing itself.

An account that was dealt with is acknowledged; one that was not comes again after a minute, to whichever recorder.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import anyio

from services.recorder.worker import Rhythm
from shared.bus import Bus, Captured, Feed
from shared.contracts import Lag
from shared.subjects import Subjects


class Accounts:
    """One sink's place among them, and its way to stop. All that asks the bus raises BusUnavailable."""

    def __init__(self, bus: Bus, subjects: Subjects, name: str, place: str, rhythm: Rhythm) -> None:
        self.waiting_since: float | None = None  # the account that waits longest, in hand
        self._bus = bus
        self._subjects = subjects
        self._name = name
        self._place = place
        self._rhythm = rhythm
        self._feed: Feed | None = None
        self._stop = anyio.Event()

    def stop(self) -> None:
        self._stop.set()

    @property
    def is_stopping(self) -> bool:
        return self._stop.is_set()

    async def pause(self, pause_s: float) -> bool:
        """Whether it was to stop meanwhile."""
        with anyio.move_on_after(pause_s):
            await self._stop.wait()
        return self.is_stopping

    async def fetch(self, count: int, wait_s: float) -> Sequence[Captured]:
        self._feed = self._feed or await self._bus.feed(self._name, self._subjects.dones)
        return await self._feed.fetch(count, wait_s)

    async def acknowledge(self, accounts: Iterable[Captured]) -> None:
        if self._feed is not None:
            for account in accounts:
                await self._feed.acknowledge(account)

    async def count(self) -> int:
        """Those that are not acknowledged yet."""
        return 0 if self._feed is None else await self._feed.lag()

    async def lag(self) -> Lag | None:
        """None before the first account was asked for."""
        if self._feed is None:
            return None
        waits = self.waiting_since
        behind_s = max(0.0, self._rhythm.clock() - waits) if waits is not None else 0.0
        return Lag(sink=self._place, messages=await self.count(), behind_s=round(behind_s, 1))

    async def let_settle(self, newest: Captured) -> None:
        """What is said right behind an account belongs to it: the end of a call whose client has left."""
        age_s = self._rhythm.clock() - newest.at
        await anyio.sleep(min(max(0.0, self._rhythm.settle_s - age_s), self._rhythm.settle_s))

    async def let_go(self) -> None:
        """What is not acknowledged comes again."""
        if self._feed is not None:
            await self._feed.close()
        self._feed, self.waiting_since = None, None
