"""A leg over several calls: nothing is lost where one call's frames come while another's are read."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
import anyio.lowlevel

from shared.bus.memory import MemoryBus, MemoryServer
from shared.cancels import Cancels
from shared.contracts import End, Head, decode, encode
from shared.course import MOST_AHEAD, Course
from shared.inbox import Inbox
from shared.legs import LegReader, LegWriter
from shared.subjects import Subjects, call_after, call_number

SUBJECTS = Subjects("test")
HEAD = Head(status=200, worker="up-1", at=1.0)


@asynccontextmanager
async def following(call: str = "c1") -> AsyncIterator[tuple[MemoryBus, Course]]:
    async with anyio.create_task_group() as tasks:
        bus = MemoryBus(MemoryServer(SUBJECTS, tasks))
        inbox = Inbox(bus, SUBJECTS, "in-1", Cancels(bus, SUBJECTS, "in-1"))
        await inbox.listen()
        with inbox.following("R1", call, "raw") as course:
            yield bus, course
        tasks.cancel_scope.cancel()


async def write(leg: LegWriter, text: bytes, next_call: str | None = None) -> None:
    await leg.head(HEAD)
    await leg.data(text)
    await leg.end(End(outcome="complete", worker="up-1", at=2.0, next_call=next_call))
    if next_call is not None:
        leg.turn_to(SUBJECTS.leg("R1", next_call, "raw", "in-1"))


async def read(course: Course) -> list[bytes]:
    """The data of all calls."""
    pieces: list[bytes] = []
    with anyio.fail_after(5):
        while True:
            frames = await course.frames()
            pieces += [frame.data for frame in frames if frame.kind == "data"]
            if frames[-1].kind == "end" and decode(End, frames[-1].data).next_call is None:
                return pieces


def a_leg(bus: MemoryBus, call: str = "c1", instance: str = "up-1") -> LegWriter:
    return LegWriter(bus, SUBJECTS.leg("R1", call, "raw", "in-1"), instance)


async def test_calls_that_came_long_before_their_turn_are_all_read() -> None:
    async with following() as (bus, course):
        leg = a_leg(bus)
        await write(leg, b"one", "c2")
        await write(leg, b"two", "c3")
        await write(leg, b"three")

        assert await read(course) == [b"one", b"two", b"three"]
        assert course.call == "c3"


async def test_a_call_may_be_waited_for() -> None:
    async with following() as (bus, course), anyio.create_task_group() as tasks:
        leg = a_leg(bus)
        await write(leg, b"one", "c2")
        await course.frames()
        tasks.start_soon(write, leg, b"two")

        assert await read(course) == [b"two"]


async def test_frames_of_a_call_that_is_over_are_nobodys() -> None:
    async with following() as (bus, course):
        await write(a_leg(bus), b"one", "c2")
        await course.frames()

        assert course.receiver("c1") is None


async def test_the_worker_that_made_the_first_call_makes_the_next() -> None:
    async with following() as (bus, course):
        course.appoint("up-1")
        await write(a_leg(bus), b"one", "c2")
        await course.frames()
        await write(a_leg(bus, "c2", instance="stray"), b"wrong")
        await write(a_leg(bus, "c2"), b"two")

        assert await read(course) == [b"two"]


async def test_calls_far_ahead_are_left_to_the_capture_stream() -> None:
    async with following() as (bus, course):
        await bus.publish(SUBJECTS.leg("R1", "c2", "raw", "in-1") + ".head", encode(HEAD), {"Frame": "0 up-1"})
        await anyio.lowlevel.checkpoint()
        made: list[LegReader | None] = [course.receiver(f"c{number}") for number in range(2, MOST_AHEAD + 4)]

        assert made.count(None) == 2


def test_calls_are_counted() -> None:
    assert [call_number("c1"), call_number("c12"), call_number("done"), call_number("c")] == [1, 12, 0, 0]
    assert call_after("c9") == "c10"
