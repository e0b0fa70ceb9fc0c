"""A worker's life: capacity, ends, heartbeats and drain."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

import anyio
import pytest

from shared import worker as worker_module
from shared.bus import BusUnavailable, Delivery, NoResponders
from shared.bus.memory import MemoryBus, MemoryServer, _Message
from shared.contracts import Accepted, Cancel, End, Event, Fault, Heartbeat, Job, decode, encode
from shared.errors import Refused, Unavailable
from shared.inbox import Inbox
from shared.legs import FramesLost, LegWriter
from shared.offers import offer
from shared.worker import Worker
from tests.fixtures.buses import Ear
from tests.fixtures.spine import END, HEAD, SUBJECTS, Handle, a_job, a_worker, memory

WORK = SUBJECTS.work("upstream")
CLIENT_LEFT = Cancel(by="client", why="gone")


@dataclass
class Stage:
    """A worker on a bus, and an inbox that receives what it answers."""

    server: MemoryServer
    bus: MemoryBus
    worker: Worker
    inbox: Inbox

    async def offer(self, id: str = "R1", queue_timeout_s: float = 5.0) -> Accepted:
        return await offer(self.bus, SUBJECTS, "upstream", a_job(id, queue_timeout_s=queue_timeout_s))

    async def ends(self, id: str = "R1") -> list[End]:
        """The ends that the worker published for a request, once it has nothing in hand."""
        with anyio.fail_after(5):
            while self.worker.in_flight:
                await anyio.lowlevel.checkpoint()
        history = await self.bus.history(f"{SUBJECTS.leg(id, 'c1', 'raw', 'in-1')}.end")
        return [decode(End, one.data) for one in history]


@asynccontextmanager
async def stage(handle: Handle, capacity: int = 8, stops: bool = False, drain_s: float = 5.0) -> AsyncIterator[Stage]:
    async with memory() as server:
        bus = MemoryBus(server)
        worker = a_worker(bus, handle, capacity=capacity, stops=stops, drain_s=drain_s)
        async with worker.running():
            await anyio.wait_all_tasks_blocked()
            yield Stage(server, bus, worker, worker.inbox)


async def answer(_job: Job, leg: LegWriter) -> None:
    await leg.head(HEAD)
    await leg.data(b"text")
    await leg.end(END)


class Held:
    """A handler that waits until it is told to go on."""

    def __init__(self) -> None:
        self.gate = anyio.Event()
        self.begun: list[str] = []

    async def __call__(self, job: Job, leg: LegWriter) -> None:
        self.begun.append(job.id)
        await self.gate.wait()
        await answer(job, leg)


# -- exactly one end


async def test_a_handlers_own_end_is_the_only_one() -> None:
    async with stage(answer) as it:
        await it.offer()

        assert await it.ends() == [END]


async def nothing(_job: Job, _leg: LegWriter) -> None:
    return


async def head_only(_job: Job, leg: LegWriter) -> None:
    await leg.head(HEAD)


async def end_and_raise(job: Job, leg: LegWriter) -> None:
    await answer(job, leg)
    raise ValueError("after all was said")


def raising(error: Exception, started: bool = False) -> Handle:
    async def handle(_job: Job, leg: LegWriter) -> None:
        if started:
            await leg.head(HEAD)
        raise error

    return handle


FAULT = Fault(status=429, code="slow_down", message="Slow down.")


@pytest.mark.parametrize(
    ("handle", "outcome", "code"),
    [
        (nothing, "refused", "worker_stopped"),
        (head_only, "broken", "worker_stopped"),
        (end_and_raise, "complete", None),
        (raising(ValueError("a defect")), "refused", "worker_failed"),
        (raising(ValueError("a defect"), started=True), "broken", "worker_failed"),
        (raising(Refused(FAULT)), "refused", "slow_down"),
        (raising(Unavailable(FAULT)), "refused", "slow_down"),
        (raising(FramesLost("frame 3")), "refused", "frames_lost"),
        (raising(BusUnavailable("away")), "refused", "bus_unavailable"),
    ],
)
async def test_a_leg_has_one_end_whatever_its_handler_does(handle: Handle, outcome: str, code: str | None) -> None:
    async with stage(handle) as it:
        await it.offer()
        ends = await it.ends()

    assert [(end.outcome, end.fault and end.fault.code) for end in ends] == [(outcome, code)]


async def test_an_end_that_is_too_large_for_the_bus_is_followed_by_one_that_fits() -> None:
    async def handle(_job: Job, leg: LegWriter) -> None:
        await leg.head(HEAD)
        fault = Fault(status=502, code="provider_error", message="", body="x" * 4000)
        await leg.end(End(outcome="broken", worker="up-1", at=1.0, fault=fault))

    async with stage(handle) as it:
        it.server.max_payload = 3000
        await it.offer()
        ends = await it.ends()

    assert [(end.outcome, end.fault and end.fault.code) for end in ends] == [("broken", "bus_unavailable")]


async def test_a_worker_serves_on_after_a_handler_that_failed() -> None:
    async with stage(raising(ValueError("a defect"))) as it:
        for id in ("R1", "R2"):
            await it.offer(id)

        assert [len(await it.ends(id)) for id in ("R1", "R2")] == [1, 1]


async def test_an_end_says_what_came_until_then() -> None:
    async def handle(_job: Job, leg: LegWriter) -> None:
        await leg.head(HEAD)
        await leg.data(b"abc")
        await leg.data(b"de")

    async with stage(handle) as it:
        await it.offer()
        end = (await it.ends())[0]

    assert (end.body_bytes, end.frames, end.worker) == (5, 2, "up-1")


# -- cancels


async def test_a_cancel_stops_the_handler_and_the_leg_says_so() -> None:
    held = Held()
    async with stage(held, stops=True) as it:
        await it.offer()
        await it.worker.cancels.send("R1", CLIENT_LEFT)
        await anyio.wait_all_tasks_blocked()
        ends = await it.ends()

    assert [(end.outcome, end.fault) for end in ends] == [
        ("cancelled", Fault(status=499, code="cancelled", message="Cancelled by client: gone"))
    ]


async def test_a_cancel_that_comes_before_its_job_stops_it_too() -> None:
    held = Held()
    async with stage(held, stops=True) as it:
        await it.worker.cancels.send("R1", CLIENT_LEFT)
        await anyio.wait_all_tasks_blocked()
        await it.offer()

        assert [end.outcome for end in await it.ends()] == ["cancelled"]


async def test_a_cancel_after_the_end_changes_nothing() -> None:
    async with stage(answer, stops=True) as it:
        await it.offer()
        await it.ends()
        await it.worker.cancels.send("R1", CLIENT_LEFT)
        await anyio.wait_all_tasks_blocked()

        assert await it.ends() == [END]


async def test_a_stage_that_ends_with_the_one_before_it_is_not_stopped() -> None:
    held = Held()
    async with stage(held, stops=False) as it:
        await it.offer()
        await it.worker.cancels.send("R1", CLIENT_LEFT)
        await anyio.wait_all_tasks_blocked()
        held.gate.set()

        assert await it.ends() == [END]


# -- capacity


async def test_a_full_worker_leaves_the_queue_group_and_comes_back() -> None:
    held = Held()
    async with stage(held, capacity=2) as it:
        for id in ("R1", "R2"):
            await it.offer(id)
        await anyio.wait_all_tasks_blocked()
        with pytest.raises(NoResponders):
            await it.bus.request(WORK, encode(a_job("R3")), 1.0)
        held.gate.set()
        accepted = await it.offer("R3")

        assert (accepted.worker, held.begun) == ("up-1", ["R1", "R2", "R3"])


async def test_an_offer_that_was_on_its_way_to_a_full_worker_is_answered_busy() -> None:
    held = Held()
    async with stage(held, capacity=1) as it:
        answers: list[bool] = []

        async def ask(id: str) -> None:
            reply = decode(Accepted, await it.bus.request(WORK, encode(a_job(id)), 5.0))
            answers.append(reply.busy)

        async with anyio.create_task_group() as tasks:
            for id in ("R1", "R2", "R3"):
                tasks.start_soon(ask, id)
        held.gate.set()

        assert sorted(answers) == [False, True, True]
        assert len(held.begun) == 1


async def test_a_job_waits_in_the_queue_until_there_is_room() -> None:
    held = Held()
    async with stage(held, capacity=1) as it, anyio.create_task_group() as tasks:
        await it.offer("R1")

        async def wait() -> None:
            await it.offer("R2", queue_timeout_s=5)

        tasks.start_soon(wait)
        await anyio.sleep(0.02)
        waiting = list(held.begun)
        held.gate.set()
        with anyio.fail_after(5):
            while len(held.begun) < 2:  # noqa: ASYNC110 - an offer is tried again after a pause
                await anyio.sleep(0.005)

        assert waiting == ["R1"]


async def test_an_acceptance_that_cannot_be_sent_takes_no_place() -> None:
    async with stage(answer, capacity=1) as it:
        it.server.max_payload = 10
        it.server.route(_offered(a_job("R1"), reply="_INBOX.gone"))
        await anyio.wait_all_tasks_blocked()

        assert it.worker.in_flight == 0


def _offered(job: Job, reply: str) -> _Message:
    return _Message(WORK, encode(job), reply)


async def test_a_job_is_accepted_before_anything_is_done_for_it() -> None:
    async with stage(answer) as it:
        heard: list[str] = []

        async def hear(message: Delivery) -> None:
            heard.append(message.subject.rpartition(".")[2])

        await it.bus.subscribe("spine.>", hear)
        it.server.route(_offered(a_job("R1"), reply="spine.accepted"))
        await anyio.wait_all_tasks_blocked()

        assert heard == ["upstream", "accepted", "head", "data", "end"]


async def test_nothing_is_done_of_a_job_whose_acceptance_cannot_be_sent() -> None:
    begun: list[str] = []

    async def handle(job: Job, _leg: LegWriter) -> None:
        begun.append(job.id)

    async with stage(handle) as it:
        it.server.max_payload = 10
        it.server.route(_offered(a_job("R1"), reply="_INBOX.gone"))
        await anyio.wait_all_tasks_blocked()
        it.server.max_payload = 1000
        await it.offer("R1")
        await anyio.wait_all_tasks_blocked()

        assert begun == ["R1"]


async def test_a_job_that_is_offered_again_because_its_acceptance_came_late_is_done_once() -> None:
    begun: list[str] = []
    release = anyio.Event()

    async def handle(job: Job, leg: LegWriter) -> None:
        begun.append(job.id)
        await release.wait()
        await answer(job, leg)

    async with stage(handle) as it:
        first, second = await it.offer("R1"), await it.offer("R1")
        await anyio.wait_all_tasks_blocked()
        in_flight = it.worker.in_flight
        release.set()
        ends = await it.ends("R1")

        assert (first, begun, in_flight, len(ends)) == (second, ["R1"], 1, 1)


async def test_a_job_that_cannot_be_read_is_answered_with_a_fault() -> None:
    async with stage(answer) as it:
        reply = decode(Accepted, await it.bus.request(WORK, b'{"type":"job.v9"}', 5.0))
        in_flight = it.worker.in_flight

        assert (reply.fault and reply.fault.code, reply.worker, in_flight) == ("unreadable_job", "up-1", 0)
        assert (await it.offer("R1")).worker == "up-1"


# -- heartbeats


async def test_a_worker_beats_when_it_starts_and_each_second(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker_module, "BEAT_S", 0.01)
    async with memory() as server:
        bus, ear = MemoryBus(server), Ear()
        await bus.subscribe(SUBJECTS.workers, ear)
        async with a_worker(bus, answer, capacity=3).running():
            beat = decode(Heartbeat, (await ear.until(3))[0])

        assert (beat.service, beat.instance, beat.capacity, beat.in_flight) == ("upstream", "up-1", 3, 0)
        assert ear.heard[0].subject == SUBJECTS.worker("upstream", "up-1")
        assert beat.draining is False


async def test_a_worker_hears_the_others() -> None:
    async with memory() as server:
        bus = MemoryBus(server)
        async with (
            a_worker(bus, answer, instance="up-1").running() as one,
            a_worker(bus, answer, instance="up-2").running(),
        ):
            await anyio.wait_all_tasks_blocked()

            assert sorted(beat.instance for beat in one.roster.live()) == ["up-1", "up-2"]


async def test_a_newcomer_need_not_wait_for_the_others_next_beat(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker_module, "BEAT_S", 3600.0)
    async with memory() as server:
        bus = MemoryBus(server)
        async with a_worker(bus, answer, instance="up-1").running():
            await anyio.wait_all_tasks_blocked()
            async with a_worker(bus, answer, instance="up-2").running() as newcomer:
                with anyio.fail_after(5):
                    while len(newcomer.roster.live()) < 2:  # noqa: ASYNC110 - a heartbeat changes it
                        await anyio.sleep(0.005)

                assert {beat.instance for beat in newcomer.roster.live()} == {"up-1", "up-2"}


async def test_a_heartbeat_that_cannot_be_read_is_put_aside() -> None:
    async with stage(answer) as it:
        await it.bus.publish(SUBJECTS.worker("upstream", "up-9"), b"boom")
        await anyio.wait_all_tasks_blocked()

        assert [beat.instance for beat in it.worker.roster.live()] == ["up-1"]


async def test_a_beat_that_the_bus_does_not_take_is_only_logged(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker_module, "BEAT_S", 0.005)
    async with stage(answer) as it:
        before, it.server.max_payload = it.server.max_payload, 10
        await anyio.sleep(0.02)
        it.server.max_payload = before

        assert (await it.offer()).worker == "up-1"


# -- drain


async def drain(block: AbstractAsyncContextManager[Stage], then: Callable[[Stage], None] | None = None) -> Stage:
    """Takes one job, then leaves the block: `then` runs while the worker drains."""
    async with AsyncExitStack() as stack:
        it = await stack.enter_async_context(block)
        await it.offer()
        await anyio.wait_all_tasks_blocked()
        if then is not None:
            it.worker.start_soon(_while_draining, it, then)
    return it


async def _while_draining(it: Stage, then: Callable[[Stage], None]) -> None:
    while not it.worker.is_draining:  # noqa: ASYNC110 - the block is left by the test itself
        await anyio.sleep(0.001)
    then(it)


async def test_a_draining_worker_finishes_what_it_has() -> None:
    held = Held()
    it = await drain(stage(held), lambda _it: held.gate.set())

    assert await it.ends() == [END]


async def test_a_draining_worker_is_out_of_the_queue_and_says_so() -> None:
    held = Held()
    members: list[int] = []

    def look(it: Stage) -> None:
        members.append(sum(s.queue == "upstream" for s in it.server.subscriptions))
        held.gate.set()

    it = await drain(stage(held), lambda it: it.worker.start_soon(_settled, it, look))
    await it.ends()

    assert members == [0]
    assert it.worker.roster.has("upstream") is False


async def _settled(it: Stage, look: Callable[[Stage], None]) -> None:
    await anyio.sleep(0.01)
    look(it)


async def test_at_the_drain_deadline_what_is_left_ends_with_a_fault() -> None:
    it = await drain(stage(Held(), drain_s=0.02))
    ends = await it.ends()

    assert [(end.outcome, end.fault and end.fault.code) for end in ends] == [("refused", "worker_stopped")]
    assert it.worker.in_flight == 0


async def test_an_idle_worker_drains_at_once() -> None:
    began = anyio.current_time()
    async with stage(answer):
        pass

    assert anyio.current_time() - began < 1


# -- what it offers to its handlers


async def test_a_worker_appoints_whoever_took_its_job() -> None:
    async with stage(answer) as it:
        with it.worker.following(a_job(), "raw") as course:
            await it.worker.offer("upstream", a_job(), course)

            assert course.producer == "up-1"


async def test_an_event_is_a_fact_below_its_request() -> None:
    async with stage(answer) as it:
        await it.worker.event("R1", "repaired", "c1", markers=2)
        found = (await it.bus.history(SUBJECTS.event("R1", "repaired")))[0]
        event = decode(Event, found.data)

        assert (event.worker, event.call, event.facts) == ("up-1", "c1", {"markers": 2})


async def test_after_a_lost_connection_a_worker_looks_for_missed_frames() -> None:
    async with stage(answer) as it:
        with it.inbox.following("R9", "c1", "raw") as course:
            it.server.drop = lambda _subject: True
            writer = LegWriter(it.bus, SUBJECTS.leg("R9", "c1", "raw", "up-1"), "other")
            await writer.head(HEAD)
            it.bus.reconnect()
            await anyio.wait_all_tasks_blocked()

            assert [frame.kind for frame in await course.reader.frames()] == ["head"]


async def test_a_worker_without_a_craft_takes_no_jobs() -> None:
    async with memory() as server:
        bus = MemoryBus(server)
        worker = Worker(bus, SUBJECTS, worker_module.Identity(service="ingress", instance="in-1", capacity=1))
        async with worker.running():
            worker.began()
            worker.finished()
            with pytest.raises(NoResponders):
                await bus.request(WORK, encode(a_job()), 1.0)


async def test_a_message_without_a_reply_subject_does_no_harm() -> None:
    async def quiet(_message: Delivery) -> None:
        return

    async with stage(answer) as it:
        await it.bus.publish(WORK, encode(a_job("R1")))

        assert len(await it.ends("R1")) <= 1
