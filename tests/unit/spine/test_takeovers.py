"""Workers that die: their jobs go on elsewhere. On a bus in memory, with deaths at chosen places."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import anyio
import msgspec
import pytest

from shared import resuming, takeovers, vitals
from shared import worker as worker_module
from shared.bus import BusUnavailable, Subscription
from shared.bus.memory import MemoryBus, MemoryServer
from shared.contracts import Cancel, End, Event, Head, Job, decode
from shared.course import Course
from shared.jobs import Craft
from shared.legs import Frame, LegWriter
from shared.takeovers import MOST_TAKEOVERS
from shared.worker import Identity, Worker
from tests.fixtures.spine import END, HEAD, SUBJECTS, a_job, memory

PATIENCE_S = 30.0
TEXT = [b"one ", b"two ", b"three ", b"four"]


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker_module, "LOOK_S", 0.01)
    monkeypatch.setattr(vitals, "PAUSE_S", 0.0)
    monkeypatch.setattr(vitals, "ANSWER_WITHIN_S", 0.05)
    monkeypatch.setattr(resuming, "HELD_WITHIN_S", 0.05)
    monkeypatch.setattr(takeovers, "SEW_PAUSE_S", 0.01)


@dataclass
class Cast:
    """A source that the raw legs come from, copiers between it and the receiver, which is this test's worker."""

    server: MemoryServer
    receiver: Worker
    jobs: list[Job] = field(default_factory=list)  # that the source was offered
    resumed: list[Job] = field(default_factory=list)  # that copiers were offered, where one had died
    gates: dict[int, anyio.Event] = field(default_factory=dict)  # before which piece the source waits

    def open(self, at: int) -> None:
        self.gates[at].set()

    async def kill(self, worker: Worker) -> None:
        """Its subscriptions are gone, and whatever it publishes reaches nobody."""
        assert isinstance(worker.bus, MortalBus)
        await worker.bus.die()

    def events(self) -> list[tuple[str, Event]]:
        found = [c for c in self.server.captured if ".event." in c.subject]
        return [(c.subject.rpartition(".")[2], decode(Event, c.data)) for c in found]


class MortalBus(MemoryBus):
    def __init__(self, server: MemoryServer) -> None:
        super().__init__(server)
        self._mine: list[Subscription] = []
        self.is_dead = False

    async def subscribe(self, subject, handler, queue=""):  # type: ignore[no-untyped-def]
        made = await super().subscribe(subject, handler, queue)
        self._mine.append(made)
        return made

    async def publish(self, subject: str, data: bytes, headers: dict[str, str] | None = None) -> None:
        if not self.is_dead:
            await super().publish(subject, data, headers)

    async def die(self) -> None:
        self.is_dead = True
        for subscription in self._mine:
            await subscription.leave()


def copier(cast: Cast, instance: str) -> Worker:
    """A middle stage: what it gets it hands on, frame by frame."""

    async def handle(job: Job, leg: LegWriter) -> None:
        if job.resume is not None:
            cast.resumed.append(job)
        with worker.following(job, "raw") as course:
            asked = msgspec.structs.replace(job, to=worker.instance)
            await worker.offer("upstream", asked, course)
            await copy(worker, job, course, leg)

    craft = Craft(stage="normalize", leg="normal", handle=handle)
    identity = Identity(service="normalizer", instance=instance, capacity=8)
    worker = Worker(MortalBus(cast.server), SUBJECTS, identity, craft, drain_s=0.0)
    return worker


async def copy(worker: Worker, job: Job, course: Course, leg: LegWriter) -> None:
    while True:
        for frame in await course.frames():
            if frame.kind == "data":
                await leg.data(frame.data)
            elif frame.kind == "head":
                await leg.head(decode(Head, frame.data))
            else:
                end = decode(End, frame.data)
                await worker.event(job.id, "copied", job.call)
                await leg.end(end)
                if end.next_call is None:
                    return
                leg.turn_to(SUBJECTS.leg(job.id, end.next_call, "normal", job.to))


def source(cast: Cast, instance: str) -> Worker:
    async def handle(job: Job, leg: LegWriter) -> None:
        cast.jobs.append(job)
        if job.resume is not None:
            await leg.end(msgspec.structs.replace(END, outcome="lost", next_call="c2", continued=True))
            leg.turn_to(SUBJECTS.leg(job.id, "c2", "raw", job.to))
        await leg.head(HEAD)
        for at, piece in enumerate(TEXT):
            if job.resume is None and at in cast.gates:
                await cast.gates[at].wait()
            await leg.data(piece)
        if job.resume is None and len(TEXT) in cast.gates:
            await cast.gates[len(TEXT)].wait()
        await leg.end(END)

    craft = Craft(stage="upstream", leg="raw", handle=handle, stops_on_cancel=True)
    identity = Identity(service="upstream", instance=instance, capacity=8)
    return Worker(MortalBus(cast.server), SUBJECTS, identity, craft, drain_s=0.0)


@asynccontextmanager
async def cast(*gates: int) -> AsyncIterator[Cast]:
    async with memory() as server:
        receiver = Worker(MemoryBus(server), SUBJECTS, Identity(service="ingress", instance="in-1", capacity=8))
        async with receiver.running():
            yield Cast(server, receiver, gates={at: anyio.Event() for at in gates})


@asynccontextmanager
async def all_running(*workers: Worker) -> AsyncIterator[None]:
    if not workers:
        yield
        return
    async with workers[0].running(), all_running(*workers[1:]):
        await anyio.wait_all_tasks_blocked()
        yield


def one(workers: list[Worker], instance: str | None) -> Worker:
    return next(worker for worker in workers if worker.instance == instance)


async def another(course: Course, victim: Worker) -> None:
    """Returns as soon as somebody else makes the leg."""
    while course.producer in (None, victim.instance):  # noqa: ASYNC110
        await anyio.sleep(0.001)


async def until_data(course: Course, count: int) -> list[Frame]:
    """Frames, until so many of them are data."""
    found: list[Frame] = []
    while sum(frame.kind == "data" for frame in found) < count:
        found += await course.frames()
    return found


async def rest_of(course: Course) -> list[Frame]:
    found: list[Frame] = []
    while not found or found[-1].kind != "end" or decode(End, found[-1].data).next_call is not None:
        found += await course.frames()
    return found


def text(frames: list[Frame]) -> bytes:
    return b"".join(frame.data for frame in frames if frame.kind == "data")


def last_end(frames: list[Frame]) -> End:
    return decode(End, frames[-1].data)


@pytest.mark.parametrize("at", range(len(TEXT) + 1))
async def test_a_leg_goes_on_wherever_its_maker_dies(at: int) -> None:
    async with cast(at) as it:
        copiers = [copier(it, f"normalizer-{number}") for number in (1, 2)]
        async with all_running(source(it, "upstream-1"), *copiers):
            with it.receiver.following(a_job(), "normal") as course, anyio.fail_after(PATIENCE_S):
                await it.receiver.offer("normalize", a_job(), course)
                before = await until_data(course, at)
                await anyio.wait_all_tasks_blocked()
                victim = one(copiers, course.producer)
                await it.kill(victim)
                await another(course, victim)
                it.open(at)
                after = await rest_of(course)

        assert text(before + after) == b"".join(TEXT)
        assert [frame.kind for frame in before + after].count("head") == 1
        assert last_end(after).outcome == "complete"
        assert len(it.jobs) == 1  # the source was asked once
        assert [name for name, _ in it.events()].count("taken-over") == 1


async def test_what_is_told_of_a_takeover() -> None:
    async with cast(2) as it:
        copiers = [copier(it, f"normalizer-{number}") for number in (1, 2)]
        async with all_running(source(it, "upstream-1"), *copiers):
            with it.receiver.following(a_job(), "normal") as course, anyio.fail_after(PATIENCE_S):
                await it.receiver.offer("normalize", a_job(), course)
                await until_data(course, 2)
                victim = one(copiers, course.producer)
                await it.kill(victim)
                await another(course, victim)
                heir = course.producer
                it.open(2)
                await rest_of(course)
        event = next(event for name, event in it.events() if name == "taken-over")

        assert event.worker == "in-1"
        assert event.facts == {"stage": "normalize", "from": victim.instance, "to": heir, "frames": 3}


async def test_deaths_are_taken_over_again_and_again_but_not_for_ever() -> None:
    async with cast(2) as it:
        copiers = [copier(it, f"normalizer-{number}") for number in range(MOST_TAKEOVERS + 2)]
        async with all_running(source(it, "upstream-1"), *copiers):
            with it.receiver.following(a_job(), "normal") as course, anyio.fail_after(PATIENCE_S):
                await it.receiver.offer("normalize", a_job(), course)
                before = await until_data(course, 2)
                for _ in range(MOST_TAKEOVERS):
                    victim = one(copiers, course.producer)
                    await it.kill(victim)
                    await another(course, victim)
                await it.kill(one(copiers, course.producer))
                after = await rest_of(course)

        fault = last_end(after).fault
        assert text(before + after) == b"".join(TEXT[:2])
        assert fault is not None
        assert (fault.code, f"{MOST_TAKEOVERS} had died before" in fault.message) == ("worker_lost", True)
        assert {job.resume.address for job in it.resumed if job.resume} == {it.jobs[0].to}  # always the first one's


async def test_with_nobody_left_the_leg_ends_with_what_was_missing() -> None:
    async with cast(2) as it:
        only = copier(it, "normalizer-1")
        async with all_running(source(it, "upstream-1"), only):
            job = a_job(queue_timeout_s=0.05)
            with it.receiver.following(job, "normal") as course, anyio.fail_after(PATIENCE_S):
                await it.receiver.offer("normalize", job, course)
                await until_data(course, 2)
                await it.kill(only)
                fault = last_end(await rest_of(course)).fault

        assert fault is not None
        assert (fault.code, fault.status) == ("no_capacity", 503)
        assert "normalizer-1 died" in fault.message


async def test_what_the_dead_one_had_told_is_not_told_again() -> None:
    async with cast(len(TEXT)) as it:
        copiers = [copier(it, f"normalizer-{number}") for number in (1, 2)]
        async with all_running(source(it, "upstream-1"), *copiers):
            with it.receiver.following(a_job(), "normal") as course, anyio.fail_after(PATIENCE_S):
                await it.receiver.offer("normalize", a_job(), course)
                await until_data(course, 4)
                victim = one(copiers, course.producer)
                await victim.event("R1", "copied", "c1")
                await it.kill(victim)
                await another(course, victim)
                it.open(len(TEXT))
                await rest_of(course)
                await anyio.wait_all_tasks_blocked()

        assert [name for name, _ in it.events()].count("copied") == 1


async def test_another_worker_whose_output_differs_ends_the_leg() -> None:
    async with cast(2) as it:
        honest, other = copier(it, "normalizer-1"), copier(it, "normalizer-2")
        async with all_running(source(it, "upstream-1"), honest):
            with it.receiver.following(a_job(), "normal") as course, anyio.fail_after(PATIENCE_S):
                await it.receiver.offer("normalize", a_job(), course)
                before = await until_data(course, 2)
                await it.kill(honest)

                async def differs(job: Job, leg: LegWriter) -> None:
                    await leg.head(HEAD)
                    await leg.data(b"something else entirely")
                    await leg.end(END)

                other.craft = Craft(stage="normalize", leg="normal", handle=differs)
                async with all_running(other):
                    after = await rest_of(course)

        fault = last_end(after).fault
        assert text(before + after) == b"".join(TEXT[:2])
        assert fault is not None
        assert fault.code == "takeover_differs"


async def test_frames_that_are_not_in_the_capture_stream_any_more_end_the_leg() -> None:
    async with cast(2) as it:
        copiers = [copier(it, f"normalizer-{number}") for number in (1, 2)]
        async with all_running(source(it, "upstream-1"), *copiers):
            with it.receiver.following(a_job(), "normal") as course, anyio.fail_after(PATIENCE_S):
                await it.receiver.offer("normalize", a_job(), course)
                await until_data(course, 2)
                it.server.captured = [one for one in it.server.captured if ".normal." not in one.subject]
                await it.kill(one(copiers, course.producer))
                fault = last_end(await rest_of(course)).fault

        assert fault is not None
        assert (fault.code, "capture stream" in fault.message) == ("worker_lost", True)


async def test_a_course_that_is_over_is_not_taken_over() -> None:
    async with cast(2) as it:
        copiers = [copier(it, f"normalizer-{number}") for number in (1, 2)]
        async with all_running(source(it, "upstream-1"), *copiers):
            with it.receiver.following(a_job(), "normal") as course, anyio.fail_after(PATIENCE_S):
                await it.receiver.offer("normalize", a_job(), course)
                await until_data(course, 2)
                await it.kill(one(copiers, course.producer))
            await it.receiver._takeovers.replace(course)

        assert it.resumed == []


# -- a stage whose work can't be done again


async def test_a_source_that_dies_is_gone_on_from_by_another_call() -> None:
    async with cast(2) as it:
        sources = [source(it, f"upstream-{number}") for number in (1, 2)]
        async with all_running(*sources):
            with it.receiver.following(a_job(), "raw") as course, anyio.fail_after(PATIENCE_S):
                await it.receiver.offer("upstream", a_job(), course)
                before = await until_data(course, 2)
                await it.kill(one(sources, course.producer))
                after = await rest_of(course)
        resume = it.jobs[1].resume

        assert resume is not None
        assert (resume.call, resume.frames, resume.worker) == ("c1", 3, it.jobs[0].to and resume.worker)
        assert text(before + after) == b"".join([*TEXT[:2], *TEXT])
        assert course.call == "c2"
        first_end = next(frame for frame in after if frame.kind == "end")
        assert decode(End, first_end.data).takes_over == resume.worker


async def test_a_copier_and_its_source_may_die_together() -> None:
    async with cast(2) as it:
        copiers = [copier(it, f"normalizer-{number}") for number in (1, 2)]
        sources = [source(it, f"upstream-{number}") for number in (1, 2)]
        async with all_running(*sources, *copiers):
            with it.receiver.following(a_job(), "normal") as course, anyio.fail_after(PATIENCE_S):
                await it.receiver.offer("normalize", a_job(), course)
                before = await until_data(course, 2)
                victim = one(copiers, course.producer)
                await it.kill(one(sources, victim.inbox.courses()[0].producer))
                await it.kill(victim)
                after = await rest_of(course)

        assert text(before + after) == b"".join([*TEXT[:2], *TEXT])
        assert {name for name, _ in it.events()} >= {"taken-over"}


# -- and the ingress


async def test_without_its_ingress_a_request_is_called_off_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shared.roster.GONE_AFTER_S", 0.0)
    async with cast(2) as it:
        job = msgspec.structs.replace(a_job(), origin="ingress-dead")
        async with all_running(source(it, "upstream-1")):
            with it.receiver.following(job, "raw") as course, anyio.fail_after(PATIENCE_S):
                await it.receiver.bus.publish(
                    SUBJECTS.worker("ingress", "ingress-dead"),
                    b'{"type":"heartbeat.v1","service":"ingress","instance":"ingress-dead","version":"1","pid":1,'
                    b'"host":"h","at":1,"started_at":0,"in_flight":0,"capacity":1,"answers_pings":true}',
                )
                await it.receiver.offer("upstream", job, course)
                frames = await rest_of(course)
            await anyio.sleep(0.05)
        cancels = [decode(Cancel, c.data) for c in it.server.captured if c.subject.endswith(".cancel")]

        assert last_end(frames).outcome == "cancelled"
        assert len(cancels) == 1
        assert "ingress-dead" in cancels[0].why


async def test_a_takeover_that_fails_ends_its_leg_and_not_the_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    async def fails(*_args: object) -> None:
        raise ValueError("out of luck")

    monkeypatch.setattr(takeovers, "offer", fails)
    async with cast(2) as it:
        copiers = [copier(it, f"normalizer-{number}") for number in (1, 2)]
        async with all_running(source(it, "upstream-1"), *copiers):
            with it.receiver.following(a_job(), "normal") as course, anyio.fail_after(PATIENCE_S):
                await it.receiver.offer("normalize", a_job(), course)
                await until_data(course, 2)
                await it.kill(one(copiers, course.producer))
                fault = last_end(await rest_of(course)).fault

        assert fault is not None
        assert (fault.code, "out of luck" in fault.message) == ("worker_lost", True)


async def test_a_takeover_that_cannot_be_told_of_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    async with cast(2) as it:

        async def untold(*_args: object) -> None:
            raise BusUnavailable("away")

        monkeypatch.setattr(it.receiver._takeovers, "_tell", untold)
        copiers = [copier(it, f"normalizer-{number}") for number in (1, 2)]
        async with all_running(source(it, "upstream-1"), *copiers):
            with it.receiver.following(a_job(), "normal") as course, anyio.fail_after(PATIENCE_S):
                await it.receiver.offer("normalize", a_job(), course)
                before = await until_data(course, 2)
                victim = one(copiers, course.producer)
                await it.kill(victim)
                await another(course, victim)
                it.open(2)
                after = await rest_of(course)

        assert text(before + after) == b"".join(TEXT)


async def test_an_event_that_nobody_of_ours_told_is_read_over() -> None:
    async with cast(2) as it:
        copiers = [copier(it, f"normalizer-{number}") for number in (1, 2)]
        async with all_running(source(it, "upstream-1"), *copiers):
            await it.receiver.bus.publish(SUBJECTS.event("R1", "strange"), b"no JSON")
            with it.receiver.following(a_job(), "normal") as course, anyio.fail_after(PATIENCE_S):
                await it.receiver.offer("normalize", a_job(), course)
                before = await until_data(course, 2)
                victim = one(copiers, course.producer)
                await it.kill(victim)
                await another(course, victim)
                it.open(2)

                assert text(before + await rest_of(course)) == b"".join(TEXT)
