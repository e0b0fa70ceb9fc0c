"""Who watches an answer: found, asked again, replaced. On a bus in memory; deaths are told, as by the worker's look."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import anyio
import pytest
from anyio.abc import TaskGroup

from shared import sentries as module
from shared.bus import BusUnavailable, Delivery
from shared.bus.memory import MemoryBus, MemoryServer
from shared.contracts import Accepted, RepeatSettings, Watch, decode, encode
from shared.roster import Roster
from shared.sentries import MOST_UNANSWERED, Sentries
from shared.takeovers import MOST_TAKEOVERS
from tests.fixtures.spine import SUBJECTS, a_beat, memory

PATIENCE_S = 30.0
WATCH = Watch(id="R1", repeat=RepeatSettings(action="stop"))


@dataclass
class Post:
    """An ingress with one request in hand, and sentinels that answer as they are told."""

    server: MemoryServer
    tasks: TaskGroup
    offers: list[Watch] = field(default_factory=list)
    told: list[Mapping[str, Any]] = field(default_factory=list)
    bus_is_away: bool = False
    sentries: Sentries = field(init=False)

    def __post_init__(self) -> None:
        roster = Roster(lambda: 0.0)
        roster.hear(a_beat("se-1", "sentinel"))

        async def tell(id: str, name: str, call: str | None, facts: Mapping[str, Any]) -> None:
            if self.bus_is_away:
                raise BusUnavailable("away")
            self.told.append({"id": id, "name": name, "call": call, **facts})

        self.sentries = Sentries(MemoryBus(self.server), SUBJECTS, roster, tell)

    async def sentinel(self, answer: Callable[[Watch], bytes | None]) -> None:
        bus = MemoryBus(self.server)

        async def hear(message: Delivery) -> None:
            watch = decode(Watch, message.data)
            self.offers.append(watch)
            if (said := answer(watch)) is not None:
                await bus.publish(message.reply, said)

        await bus.subscribe(SUBJECTS.work("watch"), hear, queue="watch")

    def start_soon(self, work: Any, *args: Any) -> None:
        self.tasks.start_soon(work, *args)

    async def until(self, holds: Callable[[], object]) -> None:
        with anyio.fail_after(PATIENCE_S):
            while not holds():  # noqa: ASYNC110 - whatever changes it is on the bus
                await anyio.sleep(0.001)

    async def look(self, dead: frozenset[str] = frozenset()) -> None:
        """As the worker does twice a second; until whoever was asked has answered, or was waited for."""
        self.sentries.relieve(set(dead), self.start_soon)
        await self.until(lambda: not any(post.is_offered for post in self.sentries._posts.values()))


@asynccontextmanager
async def post() -> AsyncIterator[Post]:
    async with memory() as server, anyio.create_task_group() as tasks:
        yield Post(server, tasks)
        tasks.cancel_scope.cancel()


def accepting(name: str) -> Callable[[Watch], bytes]:
    return lambda watch: encode(Accepted(worker=name))


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ACCEPT_TIMEOUT_S", 0.02)


async def test_who_accepts_is_on_duty_while_the_request_lasts() -> None:
    async with post() as it:
        await it.sentinel(accepting("se-1"))
        with it.sentries.watching(WATCH, it.start_soon):
            await it.until(lambda: it.sentries.on_duty)
            await it.look()
            on_duty = it.sentries.on_duty

        assert on_duty == {"se-1"}
        assert it.sentries.on_duty == set()
    assert it.offers == [WATCH]
    assert it.told == []


async def test_what_a_dead_one_watched_is_offered_again_and_told_of() -> None:
    names = iter(["se-1", "se-2"])
    async with post() as it:
        await it.sentinel(lambda watch: encode(Accepted(worker=next(names))))
        with it.sentries.watching(WATCH, it.start_soon):
            await it.until(lambda: it.sentries.on_duty)
            await it.look(frozenset({"se-1"}))

            assert it.sentries.on_duty == {"se-2"}
    assert [watch.again for watch in it.offers] == [False, True]
    facts = {"stage": "watch", "from": "se-1", "to": "se-2"}
    assert it.told == [{"id": "R1", "name": "taken-over", "call": None, **facts}]


async def test_a_takeover_that_can_not_be_told_is_one_all_the_same() -> None:
    async with post() as it:
        await it.sentinel(accepting("se-1"))
        with it.sentries.watching(WATCH, it.start_soon):
            await it.until(lambda: it.sentries.on_duty)
            it.bus_is_away = True
            await it.look(frozenset({"se-1"}))

            assert it.sentries.on_duty == {"se-1"}


async def test_where_nobody_has_room_it_is_offered_until_somebody_has() -> None:
    is_busy = [True, True, False]
    async with post() as it:
        with it.sentries.watching(WATCH, it.start_soon):
            await it.look()
            await it.sentinel(lambda watch: encode(Accepted(worker="se-1", busy=is_busy.pop(0))))
            for _ in range(3):
                await it.look()

            assert it.sentries.on_duty == {"se-1"}


async def test_without_any_sentinel_nobody_is_asked_again() -> None:
    async with post() as it:
        with it.sentries.watching(WATCH, it.start_soon):
            await it.look()
            it.sentries._roster.forget("se-1")
            await it.sentinel(accepting("se-1"))
            await it.look()

            assert it.offers == []


@pytest.mark.parametrize("answer", [None, b"what?"])
async def test_one_that_takes_it_in_silence_is_left_to_it(answer: bytes | None) -> None:
    async with post() as it:
        await it.sentinel(lambda watch: answer)
        with it.sentries.watching(WATCH, it.start_soon):
            for _ in range(MOST_UNANSWERED + 3):
                await it.look()

    assert len(it.offers) == MOST_UNANSWERED


async def test_a_request_that_kills_its_sentinels_does_not_kill_them_all() -> None:
    async with post() as it:
        await it.sentinel(accepting("se-1"))
        with it.sentries.watching(WATCH, it.start_soon):
            await it.until(lambda: it.sentries.on_duty)
            for _ in range(MOST_TAKEOVERS + 3):
                await it.look(frozenset({"se-1"}))

            assert it.sentries.on_duty == set()
    assert len(it.offers) == MOST_TAKEOVERS + 1
