"""A normalizer between two stages, on a bus in memory: it takes a job, offers its own, and repairs what comes of it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import msgspec

from services.normalizer.main import normalizer
from shared.bus.memory import MemoryBus
from shared.config import Bus as BusSettings
from shared.config import Settings, load
from shared.contracts import Body, End, Event, Head, Job, decode
from shared.legs import LegWriter
from shared.offers import offer
from shared.worker import Worker
from tests.fixtures.spine import SUBJECTS, a_job, a_worker, memory
from tests.unit.normalizer.answers import LIST, ROLE, assembled, chunk, stream_of

LEAK = f'<tool_call>[{{"name":"bash","arguments":{LIST}}}]</tool_call>'
TOOLS = b'{"tools": [{"type": "function", "function": {"name": "bash"}}]}'
NO_TOOLS = b'{"messages": []}'


@asynccontextmanager
async def between(
    answer: Callable[[Job, LegWriter], Awaitable[None]], queue_timeout_s: float = 5.0
) -> AsyncIterator[Stages]:
    """A normalizer in front of an upstream worker that answers like this."""
    async with memory() as server:
        bus = MemoryBus(server)
        settings = Settings(bus=BusSettings(root="spine"))
        async with a_worker(bus, answer).running(), normalizer(bus, settings) as worker:
            await anyio.wait_all_tasks_blocked()
            yield Stages(bus, worker, queue_timeout_s)


class Stages:
    """What is asked of the normalizer, and what it said."""

    def __init__(self, bus: MemoryBus, worker: Worker, queue_timeout_s: float) -> None:
        self.bus = bus
        self.worker = worker
        self._queue_timeout_s = queue_timeout_s

    async def ask(self, body: bytes) -> None:
        job = a_job(queue_timeout_s=self._queue_timeout_s)
        request = msgspec.structs.replace(job.request, body=Body(json=msgspec.Raw(body), size=len(body)))
        await offer(self.bus, SUBJECTS, "normalize", msgspec.structs.replace(job, request=request))
        with anyio.fail_after(5):
            while self.worker.in_flight:
                await anyio.lowlevel.checkpoint()

    async def said(self, kind: str) -> list[bytes]:
        history = await self.bus.history(f"{SUBJECTS.leg('R1', 'c1', 'normal', 'in-1')}.{kind}")
        return [one.data for one in history]


async def leaking(job: Job, leg: LegWriter) -> None:
    await leg.head(Head(status=200, worker="up-1", at=1.0, content_type="text/event-stream"))
    raw = stream_of([{"content": LEAK}], "stop")
    for at in range(0, len(raw), 100):
        await leg.data(raw[at : at + 100])
    await leg.end(End(outcome="complete", worker="up-1", at=2.0))


async def broken(job: Job, leg: LegWriter) -> None:
    await leg.head(Head(status=200, worker="up-1", at=1.0, content_type="text/event-stream"))
    await leg.data(chunk(ROLE))
    await leg.data(chunk({"content": "```\n" + LEAK}))
    await leg.end(End(outcome="broken", worker="up-1", at=2.0))


async def test_a_leaked_call_is_repaired_by_the_requests_tools() -> None:
    async with between(leaking) as stages:
        await stages.ask(TOOLS)

        message, finish = assembled(b"".join(await stages.said("data")))
        (end,) = [decode(End, data) for data in await stages.said("end")]
        told = await stages.bus.history(SUBJECTS.event("R1", "repaired"))

    assert [call["function"]["arguments"] for call in message["tool_calls"]] == [LIST]
    assert finish == "tool_calls"
    assert end.repairs == {"tool_call_from_hermes": 1, "finish_reason_mapped": 1}
    assert [decode(Event, one.data).facts for one in told] == [end.repairs]


async def test_where_no_tools_were_offered_the_same_answer_is_text() -> None:
    async with between(leaking) as stages:
        await stages.ask(NO_TOOLS)

        message, _ = assembled(b"".join(await stages.said("data")))

    assert message == {"content": LEAK, "reasoning_content": "", "tool_calls": []}


async def test_text_that_waits_goes_out_before_the_end_of_a_leg_that_broke() -> None:
    async with between(broken) as stages:
        await stages.ask(TOOLS)

        message, finish = assembled(b"".join(await stages.said("data")))
        (end,) = [decode(End, data) for data in await stages.said("end")]

    assert message["content"] == "```\n" + LEAK
    assert finish is None
    assert end.outcome == "broken"


async def test_the_end_says_so_where_nobody_takes_the_job_behind_it() -> None:
    async with memory() as server:
        bus = MemoryBus(server)
        async with normalizer(bus, Settings(bus=BusSettings(root="spine"))) as worker:
            await anyio.wait_all_tasks_blocked()
            stages = Stages(bus, worker, 0.05)
            await stages.ask(TOOLS)

            (end,) = [decode(End, data) for data in await stages.said("end")]

    assert end.fault is not None
    assert end.fault.code == "no_capacity"


async def test_new_settings_change_how_much_it_takes(tmp_path: Path) -> None:
    async with between(leaking) as stages:
        fewer = load(
            environ={"MOONTIDE_HOME": str(tmp_path)}, overrides={"normalizer": {"max_in_flight": 3}}, services=[]
        )
        for commit in await stages.worker.prepared(fewer):
            commit()

        assert stages.worker.identity.capacity == 3


WORDS = [{"content": f"word {n} "} for n in range(800)]


async def all_at_once(job: Job, leg: LegWriter) -> None:
    await leg.head(Head(status=200, worker="up-1", at=1.0, content_type="text/event-stream"))
    await leg.data(stream_of(WORDS, "stop"))
    await leg.end(End(outcome="complete", worker="up-1", at=2.0))


async def test_the_beginning_of_an_answer_that_comes_all_at_once_goes_ahead_of_the_rest() -> None:
    async with between(all_at_once) as stages:
        await stages.ask(NO_TOOLS)
        beginning, *others = await stages.said("data")

    rest = b"".join(others)
    assert 0 < len(beginning) < len(rest) / 10
    assert assembled(beginning + rest) == assembled(stream_of(WORDS, "stop"))


async def test_an_answer_in_many_slices_leaves_turns_to_everybody_else() -> None:
    turns: list[int] = []

    async def while_it_is_repaired(stages: Stages) -> None:
        while await stages.said("head") and not await stages.said("end"):
            turns.append(len(turns))
            await anyio.lowlevel.checkpoint()

    async with between(all_at_once) as stages, anyio.create_task_group() as tasks:
        tasks.start_soon(stages.ask, NO_TOOLS)
        while not await stages.said("head"):
            await anyio.lowlevel.checkpoint()
        tasks.start_soon(while_it_is_repaired, stages)

    assert len(turns) > 5
