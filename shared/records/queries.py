"""What is asked of the records. Reading only: nothing here makes, migrates or locks a database."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, select

from shared.records.blobs import Chunks, unpack, unpack_chunks
from shared.records.database import open_reader, unavailable
from shared.records.filters import Filter, scan
from shared.records.marks import Marks, marks_of, marks_of_all
from shared.records.names import CALLS, EXCHANGES, TOOL_CALLS, Kind, meanings
from shared.records.postgres import AT_ONCE
from shared.records.space import exchanges_past
from shared.records.tables import Body, Event, Table

ROWS_AT_ONCE = 500  # exchanges that are read by their numbers in one statement
SHOWN = 5  # of several exchanges that a name fits

__all__ = ["Filter", "Kind", "NotFound", "Part", "Records", "Row", "reading"]

Row = dict[str, Any]

_tables = Table.metadata.tables
EVENTS = _tables[str(Event.__tablename__)]
BODIES = _tables[str(Body.__tablename__)]


class NotFound(Exception):
    """No exchange is called that, or several are."""


@dataclass(frozen=True)
class Part:
    """The bytes that one side sent, and when each piece of them came."""

    name: str
    content_type: str | None
    data: bytes | None  # None: they were gone before they could be recorded
    chunks: Chunks
    same_as: str | None  # the part that holds the same bytes


class Records:
    """One database, for reading."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def newest(self, limit: int | None = None, which: Filter | None = None) -> Iterator[Row]:
        """The latest exchanges first; all of them without a limit."""
        which = which or Filter()
        if which.predicate is None or which.predicate.fits is None:
            query = select(EXCHANGES).where(*which.conditions(self._connection.dialect.name))
            yield from self._rows(query.order_by(EXCHANGES.c.number.desc()).limit(limit))
            return
        numbers = (number for (number,) in islice(self.columns(which, EXCHANGES.c.number), limit))
        while some := list(islice(numbers, ROWS_AT_ONCE)):
            query = select(EXCHANGES).where(EXCHANGES.c.number.in_(some))
            yield from self._rows(query.order_by(EXCHANGES.c.number.desc()))

    def columns(self, which: Filter, *columns: ColumnElement[Any], limit: int | None = None) -> Iterator[Sequence[Any]]:
        """These columns of the exchanges that are meant, the newest first; of all of them without a limit."""
        with unavailable():
            yield from scan(self._connection, which, columns, limit)

    def select(self, query: Select[Any]) -> Iterator[Sequence[Any]]:
        """The rows of a question that has no method of its own."""
        with unavailable(), self._connection.execute(query) as found:
            yield from found

    def get(self, name: str, kind: Kind = "any") -> Row:
        """By number, id or its beginning, completion id, or the provider's request id. `last` is the newest."""
        for meaning in meanings(name, kind):
            query = select(EXCHANGES).where(meaning).order_by(EXCHANGES.c.number.desc())
            found = self._few(query.limit(SHOWN))
            if len(found) > 1:
                names = ", ".join(f"{row['number']} ({row['id']})" for row in found)
                raise NotFound(f"{name!r} fits several exchanges: {names}")
            if found:
                return found[0]
        raise NotFound(f"no exchange is called {name!r}")

    def last(self) -> Row:
        found = next(self.newest(1), None)
        if found is None:
            raise NotFound("nothing was recorded yet")
        return found

    def calls(self, id: str) -> list[Row]:
        """The calls of an exchange to providers, in order."""
        found = self._few(select(CALLS).where(CALLS.c.exchange_id == id))
        return sorted(found, key=lambda row: (len(row["call"]), row["call"]))

    def events(self, id: str) -> list[Row]:
        return self._few(select(EVENTS).where(EVENTS.c.exchange_id == id).order_by(EVENTS.c.seq))

    def tool_calls(self, id: str) -> list[Row]:
        """The tool calls of its answers, in order."""
        columns = TOOL_CALLS.c
        query = select(TOOL_CALLS).where(columns.exchange_id == id)
        return self._few(query.order_by(columns.call, columns.choice, columns.number))

    def marks(self, id: str) -> Marks:
        """What somebody thinks of an exchange."""
        with unavailable():
            return marks_of(self._connection, id)

    def marks_of_all(self, ids: Sequence[str]) -> dict[str, Marks]:
        """The marks of those exchanges that have any."""
        with unavailable():
            return marks_of_all(self._connection, ids)

    def parts(self, id: str, names: Sequence[str] | None = None) -> dict[str, Part]:
        """What either side sent, by name: `client.request`, `c1.raw` …; all of it, or that of these names."""
        query = select(BODIES).where(BODIES.c.exchange_id == id)
        if names is not None:
            held = select(BODIES.c.same_as).where(BODIES.c.exchange_id == id, BODIES.c.part.in_(names))
            query = query.where(BODIES.c.part.in_(names) | BODIES.c.part.in_(held))
        rows = {row["part"]: row for row in self._few(query)}
        wanted = rows if names is None else [name for name in names if name in rows]
        return {name: _part(rows[name], rows.get(rows[name]["same_as"], rows[name])) for name in wanted}

    def sizes(self, id: str) -> dict[str, int]:
        """How many bytes each part has."""
        query = select(BODIES.c.part, BODIES.c.size).where(BODIES.c.exchange_id == id)
        return dict((part, size) for part, size in self.select(query))

    def exchanges_past(self, keep_bytes: int) -> int:
        """About how many are too many for that size."""
        with unavailable():
            return exchanges_past(self._connection, keep_bytes)

    def _few(self, query: Select[Any]) -> list[Row]:
        """The rows of one exchange, at once: a cursor on the server would cost more than they do."""
        return list(self._rows(query, AT_ONCE))

    def _rows(self, query: Select[Any], options: Mapping[str, Any] | None = None) -> Iterator[Row]:
        with unavailable(), self._connection.execute(query, execution_options=options) as found:
            for row in found.mappings():
                yield dict(row)


@contextmanager
def reading(url: str) -> Iterator[Records]:
    """The records at `url`, as they were when the block began; raises NoRecords or RecordsUnavailable."""
    engine = open_reader(url)
    try:
        with unavailable(), engine.connect() as connection:
            yield Records(connection)
    finally:
        engine.dispose()


def _part(row: Row, holder: Row) -> Part:
    data = unpack(holder["data"]) if holder["data"] is not None else None
    return Part(row["part"], row["content_type"], data, unpack_chunks(row["chunks"]), row["same_as"])
