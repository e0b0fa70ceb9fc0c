"""Where a leg that another worker makes again joins what was already handed on. Pure: frames in, frames out.

The rules:

* What was handed on of the leg is not handed on again: its head, and its first bytes. Frames may be cut otherwise than
  before, so bytes are counted, not frames.
* Those bytes must be the same as before. If they aren't, the seam is torn and nothing goes on: never doubled text, and
  never a text that is put together from two different ones.
* An `end` before the seam is reached tears it too, unless it says itself that the answer came to nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import sha256

from shared.contracts import End, decode
from shared.frames import Frame


class SeamTorn(Exception):
    """The leg that was made again differs from what was handed on of it."""


class Seam:
    """First `hand_on` each frame that was handed on, in their order, then `rewind`, then `join` what comes again."""

    def __init__(self) -> None:
        self._had_head = False
        self._bytes = 0
        self._expected = sha256()
        self.rewind()

    def hand_on(self, frame: Frame) -> None:
        self._had_head = self._had_head or frame.kind == "head"
        if frame.kind == "data":
            self._bytes += len(frame.data)
            self._expected.update(frame.data)

    def rewind(self) -> None:
        """The leg is made from its beginning; also when the worker that made it again has died too."""
        self._left = self._bytes  # bytes before the seam that are yet to come again
        self._digest = sha256()
        self._drops_head = self._had_head

    @property
    def is_closed(self) -> bool:
        """Everything that was handed on came again."""
        return not self._left and not self._drops_head

    def join(self, frames: Iterable[Frame]) -> list[Frame]:
        """The frames that are new; raises SeamTorn."""
        return [joined for frame in frames if (joined := self._joined(frame)) is not None]

    def _joined(self, frame: Frame) -> Frame | None:
        if frame.kind == "data":
            return self._data(frame)
        if frame.kind == "head":
            drops, self._drops_head = self._drops_head, False
            return None if drops else frame
        if self._left and decode(End, frame.data).is_well_formed:
            raise SeamTorn(f"it ends {self._left} bytes before the place that it had reached")
        return frame

    def _data(self, frame: Frame) -> Frame | None:
        if not self._left:
            return frame
        again, new = frame.data[: self._left], frame.data[self._left :]
        self._digest.update(again)
        self._left -= len(again)
        if not self._left and self._digest.digest() != self._expected.digest():
            raise SeamTorn(f"the first {self._bytes} bytes differ from those that were handed on")
        return Frame("data", new) if new else None
