"""Watches and frames to events and cancels. Nobody waits for a sentinel."""

from __future__ import annotations

import time
from typing import Any

import anyio
import msgspec
import structlog

from services.sentinel.rules.answer import Found
from services.sentinel.rules.watches import Seen, Watches
from services.sentinel.tapped import Tapped, TappedLeg
from shared.bus import BusUnavailable, Delivery
from shared.contracts import Accepted, Cancel, Watch, decode, encode
from shared.legs import Frame
from shared.subjects import Leg
from shared.worker import Worker

LEG: Leg = "raw"  # the repair engine holds back what a loop may stand in: a call's arguments, markers, thoughts
LOOK_S = 10.0  # between two looks for watches that nothing ends

log = structlog.get_logger("sentinel")


class Sentinel:
    """The handlers of one worker's subscriptions."""

    def __init__(self, worker: Worker) -> None:
        self._worker = worker
        self._watches = Watches()
        self._tapped = Tapped(worker.bus, worker.subjects)
        self._hears_frames = False

    async def listen(self) -> None:
        """Takes watches from here on."""
        worker = self._worker
        worker.start_soon(worker.take, "watch", self._on_watch)
        worker.start_soon(self._look_after)

    async def _hear_frames(self) -> bool:
        """All frames, through one subscription, from the first watch on: where nothing is watched they don't matter.

        Whether that was the first one: a frame of it may have passed meanwhile.
        """
        if self._hears_frames:
            return False
        bus, subjects = self._worker.bus, self._worker.subjects
        await bus.subscribe(subjects.dones, self._on_done)
        await bus.subscribe(subjects.frames_of(LEG), self._on_frame)
        self._hears_frames = True
        await bus.flush()
        return True

    async def _on_watch(self, message: Delivery) -> None:
        try:
            watch = decode(Watch, message.data)
        except msgspec.DecodeError as error:
            log.warning("worker.poison", subject=message.subject, error=str(error))
            return
        is_first = await self._hear_frames()
        is_known = watch.id in self._watches
        if is_known or not self._worker.has_room:
            await self._answer(message, busy=not is_known)
        elif self._watches.begin(watch, time.monotonic()):
            self._worker.began()
            self._tapped.begin(watch.id)
            await self._answer(message, busy=False)
            if watch.again or is_first:
                self._worker.start_soon(self._catch_up, watch.id)

    async def _answer(self, message: Delivery, *, busy: bool) -> None:
        if not message.reply:  # an ingress of an older version
            return
        try:
            await self._worker.bus.publish(message.reply, encode(Accepted(worker=self._worker.instance, busy=busy)))
        except BusUnavailable as error:  # it is offered again, and then known
            log.warning("watch.not_answered", subject=message.subject, error=str(error))

    async def _on_frame(self, message: Delivery) -> None:
        address = self._worker.subjects.frame(message.subject)
        leg = self._tapped.leg(address)
        if leg is None:
            return
        if frames := leg.hear(address.kind, message.headers, message.data):
            await self._read(leg, frames)
        if leg.wants_more:
            self._worker.start_soon(self._fetch, leg)

    async def _read(self, leg: TappedLeg, frames: list[Frame]) -> None:
        for frame in frames:
            seen = self._watches.frame(leg.addresses[frame.kind], frame.data, time.monotonic())
            if seen is not None:
                await self._tell(seen, is_over=leg.is_over)

    # -- what passed before

    async def _fetch(self, leg: TappedLeg) -> None:
        while leg.wants_more:
            await self._read(leg, await leg.fetched())

    async def _catch_up(self, id: str) -> None:
        """Somebody else watched this answer, or nobody did: all that there is of it by now."""
        worker = self._worker
        try:
            await worker.recall(id)
            for head in await worker.bus.history(worker.subjects.heads_of(id, LEG)):
                leg = self._tapped.leg(worker.subjects.frame(head.subject))
                if leg is not None:
                    await self._read(leg, await leg.caught_up())
                    await self._fetch(leg)
            if await worker.bus.history(worker.subjects.done(id)):
                self._end(id)
        except BusUnavailable as error:  # what comes next is a gap, and fetched then
            log.warning("watch.not_caught_up", request=id, error=str(error))

    async def _on_done(self, message: Delivery) -> None:
        self._end(self._worker.subjects.below_request(message.subject)[0])

    def _end(self, id: str) -> None:
        if self._watches.end(id):
            self._tapped.end(id)
            self._worker.forget(id)
            self._worker.finished()

    async def _look_after(self) -> None:
        while True:
            await anyio.sleep(LOOK_S)
            for id in self._watches.quiet(time.monotonic()):
                log.warning("watch.given_up", request=id)
                self._end(id)

    async def _tell(self, seen: Seen, *, is_over: bool) -> None:
        """First the cancel: every character until then is paid for. A call that has ended by now needs none."""
        worker, repeat = self._worker, seen.watch.repeat
        try:
            if seen.stops and not is_over:
                why = "the answer runs in a loop"
                call = seen.call if repeat.action == "retry" else None  # the next one is another matter
                cancel = Cancel(by="sentinel", why=why, call=call, finish_reason=repeat.finish_reason)
                await worker.cancels.send(seen.id, cancel)
            for found in seen.found:
                log.info("loop.found", request=seen.id, **facts_of(found), action=repeat.action)
                await worker.event(seen.id, "loop-found", seen.call, **facts_of(found), action=repeat.action)
        except BusUnavailable as error:
            log.warning("loop.not_told", request=seen.id, error=str(error))


def facts_of(found: Found) -> dict[str, Any]:
    """A loop as events and logs tell it; `start` and `period` in characters."""
    return {"choice": found.choice, "channel": found.channel, **msgspec.to_builtins(found.loop)}
