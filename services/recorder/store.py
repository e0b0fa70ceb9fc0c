"""One batch, one transaction: rows, waiting messages and the position together, or nothing of it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import structlog
from sqlalchemy import Connection, Engine, func, insert, select, update

from services.recorder.filing import LIVE, Filing
from services.recorder.rules.messages import Message
from services.recorder.rules.position import Position
from services.recorder.rules.rows import Row
from services.recorder.statements import EXCHANGES, PENDING, POSITIONS, Statements
from services.recorder.writing import Writing
from shared.records.database import BUSY_TIMEOUT_S, RecordsUnavailable, open_writer, unavailable

EXPIRED_AT_ONCE = 2000  # exchanges deleted in one transaction, so that writing waits for a moment only

log = structlog.get_logger("recorder")


class Overtaken(Exception):
    """Another recorder has written this part of the stream: read the position again."""


@dataclass(frozen=True, kw_only=True)
class Batch:
    """What is written at once."""

    messages: Sequence[tuple[str, Message]]  # each with its exchange's id
    poison: Sequence[Row]
    before: Position
    after: Position


class Store:
    """The writer's side of one records database. It blocks; one thread at a time."""

    def __init__(self, engine: Engine, feed: str) -> None:
        self._engine = engine
        self._feed = feed
        self._statements = Statements(engine.dialect)

    @classmethod
    def open(cls, url: str, feed: str, busy_timeout_s: float = BUSY_TIMEOUT_S) -> Store:
        return cls(open_writer(url, busy_timeout_s), feed)

    def close(self) -> None:
        self._engine.dispose()

    def position(self) -> Position:
        columns = (POSITIONS.c.seq, POSITIONS.c.at)
        with unavailable(), self._engine.connect() as connection:
            found = connection.execute(select(*columns).where(POSITIONS.c.feed == self._feed)).one_or_none()
        return Position(*found) if found else Position()

    def open_exchanges(self) -> int:
        """Those that go on; what is over waits a while longer, for whatever may still be said about it."""
        waiting = select(PENDING.c.exchange_id)
        going_on = select(func.count()).where(EXCHANGES.c.id.in_(waiting), EXCHANGES.c.state == LIVE)
        with unavailable(), self._engine.connect() as connection:
            return connection.scalar(going_on) or 0

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
            filing = Filing(connection, self._statements)
            quiet = filing.quiet_since(now - settled_after_s)
            filing.forget([one.id for one in quiet if one.state != "live"])
            for one in quiet:
                if one.state == "live" and one.last_at < now - abandoned_after_s:
                    filing.abandon(one.id, abandoned_after_s)

        self._transaction(work)

    def expire(self, before: float) -> int:
        """Deletes some of the exchanges that were requested before that time; how many."""
        expired: list[str] = []

        def work(connection: Connection) -> None:
            filing = Filing(connection, self._statements)
            expired.extend(filing.requested_before(before, EXPIRED_AT_ONCE))
            filing.delete(expired)

        self._transaction(work)
        return len(expired)

    def _transaction(self, work: Callable[[Connection], None]) -> None:
        with unavailable(), self._engine.begin() as connection:
            work(connection)

    def _write(self, connection: Connection, batch: Batch, by_exchange: Mapping[str, list[Message]]) -> None:
        self._begin(connection, batch)
        Filing(connection, self._statements).take(by_exchange)

    def _write_apart(self, connection: Connection, batch: Batch, by_exchange: Mapping[str, list[Message]]) -> None:
        """Slowly: an exchange that can't be written is put aside, all others are kept."""
        self._begin(connection, batch)
        for id, messages in by_exchange.items():
            Filing(connection, self._statements).take_or_put_aside(id, messages)

    def _begin(self, connection: Connection, batch: Batch) -> None:
        self._move(connection, batch.before, batch.after)
        writing = Writing(connection, self._statements)
        writing.poison(batch.poison)
        writing.flush()

    def _move(self, connection: Connection, before: Position, after: Position) -> None:
        """Only from where the caller thinks it stands: two recorders can't both write the same messages."""
        mine = POSITIONS.c.feed == self._feed
        to = {"seq": after.seq, "at": after.at}
        as_thought = (POSITIONS.c.seq == before.seq) & (POSITIONS.c.at == before.at)
        if connection.execute(update(POSITIONS).where(mine, as_thought).values(to)).rowcount == 1:
            return
        if before != Position() or connection.scalar(select(POSITIONS.c.seq).where(mine)) is not None:
            raise Overtaken
        connection.execute(insert(POSITIONS), {"feed": self._feed, **to})
