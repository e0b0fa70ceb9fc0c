"""What a sentinel is subscribed to: frames only where there is something to watch."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio

from services.sentinel.main import sentinel
from shared.bus.memory import MemoryBus, MemoryServer
from shared.config import Bus as BusSettings
from shared.config import Settings
from shared.contracts import Cancel, Done, RepeatSettings, Watch, decode, encode
from tests.fixtures.spine import SUBJECTS, memory, publish_leg

FRAMES = SUBJECTS.frames_of("raw").split(".")
LOOP = [b'data: {"choices": [{"index": 0, "delta": {"content": "and again "}}]}\n\n'] * 200


@asynccontextmanager
async def watching() -> AsyncIterator[tuple[MemoryServer, MemoryBus]]:
    async with memory() as server:
        bus = MemoryBus(server)
        async with sentinel(bus, Settings(bus=BusSettings(root="spine"))):
            await anyio.wait_all_tasks_blocked()
            yield server, bus


async def watch(bus: MemoryBus, id: str) -> None:
    await bus.publish(SUBJECTS.work("watch"), encode(Watch(id=id, repeat=RepeatSettings(action="stop"))))
    await anyio.wait_all_tasks_blocked()


async def over(bus: MemoryBus, *ids: str) -> None:
    """Else a sentinel that ends waits for them."""
    for id in ids:
        await bus.publish(SUBJECTS.done(id), encode(Done(at=0, worker="in-1", status=200, outcome="complete")))
    await anyio.wait_all_tasks_blocked()


def times_it_hears_frames(server: MemoryServer) -> int:
    return sum(one.pattern == FRAMES for one in server.subscriptions)


async def test_a_sentinel_that_was_never_asked_to_watch_hears_no_frames() -> None:
    async with watching() as (server, _):
        assert times_it_hears_frames(server) == 0


async def test_however_much_it_watches_it_hears_frames_once() -> None:
    async with watching() as (server, bus):
        await watch(bus, "R1")
        await watch(bus, "R2")

        assert times_it_hears_frames(server) == 1
        await over(bus, "R1", "R2")


async def test_the_first_answer_that_is_watched_is_heard_from_its_first_frame() -> None:
    async with watching() as (_, bus):
        await watch(bus, "R1")
        await publish_leg(bus, LOOP)
        await anyio.wait_all_tasks_blocked()
        cancels = await bus.history(SUBJECTS.cancel("R1"))
        await over(bus, "R1")

    assert [decode(Cancel, one.data).by for one in cancels] == ["sentinel"]
