"""Legs: numbered frames of one call's answer, from the worker that makes them to the one that needs them.

A writer numbers its frames from 0 (`head`, then `data`, then `end`) and signs each with its instance, in one header:
`Frame: 17 up-x7k2`. A reader hands them on in order and from one producer only. What it misses it fetches from the
capture stream, whether a frame was lost, the connection was away, or the reader itself fell behind and let frames go
so that its memory stays bounded. What can't be had ends the leg with a clear fault, never with a silently shorter text.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

import anyio
import msgspec

from shared.bus import Bus, BusUnavailable, Captured
from shared.contracts import End, Fault, Head, decode, encode
from shared.frames import FRAME_HEADER as FRAME_HEADER
from shared.frames import Frame as Frame
from shared.seams import Seam, SeamTorn

FRAME_BYTES = 64 * 1024  # the largest data frame
BUFFERED_BYTES = 4 * 1024 * 1024  # a reader lets go of frames past this and reads them from the capture stream later
HEAL_ATTEMPTS = 25
HEAL_PAUSE_S = 0.2  # the capture stream may be a moment behind the hot path, after a restart of NATS more than one


class FramesLost(Exception):
    """Frames of a leg are neither on the bus nor in the capture stream."""


class LegWriter:
    """Publishes one leg; where it ended without being the answer, the next call's after it."""

    def __init__(self, bus: Bus, prefix: str, instance: str) -> None:
        self._bus = bus
        self._signature = f" {instance}"
        self._made_by: str | None = None  # the dead worker whose legs are made again
        self._broke_off: str | None = None  # the dead worker whose leg is ended here
        self.turn_to(prefix)

    def make_again(self, worker: str) -> None:
        """These are the legs of a worker that died, from their beginning."""
        self._made_by = worker

    def go_on(self, worker: str, frames: int) -> None:
        """This is the leg of a worker that died after so many frames; only its `end` is missing."""
        self._broke_off, self._next = worker, frames

    def turn_to(self, prefix: str) -> None:
        """The frames from here on are another call's: they are numbered and counted from 0 again."""
        self._head, self._data, self._end = f"{prefix}.head", f"{prefix}.data", f"{prefix}.end"
        self._next = 0
        self.frames = 0  # data frames so far
        self.body_bytes = 0
        self.ended = False
        self.so_far: Callable[[], dict[str, Any]] = dict  # fields of `End` that the leg's maker knows by now

    async def head(self, head: Head) -> None:
        if self._made_by is not None:
            head = msgspec.structs.replace(head, takes_over=self._made_by)
        await self._publish(self._head, encode(head))

    async def data(self, data: bytes) -> None:
        for start in range(0, len(data), FRAME_BYTES):
            piece = data[start : start + FRAME_BYTES] if len(data) > FRAME_BYTES else data
            self.frames += 1
            self.body_bytes += len(piece)
            await self._publish(self._data, piece)

    async def end(self, end: End) -> None:
        self.ended = True
        if self._broke_off is not None:
            end, self._broke_off = msgspec.structs.replace(end, takes_over=self._broke_off), None
        try:
            await self._publish(self._end, encode(end))
        except BusUnavailable:
            self.ended = False
            raise

    @property
    def started(self) -> bool:
        return self._next > 0

    async def _publish(self, subject: str, data: bytes) -> None:
        header = {FRAME_HEADER: f"{self._next}{self._signature}"}
        self._next += 1
        try:
            await self._bus.publish(subject, data, header)
        except BusUnavailable:  # nothing went out: the next frame has this number
            self._next -= 1
            raise


class LegReader:
    """Receives one leg: `push` from the subscription, `frames` by whoever wants the answer."""

    def __init__(
        self,
        bus: Bus,
        prefix: str,
        buffered_bytes: int = BUFFERED_BYTES,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.prefix = prefix
        self._bus = bus
        self.producer: str | None = None  # set by the acceptance of the job, or by the first frame
        self.last_at = clock()
        self.healed = 0
        self._clock = clock
        self._limit = buffered_bytes
        self._former: set[str] = set()  # those that made the leg before
        self._seam: Seam | None = None  # until a leg that is made again has reached what was handed on
        self._start_over()
        self._fault: Fault | None = None
        self._wake: asyncio.Event | None = None
        self.ended = False

    def _start_over(self) -> None:
        """Nothing has come yet."""
        self._next = 0
        self._ready: deque[Frame] = deque()
        self._ready_bytes = 0
        self._early: dict[int, Frame] = {}  # frames that came before one that is missing
        self._early_bytes = 0
        self._latest = -1  # the highest number that was heard of
        self._behind = False  # too much waits for the reader: nothing is taken until it has read on
        self._healed_seq = 0  # everything up to here in the capture stream was taken

    def appoint(self, producer: str) -> None:
        """`producer` has accepted the job. Where another one's frames came first, that one keeps it."""
        self.producer = self.producer or producer

    def push(self, kind: str, header: Mapping[str, str] | None, data: bytes) -> str | None:
        """Takes a frame; gives the name of a producer that has no business here, if it came from one."""
        seq, _, signature = (header or {}).get(FRAME_HEADER, "0 ").partition(" ")
        if signature != self.producer and not self._is_heir(signature, kind, data):
            return signature
        self._accept(int(seq), Frame(kind, data))
        return None

    def _is_heir(self, signature: str, kind: str, data: bytes) -> bool:
        """Whether the leg is that worker's from here on."""
        if self.producer is None:
            if signature in self._former:
                return False
        elif not self._hands_over(kind, data):
            return False
        self.producer = signature
        return True

    def _hands_over(self, kind: str, data: bytes) -> bool:
        """Whether a frame says itself that the producer's leg is ended by another one, or made again.

        A leg of which something was handed on begins again only where its reader wants it to.
        """
        try:
            if kind == "end":
                return decode(End, data).takes_over == self.producer
            if kind != "head" or self.handed_on or decode(Head, data).takes_over != self.producer:
                return False
        except msgspec.DecodeError:
            return False
        self._start_over()
        return True

    # -- a producer that died

    @property
    def taken(self) -> int:
        """How many frames there are of the leg, those included that wait for the reader."""
        return self._next

    @property
    def handed_on(self) -> int:
        """How many of the producer's frames were given to the reader."""
        return self._next - len(self._ready)

    def forsake(self) -> str | None:
        """The producer is gone: nothing more of it is taken, and the next one is yet to be found."""
        former, self.producer = self.producer, None
        if former is not None:
            self._former.add(former)
        return former

    def begin_again(self) -> tuple[str | None, int]:
        """The next producer makes the leg from its beginning. What was handed on of it: by whom, how many frames."""
        handed_on = self.handed_on
        self._start_over()
        return self.forsake(), handed_on

    async def sew(self, former: str | None, handed_on: int) -> None:
        """Learns from the capture stream what `begin_again` told of, so that none of it is handed on twice.

        Raises FramesLost, or BusUnavailable: then it may be tried again.
        """
        if self._seam is not None:
            self._seam.rewind()
        elif handed_on:
            seam = await self._seam_of(f" {former}", handed_on)
            seam.rewind()
            self._seam = seam

    async def _seam_of(self, signature: str, handed_on: int) -> Seam:
        seam, number, seq = Seam(), 0, 0
        while number < handed_on:
            page = await self._bus.history(f"{self.prefix}.*", seq + 1)
            if not page:
                raise FramesLost(f"frame {number} of {self.prefix} is not in the capture stream any more")
            for captured in page:
                seq = captured.seq
                if number < handed_on and captured.headers.get(FRAME_HEADER) == f"{number}{signature}":
                    seam.hand_on(Frame(captured.subject.rpartition(".")[2], captured.data))
                    number += 1
        return seam

    def _joined(self, seam: Seam, frames: list[Frame]) -> list[Frame]:
        try:
            new = seam.join(frames)
        except SeamTorn as torn:
            message = f"The worker that answered died, and what another one made of the answer does not fit: {torn}."
            fault = Fault(status=502, code="takeover_differs", type="server_error", message=message)
            return [Frame("end", encode(self._ended_by(fault)))]
        if seam.is_closed:
            self._seam = None
        return new

    # -- frames in their order

    def _accept(self, seq: int, frame: Frame) -> None:
        self.last_at = self._clock()
        self._latest = max(self._latest, seq)
        if seq < self._next or self.ended or self._behind:
            return
        if seq > self._next:
            self._keep_early(seq, frame)
        else:
            self._append(frame)
            while self._next in self._early and not self._behind:
                self._early_bytes -= len(self._early[self._next].data)
                self._append(self._early.pop(self._next))
        self._notify()

    def _keep_early(self, seq: int, frame: Frame) -> None:
        """One that there is no room for is in the capture stream."""
        if seq not in self._early and (not self._early or self._early_bytes < self._limit):
            self._early[seq] = frame
            self._early_bytes += len(frame.data)

    def _append(self, frame: Frame) -> None:
        if self._ready_bytes > self._limit and frame.kind == "data":
            self._behind = True
            self._early.clear()
            self._early_bytes = 0
            return
        self._next += 1
        self._ready.append(frame)
        self._ready_bytes += len(frame.data)
        self.ended = frame.kind == "end"

    def fail(self, fault: Fault) -> None:
        """Ends the leg here and now: its producer is gone, or it took too long."""
        self._fault = self._fault or fault
        self._notify()

    def _notify(self) -> None:
        if self._wake is not None:
            self._wake.set()

    @property
    def needs_healing(self) -> bool:
        """Frames are known to be missing."""
        return self._next <= self._latest and not self.ended

    async def frames(self, patience_s: float | None = None) -> list[Frame]:
        """All frames that are here, one at least; the last one ever is an `end`. Raises FramesLost.

        None at all where nothing has come for `patience_s`.
        """
        while True:
            if self._ready:
                if taken := self.here():
                    return taken
            elif self.needs_healing:
                await self.heal()
            elif self._fault is not None:
                return [Frame("end", encode(self._ended_by(self._fault)))]
            elif not await self._something(patience_s):
                return []

    def here(self) -> list[Frame]:
        """The frames that can be handed on without waiting."""
        taken = list(self._ready)
        self._ready.clear()
        self._ready_bytes = 0
        return taken if self._seam is None else self._joined(self._seam, taken)

    async def _something(self, patience_s: float | None) -> bool:
        """Waits; whether there is something to do."""
        self._wake = asyncio.Event()
        timer = asyncio.get_running_loop().call_later(patience_s, self._wake.set) if patience_s is not None else None
        try:
            await self._wake.wait()
        finally:
            self._wake = None
            if timer is not None:
                timer.cancel()
        return timer is None or bool(self._ready) or self.needs_healing or self._fault is not None

    def _ended_by(self, fault: Fault) -> End:
        self.ended = True
        return End(outcome="lost", worker=self.producer or "", at=time.time(), fault=fault)

    async def heal(self) -> None:
        """Gets what is missing; raises FramesLost."""
        for attempt in range(HEAL_ATTEMPTS):
            if attempt:
                await anyio.sleep(HEAL_PAUSE_S)
            if await self.catch_up() or not self.needs_healing:
                return
        raise FramesLost(f"frame {self._next} of {self.prefix} is neither on the bus nor in the capture stream")

    def pass_over(self) -> None:
        """What is missing is lost, and this reader can do without it: on with what came after it."""
        self._next = min(self._early, default=self._latest + 1)
        if self._next in self._early:
            frame = self._early.pop(self._next)
            self._early_bytes -= len(frame.data)
            self._accept(self._next, frame)

    async def catch_up(self) -> bool:
        """Takes what is missing from the capture stream; whether there was any of it."""
        before = self._next
        while not self.ended:
            try:
                page = await self._bus.history(f"{self.prefix}.*", self._healed_seq + 1)
            except BusUnavailable:
                break
            self._behind = False
            self._take(page)
            if self._behind or not page:
                break
        self.healed += self._next - before
        return self._next > before

    def _take(self, page: list[Captured]) -> None:
        for captured in page:
            self.push(captured.subject.rpartition(".")[2], captured.headers, captured.data)
            if self._behind:
                return
            self._healed_seq = captured.seq
