"""A worker's life on the bus: takes jobs up to its capacity, receives the legs addressed to it, beats, drains.

Services build on it; what becomes of a job is told in `jobs.py`. A full worker leaves the stage's queue group, so "no
responders" means that the stage has no room.
"""

from __future__ import annotations

import asyncio
import os
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractContextManager, asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any, Protocol

import anyio
import msgspec
import structlog
from anyio.abc import TaskGroup

from shared.bus import Bus, BusUnavailable, Delivery, Handler, Subscription
from shared.cancels import Cancels
from shared.config import Settings
from shared.config.loader import Loaded
from shared.config.reload import Stamp
from shared.contracts import (
    CallOutcome,
    Cancel,
    End,
    Event,
    Heartbeat,
    Job,
    Lag,
    Struct,
    decode,
    encode,
)
from shared.course import Course
from shared.inbox import Inbox
from shared.jobs import Craft, Jobs
from shared.legs import LegWriter
from shared.metrics import MOST_IN_BEAT, Metrics, exposition
from shared.offers import offer
from shared.resuming import Resuming, is_under_way
from shared.roster import BEAT_S, GREETING_S, Roster
from shared.sentries import Sentries
from shared.subjects import Leg, Stage, Subjects
from shared.takeovers import Takeovers
from shared.version import version
from shared.vitals import LOOK_S, Vitals

log = structlog.get_logger("worker")

Commit = Callable[[], None]
Prepare = Callable[[Loaded], Awaitable[Commit]]
"""Makes ready for new settings, or raises MoontideError and leaves everything as it is; what it gives puts them into
force, without waiting and without failing."""


class Limits(Protocol):
    """The settings that every kind of worker has."""

    @property
    def max_in_flight(self) -> int: ...

    @property
    def drain_s(self) -> float: ...


@dataclass(frozen=True, kw_only=True)
class Identity:
    """Who a worker is."""

    service: str
    instance: str
    capacity: int  # jobs, or requests, in hand at a time
    seal_key: str | None = None  # public key (hex) that client secrets are sealed to
    is_scraped: bool = False  # it shows its figures itself, and they need not travel


class Worker:
    """One instance of a service. Use as `async with worker.running():`; leaving the block drains."""

    def __init__(
        self, bus: Bus, subjects: Subjects, identity: Identity, craft: Craft | None = None, drain_s: float = 30.0
    ) -> None:
        self.bus = bus
        self.subjects = subjects
        self.identity = identity
        self.instance = identity.instance
        self.in_flight = 0
        self.lags: tuple[Lag, ...] = ()  # told with each beat
        self.roster = Roster(time.monotonic)
        self.cancels = Cancels(bus, subjects, identity.instance)
        self.inbox = Inbox(bus, subjects, identity.instance, self.cancels)
        self._vitals = Vitals(bus, subjects, self.roster)
        self._resuming = Resuming(bus, subjects, self.inbox)
        self._takeovers = Takeovers(bus, subjects, self.cancels, self._vitals, identity.instance, self._tell)
        self.sentries = Sentries(bus, subjects, self.roster, self._tell)
        self.craft = craft
        self._drain_s = drain_s
        self._membership: Subscription | None = None
        self._changed: asyncio.Event | None = None  # set while somebody waits for one
        self._draining = False
        self._newcomer = anyio.Event()  # somebody has been heard for the first time
        self._started_at = time.time()
        self._tasks: TaskGroup
        self._prepares: list[Prepare] = []
        self.stamp: Stamp | None = None  # of the settings in force
        self.metrics = Metrics()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Worker]:
        """Subscribed, beating and taking jobs inside the block; drains when it is left."""
        async with anyio.create_task_group() as self._tasks:
            self.bus.on_reconnect(self._reconnected)
            await self.inbox.listen()
            await self.cancels.listen()
            await self._vitals.listen(self.instance)
            await self.bus.subscribe(self.subjects.workers, self._on_heartbeat)
            await self._beat()
            self.start_soon(self._beats)
            self.start_soon(self._watch)
            if self.craft is not None:
                await Jobs(self, self.craft, self._resuming).listen()
            try:
                yield self
            finally:
                with anyio.CancelScope(shield=True):
                    await self._drain()
                self._tasks.cancel_scope.cancel()

    def start_soon(self, work: Callable[..., Awaitable[Any]], *args: Any) -> None:
        """Runs `work` in the worker's task group."""
        self._tasks.start_soon(work, *args)  # type: ignore[arg-type]

    # -- new settings

    def on_settings(self, prepare: Prepare) -> None:
        """Has a service hear of new settings."""
        self._prepares.append(prepare)

    def resizes_with(self, section: Callable[[Settings], Limits]) -> None:
        """New settings change how much it takes, and nothing else."""

        async def prepare(loaded: Loaded) -> Commit:
            limits = section(loaded.settings)
            return lambda: self.resize(limits.max_in_flight, limits.drain_s)

        self.on_settings(prepare)

    async def prepared(self, loaded: Loaded) -> list[Commit]:
        """What puts new settings into force here; raises MoontideError where they can't be."""
        return [await prepare(loaded) for prepare in self._prepares]

    def resize(self, capacity: int, drain_s: float) -> None:
        """How much it takes from now on; what is in hand stays in hand."""
        self.identity = replace(self.identity, capacity=capacity)
        self._drain_s = drain_s
        self._change()

    async def has_settings(self, stamp: Stamp) -> None:
        """Shows from now on that these are in force."""
        self.stamp = stamp
        await self._beat()

    def _reconnected(self) -> None:
        self.metrics.add("bus_reconnects")
        self.inbox.catch_up_all(self.start_soon)

    async def _drain(self) -> None:
        """Takes nothing new and waits for what is in hand, up to the deadline."""
        self._draining = True
        self._change()
        await self._beat()
        with anyio.move_on_after(self._drain_s) as scope:
            while self.in_flight:
                await self._a_change()
        if scope.cancelled_caught:
            log.warning("worker.drain_deadline", instance=self.instance, in_flight=self.in_flight)

    @property
    def is_draining(self) -> bool:
        return self._draining

    def began(self) -> None:
        """One more job or request in hand."""
        self.in_flight += 1
        if not self.has_room:
            self._change()

    def finished(self) -> None:
        self.in_flight -= 1
        if self._draining or self._membership is None:
            self._change()

    def _change(self) -> None:
        if self._changed is not None:
            self._changed.set()
            self._changed = None

    async def _a_change(self) -> None:
        self._changed = self._changed or asyncio.Event()
        await self._changed.wait()

    async def _beats(self) -> None:
        while True:
            with anyio.move_on_after(BEAT_S):
                await self._newcomer.wait()  # who has heard nobody yet, and need not wait for the next beat
                await anyio.sleep(GREETING_S)
            self._newcomer = anyio.Event()
            await self._beat()
            self.inbox.look_after(self.start_soon)
            self.roster.sweep(self.inbox.producers() | self._resuming.origins | self.sentries.on_duty)

    async def _watch(self) -> None:
        """Looks whether those are alive that work for us, and those that we work for."""
        while True:
            await anyio.sleep(LOOK_S)
            makers = {course.producer for course in self.inbox.courses() if course.producer is not None}
            dead = await self._vitals.dead(makers | self._resuming.origins | self.sentries.on_duty)
            self.sentries.relieve(dead, self.start_soon)
            for course in self.inbox.courses():
                if course.producer in dead:
                    self.start_soon(self._takeovers.replace, course)
            for origin in filter(self.roster.is_gone, dead):
                for job in self._resuming.orphaned(origin):
                    self.start_soon(self._call_off, job)

    async def _call_off(self, job: Job) -> None:
        """The ingress that had the request is gone, and its client's connection with it."""
        log.warning("request.orphaned", request=job.id, origin=job.origin)
        cancel = Cancel(by=self.instance, why=f"the ingress {job.origin} died, and nobody waits for the answer")
        try:
            await self.cancels.send(job.id, cancel)
        except BusUnavailable as error:
            log.warning("request.not_called_off", request=job.id, error=str(error))

    def sign_of_life(self) -> Heartbeat:
        """How this worker is now."""
        me = self.identity
        return Heartbeat(
            service=me.service,
            instance=me.instance,
            version=version(),
            pid=os.getpid(),
            host=socket.gethostname(),
            at=time.time(),
            started_at=self._started_at,
            in_flight=self.in_flight,
            capacity=me.capacity,
            draining=self._draining,
            seal_key=me.seal_key,
            lags=self.lags,
            answers_pings=True,
            **self._stamped(),
        )

    async def _beat(self) -> None:
        subject = self.subjects.worker(self.identity.service, self.instance)
        try:
            await self.bus.publish(subject, encode(self.sign_of_life()))
        except BusUnavailable as error:
            log.warning("worker.beat_lost", error=str(error))

    def _stamped(self) -> dict[str, Any]:
        travelling = [] if self.identity.is_scraped else self.metrics.samples()[:MOST_IN_BEAT]
        facts: dict[str, Any] = {"samples": travelling}
        if self.stamp is not None:
            stamp = self.stamp
            facts |= {"settings": stamp.digest, "generation": stamp.generation, "settings_at": stamp.at}
        return facts

    def exposition(self, fleet: bool = False) -> bytes:
        """The text of `GET /metrics`: of this worker, or of all that were heard."""
        others = [beat for beat in self.roster.live() if beat.instance != self.instance] if fleet else []
        return exposition([self.sign_of_life(), *others], self.metrics, self.instance)

    async def _on_heartbeat(self, message: Delivery) -> None:
        try:
            beat = decode(Heartbeat, message.data)
        except msgspec.DecodeError as error:
            log.warning("worker.poison", subject=message.subject, error=str(error))
            return
        if self.roster.hear(beat) and beat.instance != self.instance:
            self._newcomer.set()

    @property
    def has_room(self) -> bool:
        return not self._draining and self.in_flight < self.identity.capacity

    async def take(self, stage: Stage, handler: Handler) -> None:
        """Is in the stage's queue group exactly while there is room."""
        while True:
            has_room = self.has_room
            if has_room and self._membership is None:
                self._membership = await self.bus.subscribe(self.subjects.work(stage), handler, queue=stage)
            elif not has_room and self._membership is not None:
                membership, self._membership = self._membership, None
                await membership.leave()
            else:
                await self._a_change()

    def end(self, leg: LegWriter, outcome: CallOutcome, **facts: Any) -> End:
        """An `end` for `leg` with the counts filled in, and what its maker knows so far."""
        counts = {"body_bytes": leg.body_bytes, "frames": leg.frames}
        return End(outcome=outcome, worker=self.instance, at=time.time(), **{**counts, **leg.so_far(), **facts})

    def following(self, job: Job, leg: Leg, call: str | None = None) -> AbstractContextManager[Course]:
        """The leg that a stage before ours makes for `job`, from `call` on, received while the block lasts.

        Where the job's worker died that is the leg that was addressed to it, from its beginning.
        """
        address = job.resume.address if job.resume is not None else None
        return self.inbox.following(job.id, call or job.call, leg, address=address)

    async def offer(self, stage: Stage, job: Job, course: Course) -> None:
        """Finds a worker that answers `job` with the leg that `course` follows; raises Unavailable.

        Should that worker die, it is replaced. What a dead worker had offered already goes on as it is.
        """
        job = msgspec.structs.replace(job, to=course.address, resume=None)
        course.asked = (stage, job)
        if course.is_adopted and await is_under_way(self.bus, self.subjects, stage, job, course):
            return
        course.appoint((await offer(self.bus, self.subjects, stage, job)).worker)

    def writer(self, id: str, call: str, leg: Leg, to: str) -> LegWriter:
        return LegWriter(self.bus, self.subjects.leg(id, call, leg, to), self.instance)

    async def event(self, id: str, name: str, call: str | None = None, **facts: Any) -> None:
        """Publishes a fact about a request, unless the dead worker whose job this is has told it already."""
        if not self._resuming.was_told(id, name, call):
            await self._tell(id, name, call, facts)

    async def recall(self, id: str) -> None:
        """Until `forget`, what workers of this service have told about a request is not told again."""
        await self._resuming.recall(id, self.identity.service)

    def forget(self, id: str) -> None:
        self._resuming.forget(id)

    async def _tell(self, id: str, name: str, call: str | None, facts: Mapping[str, Any]) -> None:
        event: Struct = Event(at=time.time(), worker=self.instance, call=call, facts=dict(facts))
        await self.bus.publish(self.subjects.event(id, name), encode(event))
