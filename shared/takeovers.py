"""A worker that dies in the middle of a leg: its receiver finds another one, and the leg goes on.

Most stages make the same of the same input: their next worker makes the leg again from its beginning, and the reader
drops what it had (`shared/seams.py`). A provider doesn't answer twice alike, so the next upstream worker learns how
many frames there are, ends the leg of the dead one, and goes on from there with another call, or doesn't.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import anyio
import msgspec
import structlog

from shared.bus import Bus, BusUnavailable
from shared.cancels import Cancels
from shared.contracts import Cancel, Fault, Job, Resume
from shared.course import Course
from shared.errors import Unavailable
from shared.legs import FramesLost, LegReader
from shared.offers import offer
from shared.resuming import holder_of
from shared.subjects import ONCE_ONLY, Stage, Subjects
from shared.vitals import Vitals

MOST_TAKEOVERS = 5  # of one leg: a request that kills its workers must not kill them all
SEW_ATTEMPTS = 10  # the bus may be away just now
SEW_PAUSE_S = 0.5

log = structlog.get_logger("takeover")

Tell = Callable[[str, str, str | None, Mapping[str, Any]], Awaitable[None]]
"""Publishes an event: request, name, call, facts."""


class Takeovers:
    """Those of the legs that one worker receives."""

    def __init__(
        self, bus: Bus, subjects: Subjects, cancels: Cancels, vitals: Vitals, instance: str, tell: Tell
    ) -> None:
        self._bus = bus
        self._subjects = subjects
        self._cancels = cancels
        self._vitals = vitals
        self._instance = instance
        self._tell = tell

    async def replace(self, course: Course) -> None:
        """The leg's producer is dead: the leg goes on with another one, or ends with a clear fault."""
        if course.changes_hands or course.is_over:
            return
        course.changes_hands = True
        try:
            await self._replace(course)
        except Exception as error:
            log.error("takeover.failed", exc_info=error)
            course.reader.fail(worker_lost(course.producer or "that answered", f"the takeover failed: {error!r}"))
        finally:
            course.changes_hands = False

    async def _replace(self, course: Course) -> None:
        reader, dead = course.reader, course.producer
        await reader.catch_up()
        if dead is None or course.is_over or course.reader is not reader or reader.ended or reader.producer != dead:
            return
        try:
            await self._give_away(course, reader, dead)
        except Unavailable as nobody:
            message = f"The worker {dead} died while it answered. {nobody.fault.message}"
            reader.fail(msgspec.structs.replace(nobody.fault, message=message))
        except FramesLost as lost:
            reader.fail(worker_lost(dead, str(lost)))
        except BusUnavailable as error:
            reader.fail(worker_lost(dead, f"the bus is away: {error}"))

    async def _give_away(self, course: Course, reader: LegReader, dead: str) -> None:
        if course.asked is None or course.takeovers >= MOST_TAKEOVERS:
            reader.fail(worker_lost(dead, f"{course.takeovers} had died before" if course.takeovers else ""))
            return
        stage, job = course.asked
        goes_on = stage in ONCE_ONLY
        maker = course.give_away(dead, reader.taken, reader.taken if goes_on else 0)
        frames = reader.taken if goes_on else reader.handed_on
        if goes_on:
            reader.forsake()
        else:
            await _sewn(reader, *reader.begin_again())
        resume = Resume(worker=maker, address=course.holder or dead, call=course.call, frames=frames)
        heir = await self._heir(stage, msgspec.structs.replace(job, resume=resume), dead)
        course.appoint(heir)
        await self._announce(course, job.id, {"stage": stage, "from": dead, "to": heir, "frames": frames})

    async def _heir(self, stage: Stage, job: Job, dead: str) -> str:
        """Who goes on. Where a provider would be asked again, the receiver before us may have found one already."""
        holder = await holder_of(self._bus, self._subjects, stage, job) if stage in ONCE_ONLY else None
        if holder is not None and holder != dead:
            return holder
        return (await offer(self._bus, self._subjects, stage, job)).worker

    async def _announce(self, course: Course, id: str, facts: dict[str, Any]) -> None:
        dead, heir = facts["from"], facts["to"]
        log.warning("call.taken-over", request=id, call=course.call, **facts)
        try:
            await self._tell(id, "taken-over", course.call, facts)
            if heir != dead and await self._vitals.is_there(dead) is not False:  # should it wake up, nobody listens
                cancel = Cancel(by=self._instance, why=f"{heir} has this job", worker=dead, call=course.first)
                await self._cancels.send(id, cancel)
        except BusUnavailable as error:
            log.warning("takeover.not_told", request=id, error=str(error))


async def _sewn(reader: LegReader, former: str | None, handed_on: int) -> None:
    for attempt in range(SEW_ATTEMPTS):
        if attempt:
            await anyio.sleep(SEW_PAUSE_S)
        try:
            return await reader.sew(former, handed_on)
        except BusUnavailable as error:
            why = error
    raise why


def worker_lost(worker: str, why: str = "") -> Fault:
    message = f"The worker {worker} died while it answered" + (f": {why}." if why else ".")
    return Fault(status=502, code="worker_lost", type="server_error", message=message)
