"""The legs that one worker receives, through a single subscription, and the care they need while they are quiet."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from shared.bus import Bus, Delivery, Subscription
from shared.cancels import Cancels
from shared.contracts import Cancel
from shared.course import Course
from shared.legs import BUFFERED_BYTES, LegReader
from shared.subjects import Subjects

QUIET_AFTER_S = 5.0  # a leg silent for this long is compared with the capture stream


class Inbox:
    """Frames by the leg they belong to."""

    def __init__(self, bus: Bus, subjects: Subjects, instance: str, cancels: Cancels) -> None:
        self._bus = bus
        self._subjects = subjects
        self._instance = instance
        self._cancels = cancels
        self._readers: dict[str, LegReader] = {}  # by the prefix of their subjects
        self._courses: dict[tuple[str, str, str], Course] = {}  # by request, leg and whom it is addressed to

    async def listen(self) -> None:
        await self._bus.subscribe(self._subjects.frames_to(self._instance), self._received)

    async def adopt(self, id: str, address: str) -> Subscription:
        """Receives what is addressed to a worker that died, of one request."""
        return await self._bus.subscribe(self._subjects.frames_of_request(id, address), self._received)

    @contextmanager
    def following(
        self, id: str, call: str, leg: str, buffered_bytes: int = BUFFERED_BYTES, address: str | None = None
    ) -> Iterator[Course]:
        """A leg, from `call` on over all calls, received while the block lasts.

        It is addressed to this worker, or to one that died and whose frames were adopted.
        """
        to = address or self._instance

        def make(call: str) -> LegReader:
            reader = LegReader(self._bus, self._subjects.leg(id, call, leg, to), buffered_bytes)
            self._readers[reader.prefix] = reader
            return reader

        def drop(reader: LegReader) -> None:
            del self._readers[reader.prefix]

        course = self._courses[id, leg, to] = Course(call, make, drop, to, is_adopted=to != self._instance)
        try:
            yield course
        finally:
            course.close()
            del self._courses[id, leg, to]

    def courses(self) -> list[Course]:
        """Those that are followed just now."""
        return list(self._courses.values())

    def producers(self) -> set[str]:
        """The workers that a leg comes from."""
        return {reader.producer for reader in self._readers.values() if reader.producer is not None}

    async def _received(self, message: Delivery) -> None:
        prefix, _, kind = message.subject.rpartition(".")
        reader = self._readers.get(prefix) or self._ahead(message.subject)
        if reader is None:
            return
        stray = reader.push(kind, message.headers, message.data)
        if stray is not None and kind == "head":
            await self._dismiss(message.subject, reader, stray)

    async def _dismiss(self, subject: str, reader: LegReader, stray: str) -> None:
        """Stops a worker that took a job which another one has; what else it does for the request goes on."""
        address = self._subjects.frame(subject)
        course = self._courses.get((address.id, address.leg, address.to))
        call = address.call if course is None else course.first
        why = f"{reader.producer} has this job"
        await self._cancels.send(address.id, Cancel(by=self._instance, why=why, worker=stray, call=call))

    def _ahead(self, subject: str) -> LegReader | None:
        """The reader of a call that begins before the one ahead of it was read to its end."""
        address = self._subjects.frame(subject)
        course = self._courses.get((address.id, address.leg, address.to))
        return None if course is None else course.receiver(address.call)

    def look_after(self, start_soon: Callable[..., None]) -> None:
        """Called each second: quiet legs are compared with the capture stream."""
        now = time.monotonic()
        for reader in self._readers.values():
            if now - reader.last_at > QUIET_AFTER_S:
                reader.last_at = now
                start_soon(reader.catch_up)

    def catch_up_all(self, start_soon: Callable[..., None]) -> None:
        """After a lost connection: frames may have passed meanwhile."""
        for reader in self._readers.values():
            start_soon(reader.catch_up)
