"""How several recorders share one database's feed: one reads at a time, all write (docs/adr/0008).

Who reads holds a lock of its database session; it is gone when the process or its connection is. A full batch is
taken as a stretch: the position moves past it and the stretch is noted, in one transaction. Then the next recorder may
read, while this one writes. Writing deletes the note in the same transaction. The note of a recorder that died stays,
and whoever finds it reads those messages from the stream again.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from hashlib import blake2b

from sqlalchemy import ColumnElement, Connection, bindparam, delete, func, insert, literal_column, select, text

from services.recorder.rules.position import SAME_TIME_S
from services.recorder.statements import STRETCHES
from shared.bus import Captured

_LOCK_ALL = text("SELECT count(pg_advisory_xact_lock(key)) FROM unnest(:keys ::bigint[]) AS key").bindparams(
    bindparam("keys")
)
_NOW: ColumnElement[float] = literal_column("extract(epoch FROM clock_timestamp())")  # one clock for all recorders


@dataclass(frozen=True)
class Stretch:
    """Messages that one recorder has taken to write."""

    first_seq: int
    last_seq: int
    first_at: float
    last_at: float

    @classmethod
    def of(cls, messages: Sequence[Captured]) -> Stretch:
        times = [message.at for message in messages]
        return cls(messages[0].seq, messages[-1].seq, min(times), max(times))

    def holds(self, message: Captured) -> bool:
        """Not where the stream was deleted since and counts anew: its messages are younger then."""
        return self.first_seq <= message.seq <= self.last_seq and message.at <= self.last_at + SAME_TIME_S


class Sharing:
    """What recorders agree on about one feed, inside a transaction of the caller's."""

    def __init__(self, feed: str) -> None:
        self._feed = feed
        self._mine = STRETCHES.c.feed == feed

    def begin_reading(self, connection: Connection) -> bool:
        """Whether nobody else reads; the lock stays with the session."""
        return bool(connection.scalar(select(func.pg_try_advisory_lock(_key(self._feed)))))

    def end_reading(self, connection: Connection) -> None:
        connection.execute(select(func.pg_advisory_unlock(_key(self._feed))))

    def take(self, connection: Connection, stretches: Iterable[Stretch]) -> None:
        for one in stretches:
            row = {"feed": self._feed, **vars(one)}
            connection.execute(insert(STRETCHES).values(**row, taken_at=_NOW))

    def finish(self, connection: Connection, stretch: Stretch) -> bool:
        """Whether it was still to be written; nobody else can write it until the transaction ends."""
        gone = delete(STRETCHES).where(self._mine, STRETCHES.c.first_seq == stretch.first_seq)
        return connection.execute(gone.where(STRETCHES.c.last_seq == stretch.last_seq)).rowcount == 1

    def left_behind(self, connection: Connection, older_than_s: float) -> Stretch | None:
        """The oldest stretch that nobody is writing."""
        columns = (STRETCHES.c.first_seq, STRETCHES.c.last_seq, STRETCHES.c.first_at, STRETCHES.c.last_at)
        old = STRETCHES.c.taken_at <= _NOW - older_than_s
        oldest = select(*columns).where(self._mine, old).order_by(STRETCHES.c.first_seq).limit(1)
        found = connection.execute(oldest.with_for_update(skip_locked=True)).one_or_none()
        return Stretch(*found) if found else None

    def unwritten_from(self, connection: Connection) -> int | None:
        """The first place in the stream that somebody has taken and not written."""
        seq: int | None = connection.scalar(select(func.min(STRETCHES.c.first_seq)).where(self._mine))
        return seq

    def unwritten_since(self, connection: Connection) -> float | None:
        """When that message passed."""
        at: float | None = connection.scalar(select(func.min(STRETCHES.c.first_at)).where(self._mine))
        return at


def lock_exchanges(connection: Connection, ids: Iterable[str]) -> None:
    """Nobody else writes these exchanges until the transaction ends. Always in the same order: no deadlock."""
    connection.execute(_LOCK_ALL, {"keys": sorted(map(_key, ids))})


def _key(name: str) -> int:
    return int.from_bytes(blake2b(name.encode(), digest_size=8).digest(), "big", signed=True)
