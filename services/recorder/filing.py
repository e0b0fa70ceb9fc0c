"""Where each exchange's messages go: into its final rows, among those that wait, or behind what is closed."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import structlog
from sqlalchemy import Connection, func, select, update

from services.recorder.rules.exchange import (
    abandoned,
    abandonment,
    assemble,
    hear,
    is_settled,
    late_rows,
    live_row,
    records_of,
)
from services.recorder.rules.messages import Message, unpacked
from services.recorder.rules.redaction import TEXTS_OF_EXCHANGE, Redaction
from services.recorder.rules.rows import Row, poison_row
from services.recorder.sealing import Sealing
from services.recorder.sharing import lock_exchanges
from services.recorder.statements import EXCHANGES, PENDING, Statements
from services.recorder.writing import IDS_PER_STATEMENT, Writing
from shared.records.database import is_about_rows

LIVE = "live"
REASON_CHARACTERS = 500
TELLING = frozenset({"request", "head", "end"})  # messages that change the row of a live exchange

log = structlog.get_logger("recorder")


@dataclass(frozen=True)
class Known:
    """What the database has of an exchange already."""

    state: str | None = None  # None: nothing
    waits: bool = False  # its messages are in `pending`


@dataclass(frozen=True)
class Quiet:
    """An exchange with waiting messages, none of them new."""

    id: str
    last_at: float
    state: str


class Filing:
    """Files the messages of exchanges inside one transaction."""

    def __init__(
        self,
        connection: Connection,
        statements: Statements,
        redaction: Redaction,
        sealing: Sealing,
        unwritten_from: int | None = None,
    ) -> None:
        """`unwritten_from`: from there on, messages lie with other recorders that have not written them yet."""
        self._connection = connection
        self._redaction = redaction
        self._unwritten_from = unwritten_from
        self._sealing = sealing
        self._statements = statements
        self._writing = Writing(connection, statements, sealing)

    def lock(self, ids: Iterable[str]) -> None:
        """Until the transaction ends they are ours alone. On SQLite everything is."""
        if self._connection.dialect.name == "postgresql":
            lock_exchanges(self._connection, ids)

    def take(self, by_exchange: Mapping[str, list[Message]]) -> None:
        known = self._known(list(by_exchange))
        waiting = self._waiting([id for id, new in by_exchange.items() if _needs_all(known[id], new)])
        for id, messages in by_exchange.items():
            self._take(id, known[id], waiting.get(id, []), messages)
        self._writing.flush()

    def take_or_put_aside(self, id: str, messages: list[Message]) -> None:
        with self._setting_apart(id, messages):
            self.take({id: messages})

    def quiet_since(self, at: float) -> list[Quiet]:
        last_at = func.max(PENDING.c.last_at)
        newest = select(PENDING.c.exchange_id, last_at).group_by(PENDING.c.exchange_id).having(last_at < at)
        found = {id: last for id, last in self._connection.execute(newest)}
        known = self._known(list(found))
        return [Quiet(id, last, known[id].state or LIVE) for id, last in found.items()]

    def forget(self, ids: list[str]) -> None:
        self._writing.forget(ids)
        self._writing.flush()

    def oldest(self, limit: int, requested_before: float | None = None) -> list[str]:
        """The oldest exchanges that are over."""
        columns = EXCHANGES.c
        old = select(columns.id).where(columns.state != LIVE).order_by(columns.at).limit(limit)
        if requested_before is not None:
            old = old.where(columns.at < requested_before)
        return list(self._connection.scalars(old))

    def known(self, ids: Sequence[str]) -> list[str]:
        """Those that the records have."""
        return [id for id, known in self._known(ids).items() if known.state is not None]

    def delete(self, ids: list[str]) -> None:
        self._writing.delete(ids)
        self._writing.flush()

    def abandon(self, id: str, after_s: float) -> None:
        with self._setting_apart(id, []):
            waiting = self._waiting([id]).get(id)
            if not waiting:  # its messages can't be read any more: what was known of it stays
                self._close_as(id, abandonment(after_s))
                self._writing.forget([id])
            else:
                records = abandoned(assemble(id, waiting), after_s)
                self._writing.close(self._redaction.records(records), is_new=False, has_children=True)
            self._writing.flush()

    @contextmanager
    def _setting_apart(self, id: str, messages: Sequence[Message]) -> Iterator[None]:
        """An exchange whose rows the database doesn't take becomes poison, so that all others go on."""
        try:
            with self._connection.begin_nested():
                yield
        except Exception as error:
            if not is_about_rows(error):
                raise
            log.error("recorder.exchange_put_aside", exchange=id, error=repr(error)[:REASON_CHARACTERS])
            self._put_aside(id, messages, repr(error)[:REASON_CHARACTERS])

    def _put_aside(self, id: str, messages: Sequence[Message], reason: str) -> None:
        # the old one still holds the rows that failed
        self._writing = Writing(self._connection, self._statements, self._sealing)
        waiting = self._waiting([id]).get(id, [])
        self._writing.poison([self._poison(id, message, reason) for message in (*waiting, *messages)])
        self.forget([id])
        self._close_as(id, {"error_code": "not_recordable", "error_message": reason})

    def _poison(self, id: str, message: Message, reason: str) -> Row:
        """Of a text in pieces nothing is kept where patterns are to be taken out: one may lie across several."""
        data = message.text or message.data
        kept = b"" if message.kind == "data" and self._redaction.is_on else self._redaction.data(data)
        return poison_row(message.seq, message.at, f"{id}.{message.topic}", reason, kept)

    def _close_as(self, id: str, told: Row) -> None:
        """An exchange of whose messages no rows can be made."""
        gone = {"state": "abandoned", **told}
        self._connection.execute(update(EXCHANGES).where(EXCHANGES.c.id == id, EXCHANGES.c.state == LIVE).values(gone))

    def _take(self, id: str, known: Known, waiting: list[Message], messages: list[Message]) -> None:
        is_closed = known.state not in (None, LIVE)
        if known.state is not None and (not known.waits or (is_closed and not waiting)):
            self._writing.events(self._redaction.events(late_rows(id, messages)))
        elif _needs_all(known, messages):
            self._close(id, known, waiting, messages)
        else:
            self._writing.wait(id, messages)
            if known.state is None or any(message.kind in TELLING for message in messages):
                row = self._redaction.row(live_row(id, hear(messages)), TEXTS_OF_EXCHANGE)
                self._writing.live(row, is_new=known.state is None)

    def _close(self, id: str, known: Known, waiting: list[Message], messages: list[Message]) -> None:
        """Final rows, written again whenever something still comes for an exchange that is not settled."""
        everything = [*waiting, *messages]
        heard = hear(everything)
        has_children = known.state not in (None, LIVE)
        self._writing.close(
            self._redaction.records(records_of(id, heard)), is_new=known.state is None, has_children=has_children
        )
        if not (is_settled(heard) and self._has_all(everything, messages)):
            self._writing.wait(id, messages)
        elif known.waits:
            self._writing.forget([id])

    def _has_all(self, everything: Sequence[Message], new: Sequence[Message]) -> bool:
        """Whether nothing between an exchange's messages is still to be written. A stretch has no gaps."""
        if self._unwritten_from is None or self._unwritten_from > max(message.seq for message in everything):
            return True
        return _begins(new) and any(message.kind == "done" for message in new)

    def _known(self, ids: Sequence[str]) -> dict[str, Known]:
        known = dict.fromkeys(ids, Known())
        for some in _slices(ids):
            waits = select(PENDING.c.exchange_id).where(PENDING.c.exchange_id == EXCHANGES.c.id).exists()
            found = select(EXCHANGES.c.id, EXCHANGES.c.state, waits).where(EXCHANGES.c.id.in_(some))
            known |= {id: Known(state, bool(is_waiting)) for id, state, is_waiting in self._connection.execute(found)}
        return known

    def _waiting(self, ids: Sequence[str]) -> dict[str, list[Message]]:
        waiting: dict[str, list[Message]] = defaultdict(list)
        for some in _slices(ids):
            found = select(PENDING.c.exchange_id, PENDING.c.messages).where(PENDING.c.exchange_id.in_(some))
            for id, blob in self._connection.execute(found.order_by(PENDING.c.exchange_id, PENDING.c.first_seq)):
                if (packed := self._sealing.opened(blob)) is None:
                    log.error("recorder.unreadable_messages", exchange=id, why="the bus has lost the key of pending")
                else:
                    waiting[id] += unpacked(packed)
        return waiting


def _needs_all(known: Known, messages: Sequence[Message]) -> bool:
    """Whether rows are to be made of everything that came, not only of the new."""
    if known.state is not None and not known.waits:
        return False
    return known.state not in (None, LIVE) or any(message.kind == "done" for message in messages)


def _begins(messages: Sequence[Message]) -> bool:
    """Whether the client's request is among them: it is the first message of its exchange."""
    return any(message.kind == "request" and not message.call for message in messages)


def _slices(ids: Sequence[str]) -> list[Sequence[str]]:
    return [ids[start : start + IDS_PER_STATEMENT] for start in range(0, len(ids), IDS_PER_STATEMENT)]
