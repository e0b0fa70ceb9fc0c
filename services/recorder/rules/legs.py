"""Frames to legs: in their numbers' order, of one producer, each once.

Where a producer died, another worker ends its leg (an `end` that takes over), or makes the leg again (a `head` that
does); then the leg that was made again counts, for it is whole.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from services.recorder.rules.messages import Message
from shared.contracts import End, Head
from shared.records.blobs import Chunks

Name = tuple[str, str]
"""A call and a leg: `("c1", "raw")`."""


@dataclass
class Leg:
    """What one producer sent to one receiver."""

    call: str
    leg: str
    to: str
    producer: str
    first_seq: int
    frames: dict[int, Message] = field(default_factory=dict)
    head: Head | None = None
    end: End | None = None
    cut: int | None = None  # number of the `end` that another worker gave it: what is behind it was never used

    def take(self, message: Message) -> None:
        self.first_seq = min(self.first_seq, message.seq)
        if message.kind == "end" and message.said.takes_over is not None:
            self.cut, self.end = message.frame, message.said
            return
        if self.frames.setdefault(message.frame, message) is not message:
            return
        if message.kind == "head":
            self.head = message.said
        elif message.kind == "end" and self.cut is None:
            self.end = message.said

    @property
    def is_again(self) -> bool:
        """It was made again after the worker that made it first had died."""
        return self.head is not None and self.head.takes_over is not None

    @property
    def data(self) -> bytes:
        return b"".join(frame.data for frame in self._in_order())

    @property
    def chunks(self) -> Chunks:
        """Where each data frame began, and when it passed."""
        chunks: Chunks = []
        offset, began = 0, None
        for frame in self._in_order():
            began = frame.at if began is None else began
            chunks.append((offset, max(0, round((frame.at - began) * 1e6))))
            offset += len(frame.data)
        return chunks

    @property
    def missing(self) -> int:
        """Frames that were never captured: gaps in the numbers."""
        if self.cut is not None:
            return self.cut - len([number for number in self.frames if number < self.cut])
        return max(self.frames) + 1 - len(self.frames)

    def _in_order(self) -> list[Message]:
        used = sorted(number for number in self.frames if self.cut is None or number < self.cut)
        return [self.frames[number] for number in used if self.frames[number].kind == "data"]


class Legs:
    """All legs of an exchange. Where several workers sent the same one, the one that was used counts."""

    def __init__(self) -> None:
        self._all: dict[tuple[str, str, str, str], Leg] = {}

    def take(self, message: Message) -> None:
        heir_of = message.said.takes_over if message.kind == "end" else None
        key = (message.call, message.leg, message.to, heir_of or message.producer)
        leg = self._all.get(key)
        if leg is None:
            leg = self._all[key] = Leg(*key, first_seq=message.seq)
        leg.take(message)

    def chosen(self, receiver: str | None) -> tuple[dict[Name, Leg], list[Leg]]:
        """One leg for each name, and the others. `receiver` is the worker that wrote the answer to the client.

        Not those that were made twice after a worker had died: their bytes are the same.
        """
        chosen: dict[Name, Leg] = {}
        rest: list[Leg] = []
        for leg in sorted(self._all.values(), key=lambda leg: _rank(leg, receiver)):
            best = chosen.setdefault((leg.call, leg.leg), leg)
            if best is not leg and not (leg.is_again or (leg.end is None and best.is_again)):
                rest.append(leg)
        return dict(sorted(chosen.items())), rest

    @property
    def are_over(self) -> bool:
        again = {(leg.call, leg.leg, leg.to) for leg in self._all.values() if leg.is_again and leg.end is not None}
        return all(leg.end is not None or (leg.call, leg.leg, leg.to) in again for leg in self._all.values())


def _rank(leg: Leg, receiver: str | None) -> tuple[bool, bool, bool, int]:
    """A worker that was called off has `cancelled` at its end, one that died has none; else the first has the job."""
    called_off = leg.end is not None and leg.end.outcome in ("cancelled", "lost") and leg.cut is None
    return (leg.to != receiver, called_off, leg.end is None, leg.first_seq)
