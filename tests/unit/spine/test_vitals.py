"""Who has died: by pings that nobody answers, and by heartbeats that stay away."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import msgspec
import pytest

from shared import vitals as module
from shared.bus import BusUnavailable
from shared.bus.memory import MemoryBus, MemoryServer
from shared.roster import GONE_AFTER_S, Roster
from shared.vitals import SETTLE_S, UNHEARD_LOOKS, Vitals
from tests.fixtures.buses import Ear
from tests.fixtures.spine import SUBJECTS, a_beat, memory


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PAUSE_S", 0.0)
    monkeypatch.setattr(module, "ANSWER_WITHIN_S", 0.02)


@dataclass
class Clock:
    now: float = 1000.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Look:
    server: MemoryServer
    bus: MemoryBus
    roster: Roster
    vitals: Vitals
    clock: Clock

    def hears(self, instance: str, answers: bool = True) -> None:
        self.roster.hear(msgspec.structs.replace(a_beat(instance), answers_pings=answers))

    async def starts(self, instance: str) -> None:
        """A worker that answers pings."""
        await Vitals(MemoryBus(self.server), SUBJECTS, self.roster).listen(instance)

    async def dead(self, *instances: str) -> set[str]:
        return await self.vitals.dead(instances)


@asynccontextmanager
async def looking() -> AsyncIterator[Look]:
    async with memory() as server:
        bus, clock = MemoryBus(server), Clock()
        roster = Roster(clock)
        vitals = Vitals(bus, SUBJECTS, roster, clock)
        await vitals.listen("me")
        yield Look(server, bus, roster, vitals, clock)


async def test_a_worker_that_answers_lives_whatever_became_of_its_heartbeats() -> None:
    async with looking() as it:
        it.hears("up-1")
        await it.starts("up-1")
        it.clock.now += GONE_AFTER_S

        assert await it.dead("up-1") == set()


async def test_a_worker_that_is_not_there_is_dead_at_once() -> None:
    async with looking() as it:
        it.hears("up-1")
        it.hears("up-2")
        await it.starts("up-2")

        assert await it.dead("up-1", "up-2") == {"up-1"}


async def test_a_worker_that_is_back_by_the_second_ping_lives() -> None:
    async with looking() as it:
        it.hears("up-1")
        heard = 0

        async def is_there(_instance: str) -> bool:
            nonlocal heard
            heard += 1
            return heard > 1

        it.vitals.is_there = is_there  # type: ignore[method-assign]

        assert await it.dead("up-1") == set()


async def test_a_worker_that_is_stuck_is_dead_when_its_heartbeats_stay_away() -> None:
    async with looking() as it:
        it.hears("up-1")
        await it.bus.subscribe(SUBJECTS.ping("up-1"), Ear())
        at_first = await it.dead("up-1")
        it.clock.now += GONE_AFTER_S

        assert (at_first, await it.dead("up-1")) == (set(), {"up-1"})


async def test_a_worker_of_an_older_version_is_judged_by_its_heartbeats() -> None:
    async with looking() as it:
        it.hears("up-1", answers=False)
        at_first = await it.dead("up-1")
        it.clock.now += GONE_AFTER_S

        assert (at_first, await it.dead("up-1")) == (set(), {"up-1"})


async def test_a_worker_that_was_never_heard_may_be_new_for_a_while() -> None:
    async with looking() as it:
        looks = [await it.dead("up-1") for _ in range(UNHEARD_LOOKS + 1)]

        assert looks == [set()] * (UNHEARD_LOOKS - 1) + [{"up-1"}, set()]


async def test_one_answer_is_enough_for_a_worker_that_was_never_heard() -> None:
    async with looking() as it:
        for _ in range(UNHEARD_LOOKS - 1):
            await it.dead("up-1")
        await it.starts("up-1")
        await it.dead("up-1")
        it.server.subscriptions[-1].server.subscriptions.pop()

        assert await it.dead("up-1") == set()


async def test_after_a_lost_connection_nobody_is_dead_until_all_had_time_to_come_back() -> None:
    async with looking() as it:
        it.hears("up-1")
        it.bus.reconnect()
        at_first = await it.dead("up-1")
        it.clock.now += SETTLE_S

        assert (at_first, await it.dead("up-1")) == (set(), {"up-1"})


async def test_without_a_connection_nobody_is_dead() -> None:
    async with looking() as it:
        it.hears("up-1")
        it.bus.is_connected = False

        assert await it.dead("up-1") == set()


async def test_a_bus_that_fails_tells_nothing() -> None:
    async with looking() as it:
        it.hears("up-1")

        async def request(_subject: str, _data: bytes, _timeout_s: float) -> bytes:
            raise BusUnavailable("away")

        it.bus.request = request  # type: ignore[method-assign]

        assert await it.dead("up-1") == set()
