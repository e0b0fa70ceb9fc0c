"""One batch, one transaction: rows, waiting messages and the position together, or nothing of it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import structlog
from sqlalchemy import Connection, Engine, func, select, text, update

from services.recorder.filing import LIVE, Filing
from services.recorder.room import Room
from services.recorder.rules.messages import Message
from services.recorder.rules.position import START, Position
from services.recorder.rules.redaction import Redaction
from services.recorder.rules.rows import Row
from services.recorder.sealing import Sealing
from services.recorder.sharing import Sharing, Stretch
from services.recorder.statements import EXCHANGES, PENDING, POSITIONS, Statements
from services.recorder.writing import Writing
from shared.records.database import BUSY_TIMEOUT_S, RecordsUnavailable, open_writer, unavailable
from shared.records.space import count_of, give_back, too_many, used_bytes

EXPIRED_AT_ONCE = 2000  # exchanges deleted in one transaction, so that writing waits for a moment only

_BEGIN_FEED = text("INSERT INTO positions (feed, seq, at) VALUES (:feed, 0, 0) ON CONFLICT DO NOTHING")

T = TypeVar("T")

log = structlog.get_logger("recorder")


class Overtaken(Exception):
    """Another recorder has written this part of the stream: read the position again."""


@dataclass(frozen=True, kw_only=True)
class Batch:
    """What is written at once."""

    messages: Sequence[tuple[str, Message]]  # each with its exchange's id
    poison: Sequence[Row]
    before: Position = START
    after: Position = START
    stretch: Stretch | None = None  # taken before; else the position moves with the rows


class Store:
    """The writer's side of one records database. It blocks; one thread at a time."""

    def __init__(
        self, engine: Engine, feed: str, redaction: Redaction | None = None, sealing: Sealing | None = None
    ) -> None:
        self._engine = engine
        self._feed = feed
        self._redaction = redaction or Redaction()
        self._sealing = sealing or Sealing(seals=self._redaction.is_on)
        self._statements = Statements(engine.dialect)
        self._sharing = Sharing(feed) if engine.dialect.name == "postgresql" else None
        self._room = Room()
        self._reads = False

    @classmethod
    def open(
        cls,
        url: str,
        feed: str,
        busy_timeout_s: float = BUSY_TIMEOUT_S,
        redaction: Redaction | None = None,
        sealing: Sealing | None = None,
    ) -> Store:
        """Without a `sealing` of the caller's, what waits can be read by this store alone."""
        return cls(open_writer(url, busy_timeout_s), feed, redaction, sealing)

    def close(self) -> None:
        self._reads = False
        self._engine.dispose()

    @property
    def is_shared(self) -> bool:
        """Whether other recorders can write beside this one."""
        return self._sharing is not None

    def begin_reading(self) -> bool:
        """Whether the feed is ours to read, until `end_reading` or the connection's end."""
        sharing = self._sharing
        if sharing is not None and not self._reads:
            self._reads = self._transaction(sharing.begin_reading)
        return sharing is None or self._reads

    def end_reading(self) -> None:
        if self._sharing is not None and self._reads:
            self._transaction(self._sharing.end_reading)
            self._reads = False

    def take(self, stretches: Sequence[Stretch], before: Position, after: Position) -> None:
        """Moves the position past messages that are written afterwards; raises Overtaken."""
        sharing = self._sharing
        assert sharing is not None  # noqa: S101 - who asks has looked at `is_shared`

        def work(connection: Connection) -> None:
            self._move(connection, before, after)
            sharing.take(connection, stretches)

        self._transaction(work)

    def left_behind(self, older_than_s: float) -> Stretch | None:
        """Messages that a recorder took and never wrote."""
        sharing = self._sharing
        if sharing is None:
            return None
        return self._transaction(lambda connection: sharing.left_behind(connection, older_than_s))

    def position(self) -> Position:
        columns = (POSITIONS.c.seq, POSITIONS.c.at)
        mine = select(*columns).where(POSITIONS.c.feed == self._feed)

        def work(connection: Connection) -> Position:
            connection.execute(_BEGIN_FEED, {"feed": self._feed})
            return Position(*connection.execute(mine).one())

        return self._transaction(work)

    def open_exchanges(self) -> int:
        """Those that go on; what is over waits a while longer, for whatever may still be said about it."""
        waiting = select(PENDING.c.exchange_id)
        going_on = select(func.count()).where(EXCHANGES.c.id.in_(waiting), EXCHANGES.c.state == LIVE)
        return self._transaction(lambda connection: connection.scalar(going_on)) or 0

    def write(self, batch: Batch) -> None:
        """All of the batch; raises RecordsUnavailable or Overtaken with nothing of it written."""
        by_exchange: dict[str, list[Message]] = defaultdict(list)
        for id, message in batch.messages:
            by_exchange[id].append(message)
        try:
            self._transaction(lambda connection: self._write(connection, batch, by_exchange))
        except (Overtaken, RecordsUnavailable):
            raise
        except Exception as error:  # noqa: BLE001 - the boundary: one exchange must not hold up all others
            log.error("recorder.batch_failed", error=repr(error)[:500])
            self._transaction(lambda connection: self._write_apart(connection, batch, by_exchange))

    def sweep(self, now: float, settled_after_s: float, abandoned_after_s: float) -> None:
        """Lets go of messages that nothing more comes for, and closes exchanges that nobody else will."""

        def work(connection: Connection) -> None:
            filing = self._plain_filing(connection)
            oldest = self._sharing.unwritten_since(connection) if self._sharing else None
            reached = min(now, oldest or now)  # what others have taken may be of a silent exchange
            filing.lock(one.id for one in filing.quiet_since(reached - settled_after_s))
            quiet = filing.quiet_since(reached - settled_after_s)
            filing.forget([one.id for one in quiet if one.state != "live"])
            for one in quiet:
                if one.state == "live" and one.last_at < reached - abandoned_after_s:
                    filing.abandon(one.id, abandoned_after_s)

        self._transaction(work)

    def expire(self, before: float) -> int:
        """Deletes some of the exchanges that were requested before that time; how many."""
        return self._transaction(lambda connection: self._delete_oldest(connection, EXPIRED_AT_ONCE, before))

    def shrink(self, keep_bytes: float) -> int:
        """Deletes some of the oldest exchanges where the records take more than that; how many."""

        def work(connection: Connection) -> int:
            count = count_of(connection)
            past = too_many(count, self._room.used(connection, count, keep_bytes), keep_bytes)
            return self._delete_oldest(connection, min(past, EXPIRED_AT_ONCE)) if past else 0

        gone = self._transaction(work)
        self._room.deleted(gone)
        return gone

    def delete(self, ids: Sequence[str]) -> int:
        """Deletes these exchanges; how many there were."""

        def work(connection: Connection) -> int:
            filing = self._plain_filing(connection)
            filing.lock(ids)
            known = filing.known(ids)
            filing.delete(known)
            return len(known)

        return self._transaction(work)

    def known(self, ids: Sequence[str]) -> list[str]:
        """Those that are recorded already."""
        return self._transaction(lambda connection: self._plain_filing(connection).known(ids))

    def used_bytes(self) -> int:
        return self._transaction(used_bytes)

    def give_back(self) -> bool:
        """Hands some of the free space back to the file system; whether there is more."""
        return self._transaction(give_back)

    def _delete_oldest(self, connection: Connection, limit: int, before: float | None = None) -> int:
        filing = self._plain_filing(connection)
        expired = filing.oldest(limit, before)
        filing.delete(expired)
        return len(expired)

    def _transaction(self, work: Callable[[Connection], T]) -> T:
        try:
            with unavailable(), self._engine.begin() as connection:
                return work(connection)
        except RecordsUnavailable:
            if self._sharing is not None:  # a lock of the session is gone with its connection, so let that go too
                self.close()
            raise

    def _write(self, connection: Connection, batch: Batch, by_exchange: Mapping[str, list[Message]]) -> None:
        self._begin(connection, batch, by_exchange)
        self._filing(connection).take(by_exchange)

    def _write_apart(self, connection: Connection, batch: Batch, by_exchange: Mapping[str, list[Message]]) -> None:
        """Slowly: an exchange that can't be written is put aside, all others are kept."""
        self._begin(connection, batch, by_exchange)
        for id, messages in by_exchange.items():
            self._filing(connection).take_or_put_aside(id, messages)

    def _begin(self, connection: Connection, batch: Batch, ids: Iterable[str]) -> None:
        """The position or the stretch, and the exchanges are ours. What others have not written yet is asked only then:
        whoever had one of these exchanges has written its stretch meanwhile."""
        if batch.stretch is None:
            self._move(connection, batch.before, batch.after)
        elif self._sharing is None or not self._sharing.finish(connection, batch.stretch):
            raise Overtaken
        writing = Writing(connection, self._statements, self._sealing)
        writing.poison([{**row, "data": self._redaction.data(row["data"])} for row in batch.poison])
        writing.flush()
        self._plain_filing(connection).lock(ids)

    def _filing(self, connection: Connection) -> Filing:
        unwritten_from = self._sharing.unwritten_from(connection) if self._sharing else None
        return Filing(connection, self._statements, self._redaction, self._sealing, unwritten_from)

    def _plain_filing(self, connection: Connection) -> Filing:
        return Filing(connection, self._statements, self._redaction, self._sealing)

    def _move(self, connection: Connection, before: Position, after: Position) -> None:
        """Only from where the caller thinks it stands: two recorders can't both write the same messages."""
        as_thought = (POSITIONS.c.feed == self._feed) & (POSITIONS.c.seq == before.seq) & (POSITIONS.c.at == before.at)
        moved = update(POSITIONS).where(as_thought).values(seq=after.seq, at=after.at)
        if connection.execute(moved).rowcount != 1:
            raise Overtaken
