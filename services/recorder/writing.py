"""Rows on their way into the tables, collected and written many at a time."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import Column, Connection, Table, delete

from services.recorder.rules.exchange import Records
from services.recorder.rules.messages import Message, packed
from services.recorder.rules.rows import Row
from services.recorder.sealing import Sealing
from services.recorder.statements import (
    BODIES,
    CALLS,
    EVENTS,
    EXCHANGES,
    MARKS,
    PENDING,
    POISON,
    SAID,
    TOOL_CALLS,
    Statements,
)
from shared.records.blobs import pack, pack_chunks
from shared.records.search import apart

HELD_BYTES = 16 * 1024 * 1024  # of packed bodies, before they go to the database
IDS_PER_STATEMENT = 500  # SQLite takes 32,766 parameters
CHILDREN = tuple(table.c.exchange_id for table in (CALLS, EVENTS, BODIES, TOOL_CALLS, SAID))


class Writing:
    """One transaction's rows."""

    def __init__(self, connection: Connection, statements: Statements, sealing: Sealing) -> None:
        self._connection = connection
        self._statements = statements
        self._sealing = sealing
        self._overwritten: list[Row] = []
        self._learnt: list[Row] = []
        self._new: dict[Table, list[Row]] = defaultdict(list)
        self._rewritten: list[str] = []
        self._over: list[str] = []
        self._expired: list[str] = []
        self._bytes = 0

    def live(self, row: Row, is_new: bool) -> None:
        """What is known of an exchange that goes on."""
        if is_new:
            self._add(EXCHANGES, [row])
        else:
            self._learnt.append(row)

    def wait(self, id: str, messages: Sequence[Message]) -> None:
        """Messages that are needed again when more has come."""
        last_at = max(message.at for message in messages)
        blob = self._sealing.sealed(packed(messages))
        row = {"exchange_id": id, "first_seq": messages[0].seq, "last_at": last_at, "messages": blob}
        self._add(PENDING, [row], len(blob))

    def close(self, records: Records, is_new: bool, has_children: bool) -> None:
        """All rows of an exchange, in the place of those that it has already."""
        if has_children:
            self._rewritten.append(records.exchange["id"])
        if is_new:
            self._add(EXCHANGES, [records.exchange])
        else:
            self._overwritten.append(records.exchange)
        self._add(CALLS, records.calls)
        self._add(EVENTS, records.events)
        self._add(TOOL_CALLS, records.tool_calls)
        self._add(SAID, [{**row, "text": apart(row["text"])} for row in records.said])
        for row in records.bodies:
            data = pack(row["data"]) if row["data"] is not None else None
            self._add(BODIES, [{**row, "data": data, "chunks": pack_chunks(row["chunks"])}], len(data or b""))

    def events(self, rows: list[Row]) -> None:
        self._add(EVENTS, rows)

    def poison(self, rows: Sequence[Row]) -> None:
        self._add(POISON, rows, sum(len(row["data"]) for row in rows))

    def forget(self, ids: Iterable[str]) -> None:
        """Their messages are not needed any more."""
        self._over += ids

    def delete(self, ids: Iterable[str]) -> None:
        """All that there is of them."""
        self._expired += ids

    def flush(self) -> None:
        self._delete(self._rewritten, CHILDREN)
        self._delete(self._over, (PENDING.c.exchange_id,))
        self._delete(self._expired, (*CHILDREN, MARKS.c.exchange_id, PENDING.c.exchange_id, EXCHANGES.c.id))
        statements = self._statements
        known = ((statements.overwrite, self._overwritten), (statements.learn, self._learnt))
        new = ((statements.insert[table], rows) for table, rows in self._new.items())
        for statement, rows in (*known, *new):
            if rows:
                statement.execute(self._connection, rows)
                rows.clear()
        self._bytes = 0

    def _add(self, table: Table, rows: Sequence[Row], size: int = 0) -> None:
        self._new[table] += rows
        self._bytes += size
        if self._bytes > HELD_BYTES:
            self.flush()

    def _delete(self, ids: list[str], columns: Sequence[Column[Any]]) -> None:
        """The rows that name one of these exchanges in one of these columns."""
        for start in range(0, len(ids), IDS_PER_STATEMENT):
            some = ids[start : start + IDS_PER_STATEMENT]
            for column in columns:
                self._connection.execute(delete(column.table).where(column.in_(some)))
        ids.clear()
