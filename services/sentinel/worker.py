"""Watches and frames to events and cancels. Nobody waits for a sentinel."""

from __future__ import annotations

import time
from typing import Any

import anyio
import msgspec
import structlog

from services.sentinel.rules.answer import Found
from services.sentinel.rules.watches import Seen, Watches
from shared.bus import BusUnavailable, Delivery
from shared.contracts import Cancel, Watch, decode
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
        self._hears_frames = False

    async def listen(self) -> None:
        """Takes watches from here on."""
        worker = self._worker
        worker.start_soon(worker.take, "watch", self._on_watch)
        worker.start_soon(self._look_after)

    async def _hear_frames(self) -> None:
        """All frames, through one subscription, from the first watch on: where nothing is watched they don't matter.

        The watch was published before its job was offered, so that no frame has passed yet.
        """
        if not self._hears_frames:
            bus, subjects = self._worker.bus, self._worker.subjects
            await bus.subscribe(subjects.dones, self._on_done)
            await bus.subscribe(subjects.frames_of(LEG), self._on_frame)
            self._hears_frames = True
            await bus.flush()

    async def _on_watch(self, message: Delivery) -> None:
        try:
            watch = decode(Watch, message.data)
        except msgspec.DecodeError as error:
            log.warning("worker.poison", subject=message.subject, error=str(error))
            return
        await self._hear_frames()
        if self._worker.has_room and self._watches.begin(watch, time.monotonic()):
            self._worker.began()

    async def _on_frame(self, message: Delivery) -> None:
        address = self._worker.subjects.frame(message.subject)
        if address.id not in self._watches:
            return
        seen = self._watches.frame(address, message.data, time.monotonic())
        if seen is not None:
            await self._tell(seen)

    async def _on_done(self, message: Delivery) -> None:
        self._end(self._worker.subjects.below_request(message.subject)[0])

    def _end(self, id: str) -> None:
        if self._watches.end(id):
            self._worker.finished()

    async def _look_after(self) -> None:
        while True:
            await anyio.sleep(LOOK_S)
            for id in self._watches.quiet(time.monotonic()):
                log.warning("watch.given_up", request=id)
                self._end(id)

    async def _tell(self, seen: Seen) -> None:
        """First the cancel: every character until then is paid for."""
        worker, repeat = self._worker, seen.watch.repeat
        try:
            if seen.stops:
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
