"""How far the capture stream was read: what is known, what is next, what is missing.

The position is kept in the database, in the same transaction as what was read. It alone says what is recorded: the
feed may deliver in any order and as often as it likes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from shared.bus import Captured

SAME_TIME_S = 0.001  # a message's time has nanoseconds or microseconds, by the way it was read


@dataclass(frozen=True)
class Position:
    """Everything up to `seq` is recorded; `at` is the newest capture time among it."""

    seq: int = 0
    at: float = 0.0

    def knows(self, message: Captured) -> bool:
        return message.seq <= self.seq and message.at <= self.at + SAME_TIME_S

    def is_of_older_stream(self, message: Captured) -> bool:
        """A low number with a new time: the stream was deleted and counts from 1 again."""
        return message.seq <= self.seq and message.at > self.at + SAME_TIME_S

    def after(self, messages: Sequence[Captured]) -> Position:
        return Position(messages[-1].seq, max(self.at, *(message.at for message in messages)))


START = Position()


def fresh(position: Position, messages: Iterable[Captured]) -> list[Captured]:
    """What is not recorded yet, in the stream's order, each once."""
    unique = {message.seq: message for message in messages if not position.knows(message)}
    return [unique[seq] for seq in sorted(unique)]


def follows(position: Position, messages: Sequence[Captured]) -> bool:
    """Whether the messages go on where the position stands, without a gap."""
    return messages[0].seq == position.seq + 1 and messages[-1].seq - messages[0].seq + 1 == len(messages)


def skipped(position: Position, messages: Sequence[Captured]) -> int:
    """How many numbers between the position and the last message are not there."""
    return messages[-1].seq - position.seq - len(messages)


def portions(sizes: Sequence[int], limit_bytes: int) -> Iterator[slice]:
    """Slices of about `limit_bytes`, one message at least."""
    begin, total = 0, 0
    for at, size in enumerate(sizes):
        if at > begin and total + size > limit_bytes:
            yield slice(begin, at)
            begin, total = at, 0
        total += size
    if begin < len(sizes):
        yield slice(begin, len(sizes))
