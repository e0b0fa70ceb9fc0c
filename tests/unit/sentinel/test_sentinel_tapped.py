"""Raw legs as a sentinel hears them: from the middle, twice, with gaps; and what of them is no more."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager

import pytest

from services.sentinel.tapped import Tapped, TappedLeg
from shared import legs
from shared.bus.memory import MemoryBus, MemoryServer
from shared.frames import FRAME_HEADER
from shared.legs import LegWriter
from shared.subjects import FrameAddress
from tests.fixtures.spine import END, HEAD, PREFIX, SUBJECTS, memory

ADDRESS = FrameAddress("R1", "c1", "raw", "in-1", "data")
TEXT = [b"one ", b"two ", b"three ", b"four "]


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(legs, "HEAL_PAUSE_S", 0.0)


@asynccontextmanager
async def tapped() -> AsyncIterator[tuple[MemoryServer, TappedLeg]]:
    async with memory() as server:
        found = Tapped(MemoryBus(server), SUBJECTS)
        found.begin("R1")
        leg = found.leg(ADDRESS)
        assert leg is not None
        yield server, leg


async def publish(server: MemoryServer, *, is_over: bool = False) -> None:
    writer = LegWriter(MemoryBus(server), PREFIX, "up-1")
    await writer.head(HEAD)
    for piece in TEXT:
        await writer.data(piece)
    if is_over:
        await writer.end(END)


def hear(leg: TappedLeg, number: int) -> list[bytes]:
    data = TEXT[number - 1]
    return texts(leg.hear("data", {FRAME_HEADER: f"{number} up-1"}, data))


def texts(frames: Iterable[legs.Frame]) -> list[bytes]:
    return [frame.data for frame in frames if frame.kind == "data"]


async def test_one_that_begins_in_the_middle_gets_the_beginning_from_the_capture_stream() -> None:
    async with tapped() as (server, leg):
        await publish(server)
        now = hear(leg, 4)

        assert (now, leg.wants_more) == ([], True)
        assert texts(await leg.fetched()) == TEXT
        assert not leg.wants_more


async def test_what_is_not_there_any_more_is_passed_over() -> None:
    async with tapped() as (_server, leg):
        assert hear(leg, 3) == []
        assert texts(await leg.fetched()) == [TEXT[2]]
        assert hear(leg, 4) == [TEXT[3]]
        assert not leg.wants_more


async def test_what_was_too_much_to_keep_is_passed_over_too(monkeypatch: pytest.MonkeyPatch) -> None:
    async with tapped() as (_server, leg):
        monkeypatch.setattr(leg._reader, "_limit", 0)
        hear(leg, 2)
        hear(leg, 4)

        assert texts(await leg.fetched()) == [TEXT[1]]
        assert texts(await leg.fetched()) == []
        assert not leg.wants_more


async def test_what_comes_twice_is_heard_once() -> None:
    async with tapped() as (server, leg):
        await publish(server, is_over=True)
        first = texts(await leg.caught_up())

        assert first == TEXT
        assert leg.is_over
        assert hear(leg, 2) == []
        assert not leg.wants_more


async def test_an_answer_that_nobody_watches_has_no_legs() -> None:
    async with memory() as server:
        found = Tapped(MemoryBus(server), SUBJECTS)
        found.begin("R1")
        leg = found.leg(ADDRESS)
        is_there = leg is not None and found.leg(ADDRESS) is leg
        found.end("R1")
        found.end("R1")

        assert is_there
        assert found.leg(ADDRESS) is None
