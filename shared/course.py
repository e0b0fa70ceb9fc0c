"""A leg over all calls of a request: where a call's `end` names a next one, the reader goes on with that one.

A producer starts the next call without waiting for anybody, so its frames may come while this call's are still being
read. They are collected by readers made ahead, each bounded as any other; what doesn't fit is read from the capture
stream later.
"""

from __future__ import annotations

from collections.abc import Callable

from shared.contracts import End, Job, decode
from shared.legs import Frame, LegReader
from shared.subjects import Stage, call_number

MOST_AHEAD = 32  # calls whose frames are collected before their turn; the capture stream has those of the others


class Course:
    """The frames of one leg, call after call. `frames` is for one consumer, `receiver` for the subscription."""

    def __init__(
        self,
        call: str,
        make: Callable[[str], LegReader],
        drop: Callable[[LegReader], None],
        address: str = "",
        is_adopted: bool = False,
    ) -> None:
        self.first = call  # the job's
        self.address = address  # whom the leg's frames are addressed to
        self.is_adopted = is_adopted  # that is a dead worker: what came before is in the capture stream
        self.asked: tuple[Stage, Job] | None = None  # the job that this leg answers
        self.takeovers = 0
        self.holder: str | None = None  # who had that job first, once it was taken over
        self.given_away: tuple[str, int, str] | None = None  # whose call, after how many frames, and who made those
        self.is_over = False
        self.changes_hands = False  # a successor for its producer is being looked for
        self.call = call  # whose frames `frames` gives next
        self._make = make
        self._drop = drop
        self._readers = {call: make(call)}  # this call's, and those made ahead

    @property
    def reader(self) -> LegReader:
        return self._readers[self.call]

    @property
    def producer(self) -> str | None:
        """Who makes the leg; None until a job was accepted or a frame came."""
        return self.reader.producer

    def give_away(self, dead: str, taken: int, left: int) -> str:
        """Notes a takeover: `left` of the `taken` frames stay. Who made them: a worker may die before its first."""
        call, frames, maker = self.given_away or ("", 0, dead)
        if call != self.call or taken > frames:
            maker = dead
        self.takeovers += 1
        self.holder = self.holder or dead
        self.given_away = (self.call, left, maker)
        return maker

    def appoint(self, producer: str) -> None:
        self.reader.appoint(producer)

    def receiver(self, call: str) -> LegReader | None:
        """Who takes a frame of `call`; nobody where that call is over, or too far ahead."""
        if call not in self._readers and call_number(call) > call_number(self.call):
            if len(self._readers) > MOST_AHEAD:
                return None
            self._readers[call] = self._make(call)
        return self._readers.get(call)

    async def frames(self, patience_s: float | None = None) -> list[Frame]:
        """Frames of one call, one at least. After an `end` that names a next call, that one's. Raises FramesLost.

        None at all where nothing has come for `patience_s`.
        """
        frames = await self.reader.frames(patience_s)
        if frames and frames[-1].kind == "end":
            next_call = decode(End, frames[-1].data).next_call
            if next_call is not None:
                self._turn_to(next_call)
                if self.is_adopted:
                    await self.reader.catch_up()
        return frames

    def _turn_to(self, call: str) -> None:
        before = self._readers.pop(self.call)
        self._drop(before)
        if call not in self._readers:
            self._readers[call] = self._make(call)
        self.call = call
        if before.producer is not None:
            self.reader.appoint(before.producer)

    def close(self) -> None:
        self.is_over = True
        for reader in self._readers.values():
            self._drop(reader)
