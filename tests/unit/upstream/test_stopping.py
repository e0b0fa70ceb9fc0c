"""A call that is ended on purpose: its leg ends well-formed, with what is known."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest

from services.upstream.rules.tally import Tally
from services.upstream.stopping import Stopping
from shared.bus.memory import MemoryBus
from shared.contracts import Cancel, End, Event, Job, Usage, decode
from shared.legs import LegWriter
from shared.worker import Worker
from tests.fixtures.spine import HEAD, SUBJECTS, a_job, a_worker, memory

STOP = Cancel(by="sentinel", why="the answer runs in a loop", finish_reason="repeat")
COUNTED = Usage(prompt_tokens=1, completion_tokens=2, total_tokens=3)
TEXT = b'data: {"choices": [{"delta": {"content": "' + b"a" * 400 + b'"}}]}\n\n'


async def nothing(_job: Job, _leg: LegWriter) -> None:
    """The worker has no other jobs."""


class Call:
    """A leg that its maker writes until it is told to stop."""

    def __init__(self, worker: Worker, job: Job) -> None:
        self.worker = worker
        self.leg = worker.writer(job.id, job.call, "raw", job.to)
        self.stopping = Stopping(worker, job, self.leg)
        self.was_cut = False

    async def run(self, cancel: Cancel, *, begun: bool = True) -> None:
        with anyio.move_on_after(0.3) as patience, self.stopping.possible():
            if begun:
                await self.leg.head(HEAD)
            await self.worker.cancels.send("R1", cancel)
            await anyio.sleep_forever()
        self.was_cut = not patience.cancelled_caught

    async def messages(self, kind: str) -> list[bytes]:
        return [one.data for one in await self.worker.bus.history(f"{SUBJECTS.root}.req.R1.>") if kind in one.subject]

    async def end(self) -> End:
        (found,) = await self.messages(".end")
        return decode(End, found)


@asynccontextmanager
async def a_call() -> AsyncIterator[Call]:
    async with memory() as server:
        worker = a_worker(MemoryBus(server), nothing)
        async with worker.running():
            yield Call(worker, a_job())


def tally() -> Tally:
    found = Tally()
    found.feed(TEXT)
    return found


async def test_the_leg_ends_stopped_with_the_finish_reason() -> None:
    async with a_call() as call:
        await call.run(STOP)
        await call.stopping.end(tally(), b"{}")
        end = await call.end()

    assert call.was_cut
    assert (end.outcome, end.finish_reason, end.fault) == ("stopped", "repeat", None)
    assert end.is_well_formed


@pytest.mark.parametrize(
    ("known", "tokens", "said"),
    [(COUNTED, COUNTED, "counted"), (None, Usage(completion_tokens=100, total_tokens=100), "estimated")],
)
async def test_the_providers_count_goes_before_an_estimate(known: Any, tokens: Usage, said: str) -> None:
    async with a_call() as call:
        call.leg.so_far = lambda: {"usage": known}
        await call.run(STOP)
        await call.stopping.end(tally(), b"{}")
        end = await call.end()
        (event,) = await call.messages("event.stopped")

    assert end.usage == tokens
    assert decode(Event, event).facts["usage"] == said


async def test_a_call_that_nobody_has_seen_anything_of_goes_on() -> None:
    async with a_call() as call:
        await call.run(STOP, begun=False)

    assert call.stopping.cancel is None
    assert not call.was_cut


async def test_a_cancel_without_a_finish_reason_is_no_affair_of_this() -> None:
    async with a_call() as call:
        await call.run(Cancel(by="operator", why="asked to"))

    assert call.stopping.cancel is None
    assert not call.was_cut


@pytest.mark.parametrize(("meant_for", "is_cut"), [("c1", True), ("c2", True), (None, True), ("c3", False)])
async def test_a_cancel_may_be_meant_for_one_of_the_jobs_calls(meant_for: str | None, is_cut: bool) -> None:
    async with a_call() as call:
        call.stopping = Stopping(call.worker, a_job(), call.leg, lambda: ("c1", "c2"))
        await call.run(Cancel(by="enforcer", why="a loop", call=meant_for, finish_reason="repeat"))

    assert call.was_cut == is_cut


async def test_a_cancel_for_an_earlier_call_is_no_affair_of_the_next_one() -> None:
    async with a_call() as call:
        await call.worker.cancels.send("R1", Cancel(by="enforcer", why="a loop", call="c0", finish_reason="repeat"))
        await call.run(Cancel(by="operator", why="asked to"))

    assert not call.was_cut
