"""An enforcer at work, between who asks and a stage behind it that says what it is told to."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import anyio
import msgspec
import pytest

from services.enforcer import enforcing
from services.enforcer.main import enforcer
from shared.bodies import get_body, put_body
from shared.bus.memory import MemoryBus, MemoryServer
from shared.config import load
from shared.contracts import Cancel, End, Enforcement, Event, Head, Job, Usage, decode
from shared.jobs import Craft
from shared.legs import LegWriter
from shared.worker import Identity, Worker
from tests.fixtures.spine import SUBJECTS, a_job, memory
from tests.fixtures.turns import ENSURE, RETRY, USER, WEATHER, call, say, text

STREAM = Head(status=200, worker="no-1", at=1.0, content_type="text/event-stream", provider="p1", model="m1")
PLAIN = msgspec.structs.replace(STREAM, content_type="application/json")
BUSY = msgspec.structs.replace(PLAIN, status=503)
USAGE = Usage(prompt_tokens=10, completion_tokens=5, total_tokens=15)
STOP = say({}, "stop")
CALL = call("get_weather", '{"city": "Lima"}') + say({}, "tool_calls")
BODY = {"model": "kimi", "messages": [USER], "tools": [WEATHER]}

Saying = Callable[[Worker, Job, LegWriter], Awaitable[None]]


def ended(worker: Worker, leg: LegWriter, outcome: Any = "complete", **facts: Any) -> End:
    return worker.end(leg, outcome, **{"usage": USAGE, **facts})


def says(*pieces: bytes, head: Head = STREAM, **facts: Any) -> Saying:
    async def saying(worker: Worker, job: Job, leg: LegWriter) -> None:
        await leg.head(head)
        for piece in pieces:
            await leg.data(piece)
        await leg.end(ended(worker, leg, **{"last_call": job.call, **facts}))

    return saying


@dataclass
class Work:
    """What the client and the stage behind have got."""

    jobs: list[Job] = field(default_factory=list)
    data: bytes = b""
    end: End | None = None
    cancels: list[Cancel] = field(default_factory=list)
    events: list[str] = field(default_factory=list)

    @property
    def outcome(self) -> str:
        assert self.end is not None
        return self.end.outcome


@asynccontextmanager
async def stages(server: MemoryServer, script: list[Saying], work: Work) -> AsyncIterator[tuple[Worker, Worker]]:
    """Who asks, and the enforcer; behind it a stage that speaks by the script, one entry for each job."""
    behind = Worker(MemoryBus(server), SUBJECTS, Identity(service="normalizer", instance="no-1", capacity=9))

    async def handle(job: Job, leg: LegWriter) -> None:
        work.jobs.append(job)
        await script[len(work.jobs) - 1](behind, job, leg)

    behind.craft = Craft(stage="normalize", leg="normal", handle=handle)
    asker = Worker(MemoryBus(server), SUBJECTS, Identity(service="ingress", instance="in-1", capacity=9))
    settings = load(environ={"HOME": "/nowhere", "MOONTIDE_BUS_ROOT": SUBJECTS.root}).settings
    async with behind.running(), asker.running(), enforcer(MemoryBus(server), settings) as worker:
        yield asker, worker


async def enforced(
    *script: Saying,
    enforcement: Enforcement = ENSURE,
    stream: bool = True,
    queue_timeout_s: float = 5.0,
    over: anyio.Event | None = None,
) -> Work:
    """`over` is set when the answer has its end."""
    work = Work()
    async with memory() as server, stages(server, list(script), work) as (asker, worker):
        body = json.dumps({**BODY, "stream": stream}).encode()
        job = a_job(call="c0", queue_timeout_s=queue_timeout_s)
        request = msgspec.structs.replace(job.request, body=await put_body(asker.bus, "b", body, True), stream=stream)
        job = msgspec.structs.replace(job, request=request, enforce=enforcement)
        with anyio.fail_after(10), asker.inbox.following(job.id, "c0", "out") as course:
            await asker.offer("enforce", job, course)
            while work.end is None:
                for frame in await course.frames():
                    work.data += frame.data if frame.kind == "data" else b""
                    work.end = decode(End, frame.data) if frame.kind == "end" else None
        if over is not None:
            over.set()
        with anyio.fail_after(5):
            while worker.in_flight:  # noqa: ASYNC110 - it is told on the bus a second later only
                await anyio.sleep(0.001)
        await read(asker, work)
    return work


async def read(asker: Worker, work: Work) -> None:
    for captured in await asker.bus.history(SUBJECTS.of_request("R1"), limit=10_000):
        match SUBJECTS.below_request(captured.subject)[1:]:
            case ["cancel"]:
                work.cancels.append(decode(Cancel, captured.data))
            case ["event", name]:
                decode(Event, captured.data)
                work.events.append(name)


async def test_the_next_attempt_has_the_next_free_number() -> None:
    work = await enforced(says(text("I will."), STOP, last_call="c3", calls=3), says(CALL))

    assert [job.call for job in work.jobs] == ["c1", "c4"]
    assert work.end is not None
    assert (work.end.outcome, work.end.calls, work.end.attempts) == ("complete", 4, 2)
    assert work.end.usage == Usage(prompt_tokens=20, completion_tokens=10, total_tokens=30)


async def test_who_is_asked_gets_a_job_without_these_rules() -> None:
    work = await enforced(says(CALL))
    (job,) = work.jobs

    assert (job.enforce, job.streamed, job.has_prefix) == (None, True, False)
    assert job.to.startswith("enforcer-")
    assert job.request.changes["set"] == ["messages", "tools"]


async def test_a_cancel_leaves_no_other_attempt() -> None:
    async def cancelled(worker: Worker, job: Job, leg: LegWriter) -> None:
        await worker.cancels.send(job.id, Cancel(by="operator", why="enough"))
        await says(text("I will."), STOP)(worker, job, leg)

    work = await enforced(cancelled)

    assert (work.outcome, len(work.jobs), work.events) == ("cancelled", 1, [])
    assert work.end is not None
    assert (work.end.fault and work.end.fault.code, work.end.usage) == ("cancelled", USAGE)


async def test_a_cancel_that_asks_for_an_end_is_not_one() -> None:
    async def stopped(worker: Worker, job: Job, leg: LegWriter) -> None:
        await worker.cancels.send(job.id, Cancel(by="sentinel", why="a loop", finish_reason="repeat"))
        await says(text("I will."), say({}, "repeat"), outcome="stopped", finish_reason="repeat")(worker, job, leg)

    work = await enforced(stopped)

    assert (work.outcome, work.end and work.end.finish_reason) == ("stopped", "repeat")


async def test_a_call_that_loops_is_called_off_once_and_alone() -> None:
    async def looping(worker: Worker, job: Job, leg: LegWriter) -> None:
        called_off = anyio.Event()
        with worker.cancels.watching(job.id, lambda _cancel: called_off.set(), job.call):
            await leg.head(STREAM)
            for _ in range(60):
                await leg.data(text("and once more those very same words, "))
            await called_off.wait()
        await leg.end(ended(worker, leg, "stopped", finish_reason="repeat", last_call=job.call))

    work = await enforced(looping, says(text("The end."), STOP), enforcement=RETRY)

    assert [(one.by, one.call, one.finish_reason) for one in work.cancels] == [("enforcer", "c1", "repeat")]
    assert [job.has_prefix for job in work.jobs] == [False, True]
    assert work.outcome == "complete"


@pytest.mark.parametrize("stream", [True, False])
async def test_an_answer_of_one_body_is_an_answer(stream: bool) -> None:
    message = {"role": "assistant", "content": "It is warm."}
    whole = {"id": "c", "choices": [{"index": 0, "message": message, "finish_reason": "length"}]}
    work = await enforced(says(json.dumps(whole).encode(), head=PLAIN), stream=stream)

    assert b"It is warm." in work.data
    assert work.data.startswith(b"data: ")


async def test_an_answer_too_long_to_be_kept_is_a_clear_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(enforcing, "PLAIN_BODY_BYTES", 10)
    work = await enforced(says(b'{"id": "c", "choices": []}', head=PLAIN))

    assert work.end is not None
    assert (work.end.fault and work.end.fault.code) == "answer_too_long"
    assert [one.by for one in work.cancels] == ["enforcer"]


async def test_a_void_call_is_followed_to_the_one_that_answers() -> None:
    async def void(worker: Worker, job: Job, leg: LegWriter) -> None:
        await leg.head(BUSY)
        await leg.data(b"busy")
        await leg.end(ended(worker, leg, "refused", next_call="c2"))
        leg.turn_to(SUBJECTS.leg(job.id, "c2", "normal", job.to))
        await says(CALL, last_call="c2")(worker, job, leg)

    work = await enforced(void)

    assert b"busy" not in work.data
    assert work.end is not None
    assert (work.end.outcome, work.end.calls, work.end.usage and work.end.usage.total_tokens) == ("complete", 2, 30)


async def test_what_is_asked_again_is_the_conversation_with_the_answer() -> None:
    bodies: list[Any] = []

    def reading(then: Saying) -> Saying:
        async def saying(worker: Worker, job: Job, leg: LegWriter) -> None:
            bodies.append(json.loads(await get_body(worker.bus, job.request.body)))
            await then(worker, job, leg)

        return saying

    await enforced(reading(says(text("I will."), STOP)), reading(says(CALL)))

    assert [len(body["messages"]) for body in bodies] == [2, 4]


async def test_a_broken_attempt_breaks_the_answer() -> None:
    work = await enforced(says(text("I will."), outcome="broken"))

    assert (work.outcome, work.data.count(b"[DONE]")) == ("broken", 0)


async def test_repairs_of_all_attempts_are_counted() -> None:
    work = await enforced(says(text("a"), STOP, repairs={"x": 1, "y": 1}), says(CALL, repairs={"x": 2}))

    assert work.end is not None
    assert work.end.repairs == {"x": 3, "y": 1}


async def test_a_loop_that_only_the_sentinel_saw_is_asked_again_too() -> None:
    stopped = says(text("Let me see."), say({}, "repeat"), outcome="stopped", finish_reason="repeat")
    work = await enforced(stopped, says(text("The end."), STOP), enforcement=RETRY)

    assert (work.outcome, work.events, work.cancels) == ("complete", ["re-prompted"], [])


async def test_where_the_next_stage_has_no_room_the_answer_stays_as_it_is() -> None:
    over = anyio.Event()

    async def lingering(worker: Worker, job: Job, leg: LegWriter) -> None:
        worker.identity = replace(worker.identity, capacity=1)
        await says(text("I will."), STOP)(worker, job, leg)
        await over.wait()

    work = await enforced(lingering, queue_timeout_s=0.05, over=over)

    assert work.end is not None
    assert (work.end.outcome, work.end.unmet, len(work.jobs)) == ("complete", "ensure_tool_call", 1)
    assert b"[DONE]" in work.data
