"""A job that a dead worker had, in the hands of the one that takes it over.

What was addressed to the dead one is read on under its address: first out of the capture stream, then as it comes, so
that whoever makes it needs to know nothing of it. Whatever the dead one had already asked for is not asked for again,
and what it had told is not told again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec
import structlog

from shared.bus import Bus, BusUnavailable, Delivery, NoReply, NoResponders
from shared.contracts import Accepted, Event, Job, decode, encode
from shared.course import Course
from shared.ids import service_of
from shared.inbox import Inbox
from shared.subjects import ONCE_ONLY, Stage, Subjects

HELD_WITHIN_S = 0.5  # a worker that has a job in hand says so within a few milliseconds

log = structlog.get_logger("takeover")


def job_key(job: Job) -> bytes:
    return f"{job.id} {job.call}".encode()


async def holder_of(bus: Bus, subjects: Subjects, stage: Stage, job: Job) -> str | None:
    """The worker that has the job in hand; None where nobody says so."""
    try:
        return decode(Accepted, await bus.request(subjects.held(stage), job_key(job), HELD_WITHIN_S)).worker
    except (NoResponders, NoReply, BusUnavailable, msgspec.DecodeError):
        return None


async def is_under_way(bus: Bus, subjects: Subjects, stage: Stage, job: Job, course: Course) -> bool:
    """Whether the dead worker had found somebody for this part of the job; the course then has its producer."""
    for _ in range(2):  # one who has just finished has nothing in hand, and everything is in the capture stream
        await course.reader.catch_up()
        if course.producer is not None:
            return True
        holder = await holder_of(bus, subjects, stage, job)
        if holder is not None:
            course.appoint(holder)
            return True
    return False


class Resuming:
    """The jobs of dead workers that one worker goes on with."""

    def __init__(self, bus: Bus, subjects: Subjects, inbox: Inbox) -> None:
        self._bus = bus
        self._subjects = subjects
        self._inbox = inbox
        self._in_hand: dict[bytes, Job] = {}
        self._orphans: set[bytes] = set()  # jobs in hand whose request was called off for want of its ingress
        self._told: dict[str, Counter[tuple[str, str | None]]] = {}  # by request: name and call of each event

    async def listen(self, stage: Stage, instance: str) -> None:
        """Says from here on which of the stage's jobs this worker has in hand."""

        async def answer(message: Delivery) -> None:
            if message.data in self._in_hand:
                await self._bus.publish(message.reply, encode(Accepted(worker=instance)))

        await self._bus.subscribe(self._subjects.held(stage), answer)

    def take(self, job: Job) -> bool:
        """The job is in hand; whether it wasn't already."""
        return self._in_hand.setdefault(job_key(job), job) is job

    def let_go(self, job: Job) -> None:
        self._in_hand.pop(job_key(job), None)
        self._orphans.discard(job_key(job))

    @property
    def origins(self) -> set[str]:
        """The ingresses whose requests are in hand."""
        return {job.origin for job in self._in_hand.values() if job.origin is not None}

    def orphaned(self, origin: str) -> list[Job]:
        """The jobs in hand that came in there; each is told of once."""
        jobs = [job for key, job in self._in_hand.items() if job.origin == origin and key not in self._orphans]
        self._orphans.update(map(job_key, jobs))
        return jobs

    @asynccontextmanager
    async def taken_over(self, stage: Stage, job: Job) -> AsyncIterator[None]:
        """The frames addressed to the one who had the job first are received while the block lasts."""
        if job.resume is None or stage in ONCE_ONLY:
            yield
            return
        subscription = await self._inbox.adopt(job.id, job.resume.address)
        await self.recall(job.id, service_of(job.resume.worker))
        try:
            yield
        finally:
            await subscription.leave()
            self.forget(job.id)

    async def recall(self, id: str, service: str) -> None:
        """Learns what workers of the service have told about a request, until `forget`."""
        told = self._told[id] = Counter()
        for captured in await self._bus.history(self._subjects.events(id)):
            try:
                event = decode(Event, captured.data)
            except msgspec.DecodeError:  # nobody of ours told that
                continue
            if service_of(event.worker) == service:
                told[captured.subject.rpartition(".")[2], event.call] += 1

    def forget(self, id: str) -> None:
        self._told.pop(id, None)

    def was_told(self, id: str, name: str, call: str | None) -> bool:
        """Whether the dead worker had told this already: then it is told for the second time only now."""
        told = self._told.get(id)
        if told is None or told[name, call] < 1:
            return False
        told[name, call] -= 1
        return True
