"""The inbox: legs by their subject, and the care for those that are quiet."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass

import anyio

from shared import inbox as inbox_module
from shared.bus.memory import MemoryBus, MemoryServer
from shared.cancels import Cancels
from shared.contracts import Cancel, decode
from shared.inbox import Inbox
from shared.legs import LegReader
from tests.fixtures.buses import Ear
from tests.fixtures.spine import SUBJECTS, memory, publish_leg, whole


@dataclass
class Receiver:
    server: MemoryServer
    bus: MemoryBus
    inbox: Inbox

    @contextmanager
    def reading(self, id: str) -> Iterator[LegReader]:
        with self.inbox.following(id, "c1", "raw") as course:
            yield course.reader


@asynccontextmanager
async def receiver() -> AsyncIterator[Receiver]:
    async with memory() as server:
        bus = MemoryBus(server)
        inbox = Inbox(bus, SUBJECTS, "in-1", Cancels(bus, SUBJECTS, "in-1"))
        await inbox.listen()
        yield Receiver(server, bus, inbox)


async def look_after(inbox: Inbox) -> None:
    async with anyio.create_task_group() as tasks:
        inbox.look_after(tasks.start_soon)


def seems_quiet(reader: LegReader) -> None:
    reader.last_at -= inbox_module.QUIET_AFTER_S + 1


async def test_a_leg_is_received_by_its_subject() -> None:
    async with receiver() as it:
        with it.reading("R1") as mine, it.reading("R2") as other:
            await publish_leg(it.bus, [b"a"])
            got = await whole(mine)

        assert got == (["head", "data", "end"], b"a")
        assert other.producer is None


async def test_frames_of_a_leg_that_nobody_reads_are_let_go() -> None:
    async with receiver() as it:
        with it.reading("R1"):
            pass
        await publish_leg(it.bus, [b"a"])
        await anyio.wait_all_tasks_blocked()
        with it.reading("R1") as reader:
            await anyio.wait_all_tasks_blocked()

            assert reader.producer is None


async def test_a_quiet_leg_gets_what_it_missed() -> None:
    async with receiver() as it:
        with it.reading("R1") as reader:
            it.server.drop = lambda subject: subject.endswith(".end")
            await publish_leg(it.bus, [b"a"])
            await anyio.wait_all_tasks_blocked()
            seems_quiet(reader)
            await look_after(it.inbox)

            assert await whole(reader) == (["head", "data", "end"], b"a")


async def test_a_leg_of_which_nothing_came_is_healed_too() -> None:
    async with receiver() as it:
        with it.reading("R1") as reader:
            it.server.drop = lambda _subject: True
            await publish_leg(it.bus, [b"a"])
            seems_quiet(reader)
            await look_after(it.inbox)

            assert (await whole(reader))[1] == b"a"


async def test_a_leg_that_was_heard_lately_is_left_alone() -> None:
    async with receiver() as it:
        with it.reading("R1") as reader:
            it.server.drop = lambda subject: subject.endswith(".end")
            await publish_leg(it.bus, [b"a"])
            await anyio.wait_all_tasks_blocked()
            await look_after(it.inbox)

            assert (reader.healed, reader.ended) == (0, False)


async def test_a_stray_producer_is_told_to_stop_once() -> None:
    async with receiver() as it:
        ear = Ear()
        await it.bus.subscribe(SUBJECTS.cancels, ear)
        with it.reading("R1") as reader:
            reader.appoint("up-1")
            await publish_leg(it.bus, [b"a", b"b"], "up-2")
            await publish_leg(it.bus, [b"mine"], "up-1")
            got = await whole(reader)
        await anyio.wait_all_tasks_blocked()

        assert got == (["head", "data", "end"], b"mine")
        assert [decode(Cancel, data).worker for data in ear.data] == ["up-2"]
        assert ear.heard[0].subject == SUBJECTS.cancel("R1")


async def test_after_a_lost_connection_every_leg_catches_up() -> None:
    async with receiver() as it:
        with it.reading("R1") as one, it.reading("R2") as two:
            it.server.drop = lambda _subject: True
            for id in ("R1", "R2"):
                await publish_leg(it.bus, [id.encode()], prefix=SUBJECTS.leg(id, "c1", "raw", "in-1"))
            async with anyio.create_task_group() as tasks:
                it.inbox.catch_up_all(tasks.start_soon)

            assert ((await whole(one))[1], (await whole(two))[1]) == (b"R1", b"R2")


async def test_the_producers_of_open_legs_are_known() -> None:
    async with receiver() as it:
        with it.reading("R1") as reader, it.reading("R2"):
            reader.appoint("up-1")

            assert it.inbox.producers() == {"up-1"}
        assert it.inbox.producers() == set()
