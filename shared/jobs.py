"""The jobs of one stage, as a worker takes them: each is accepted, worked on in a task of its own, and answered with
one leg that ends once, whatever happens meanwhile.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING

import anyio
import msgspec
import structlog

from shared.bus import BusUnavailable, Delivery
from shared.contracts import Accepted, CallOutcome, Cancel, Fault, Job, decode, encode
from shared.errors import Refused, Unavailable
from shared.legs import FramesLost, LegWriter
from shared.resuming import Resuming
from shared.subjects import ONCE_ONLY, Leg, Stage

if TYPE_CHECKING:
    from shared.worker import Worker

CANCELLED = "cancelled"

log = structlog.get_logger("worker")

Handle = Callable[[Job, LegWriter], Awaitable[None]]


@dataclass(frozen=True, kw_only=True)
class Craft:
    """What a worker does for a living: jobs of one stage, each answered with one leg."""

    stage: Stage
    leg: Leg
    handle: Handle
    stops_on_cancel: bool = False  # else the end of the leg before it, which comes at once, ends this one too


class Jobs:
    """Offers to legs, as many at a time as the worker has room for."""

    def __init__(self, worker: Worker, craft: Craft, resuming: Resuming) -> None:
        self._worker = worker
        self._craft = craft
        self._resuming = resuming

    async def listen(self) -> None:
        """Takes jobs from here on."""
        await self._resuming.listen(self._craft.stage, self._worker.instance)
        self._worker.start_soon(self._worker.take, self._craft.stage, self._on_offer)

    async def _on_offer(self, message: Delivery) -> None:
        worker = self._worker
        if not worker.has_room:
            await worker.bus.publish(message.reply, encode(Accepted(worker=worker.instance, busy=True)))
            return
        try:
            job = decode(Job, message.data)
        except msgspec.DecodeError as error:
            log.error("worker.poison", subject=message.subject, error=str(error))
            fault = Fault(status=500, code="unreadable_job", message=f"A worker could not read its job: {error}")
            await worker.bus.publish(message.reply, encode(Accepted(worker=worker.instance, fault=fault)))
            return
        if self._resuming.take(job):
            worker.began()
            worker.start_soon(self._run, job, message.reply)
        else:  # an acceptance that came too late is asked for again
            await self._accept(job, message.reply)

    async def _accept(self, job: Job, reply: str) -> bool:
        """Tells whoever offers the job that we have it; whether that went out."""
        try:
            await self._worker.bus.publish(reply, encode(Accepted(worker=self._worker.instance)))
        except BusUnavailable as error:
            log.warning("worker.acceptance_lost", request=job.id, error=str(error))
            return False
        return True

    async def _run(self, job: Job, reply: str) -> None:
        """One job, from acceptance to the end of its leg; what it publishes first leaves with the acceptance."""
        try:
            if await self._accept(job, reply):
                await self._answer(job)
        finally:
            self._resuming.let_go(job)
            self._worker.finished()

    async def _answer(self, job: Job) -> None:
        leg = self._leg_of(self._craft, job)
        fault: Fault | None = None
        with structlog.contextvars.bound_contextvars(request=job.id, call=job.call):
            try:
                fault = await self._work(self._craft, job, leg)
            finally:
                if not leg.ended:
                    with anyio.CancelScope(shield=True):
                        await self._end_for_handler(leg, fault)

    def _leg_of(self, craft: Craft, job: Job) -> LegWriter:
        """The leg that answers a job; where its worker died, from its beginning or from where it broke off."""
        resume = job.resume
        if resume is not None and craft.stage in ONCE_ONLY:
            leg = self._worker.writer(job.id, resume.call, craft.leg, job.to)
            leg.go_on(resume.worker, resume.frames)
            return leg
        leg = self._worker.writer(job.id, job.call, craft.leg, job.to)
        if resume is not None:
            leg.make_again(resume.worker)
        return leg

    async def _work(self, craft: Craft, job: Job, leg: LegWriter) -> Fault | None:
        """Runs the handler; the fault that kept it from ending its leg, if one did."""
        stopped: list[Cancel] = []
        with anyio.CancelScope() as scope:

            def stop(cancel: Cancel) -> None:
                if cancel.finish_reason is None:  # else the handler itself ends its leg well-formed
                    stopped.append(cancel)
                    scope.cancel()

            watching = self._worker.cancels.watching(job.id, stop, job.call) if craft.stops_on_cancel else nullcontext()
            with watching:
                try:
                    async with self._resuming.taken_over(craft.stage, job):
                        await craft.handle(job, leg)
                except Exception as error:  # noqa: BLE001 - the boundary: whatever it is, the leg must end
                    return self._fault_of(error)
        return cancelled(stopped[0]) if stopped else None

    def _fault_of(self, error: Exception) -> Fault:
        match error:
            case Unavailable() | Refused():
                return error.fault
            case FramesLost():
                return Fault(status=502, code="frames_lost", message=str(error))
            case BusUnavailable():
                return Fault(status=503, code="bus_unavailable", message=str(error), retry_after_s=1)
        log.error("worker.failed", exc_info=error)
        return Fault(status=500, code="worker_failed", message=f"The {self._worker.identity.service} failed: {error!r}")

    async def _end_for_handler(self, leg: LegWriter, fault: Fault | None) -> None:
        fault = fault or Fault(status=503, code="worker_stopped", message=f"{self._worker.instance} was stopped")
        outcome: CallOutcome = "broken" if leg.started else "refused"
        if fault.code == CANCELLED:
            outcome = "cancelled"
        try:
            await leg.end(self._worker.end(leg, outcome, fault=fault))
        except BusUnavailable as error:
            log.error("worker.end_lost", error=str(error))


def cancelled(cancel: Cancel) -> Fault:
    """What a client would be told, were it still there."""
    return Fault(status=499, code=CANCELLED, message=f"Cancelled by {cancel.by}: {cancel.why}")
