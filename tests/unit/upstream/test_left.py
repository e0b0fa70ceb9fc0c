"""What an upstream worker finds of one that died: the calls, the text, and how far they had come."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec
import pytest

from services.upstream import left as module
from services.upstream.left import Left, left_of
from services.upstream.rules.continuation import Prefix, TextSoFar
from shared.bus.memory import MemoryBus
from shared.contracts import Resume
from shared.legs import FramesLost, LegWriter
from shared.worker import Identity, Worker
from tests.fixtures.spine import END, HEAD, SUBJECTS, a_job, a_request, memory

STREAM = msgspec.structs.replace(HEAD, content_type="text/event-stream")


def said(text: str, **more: object) -> bytes:
    choice = {"index": 0, "delta": {"content": text}, **more}
    return b"data: " + json.dumps({"choices": [choice]}).encode() + b"\n\n"


class Bench:
    """Where a worker died, and another one looks."""

    def __init__(self, worker: Worker) -> None:
        self.worker = worker

    def leg(self, call: str = "c1", maker: str = "up-1") -> LegWriter:
        return LegWriter(self.worker.bus, SUBJECTS.leg("R1", call, "raw", "in-1"), maker)

    async def left(self, call: str, frames: int) -> Left:
        resume = Resume(worker="up-1", address="up-1", call=call, frames=frames)
        return await left_of(self.worker, msgspec.structs.replace(a_job(), resume=resume))


@asynccontextmanager
async def bench() -> AsyncIterator[Bench]:
    async with memory() as server:
        yield Bench(Worker(MemoryBus(server), SUBJECTS, Identity(service="upstream", instance="up-2", capacity=1)))


def prefix(left: Left) -> Prefix | None:
    return left.text(TextSoFar(keep=True)).prefix


async def test_the_text_of_the_broken_call_is_known() -> None:
    async with bench() as it:
        leg = it.leg()
        await leg.head(STREAM)
        await leg.data(said("one "))
        await leg.data(said("two"))
        left = await it.left("c1", 3)

        assert prefix(left) == Prefix("one two")
        assert (left.frames, left.is_whole, left.was_called) == (2, False, False)
        assert left.body_bytes == len(said("one ") + said("two"))
        assert left.fault.code == "worker_lost"


async def test_what_the_receiver_did_not_get_does_not_count() -> None:
    async with bench() as it:
        leg = it.leg()
        await leg.head(STREAM)
        await leg.data(said("one "))
        await leg.data(said("said after it was taken for dead"))

        assert prefix(await it.left("c1", 2)) == Prefix("one ")


@pytest.mark.parametrize(("continued", "text"), [(True, "one two"), (False, "two")])
async def test_calls_before_it_count_where_it_continued_them(continued: bool, text: str) -> None:
    async with bench() as it:
        first = it.leg()
        await first.head(STREAM)
        await first.data(said("one "))
        await first.end(msgspec.structs.replace(END, outcome="broken", next_call="c2", continued=continued))
        second = it.leg("c2")
        await second.head(STREAM)
        await second.data(said("two"))
        left = await it.left("c2", 2)

        assert prefix(left) == Prefix(text)
        assert (left.call, left.frames) == ("c2", 1)


async def test_an_answer_of_which_only_the_end_is_missing_is_whole() -> None:
    async with bench() as it:
        leg = it.leg()
        await leg.head(STREAM)
        await leg.data(said("one", finish_reason="stop") + b"data: [DONE]\n\n")
        left = await it.left("c1", 2)

        assert left.is_whole
        assert (left.as_end()["finish_reason"], left.as_end()["done_seen"]) == ("stop", True)


async def test_a_plain_body_is_no_text() -> None:
    async with bench() as it:
        leg = it.leg()
        await leg.head(HEAD)
        await leg.data(b'{"half": "a bo')
        left = await it.left("c1", 2)

        assert (left.frames, left.is_whole) == (1, False)
        assert left.text(TextSoFar(keep=True)).is_empty


async def test_a_call_without_a_frame_was_perhaps_made() -> None:
    async with bench() as it:
        await it.worker.bus.publish(SUBJECTS.call_request("R1", "c1"), msgspec.json.encode(a_request()))
        left = await it.left("c1", 0)

        assert (left.was_called, left.frames) == (True, 0)


async def test_frames_that_are_gone_are_said_to_be(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PATIENCE_S", 0.01)
    async with bench() as it:
        await it.leg().head(STREAM)

        with pytest.raises(FramesLost, match="frame 1 of c1"):
            await it.left("c1", 5)
