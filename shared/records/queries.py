"""What is asked of the records. Reading only: nothing here makes, migrates or locks a database."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from typing import Any, Literal

from sqlalchemy import ColumnElement, Connection, FromClause, Select, and_, func, or_, select

from shared.records.blobs import Chunks, unpack, unpack_chunks
from shared.records.database import open_reader, unavailable
from shared.records.marks import Marks, marks_of
from shared.records.predicates import Predicate
from shared.records.predicates.bodies import Content
from shared.records.tables import Body, Call, Event, Exchange, Table

PREFIX_CHARS = 4  # the fewest characters of an id that stand for it
ROWS_AT_ONCE = 500  # exchanges that are read by their numbers in one statement
NUMBER_DIGITS = 15  # a longer one is an id
LAST_CHAR = "\U0010ffff"
SHOWN = 5  # of several exchanges that a name fits

Row = dict[str, Any]
Kind = Literal["any", "id", "completion", "provider_request"]

_tables = Table.metadata.tables
EXCHANGES = _tables[str(Exchange.__tablename__)]
CALLS = _tables[str(Call.__tablename__)]
EVENTS = _tables[str(Event.__tablename__)]
BODIES = _tables[str(Body.__tablename__)]


class NotFound(Exception):
    """No exchange is called that, or several are."""


@dataclass(frozen=True, kw_only=True)
class Filter:
    """Which exchanges; what is None doesn't matter."""

    model: str | None = None
    provider: str | None = None
    status: int | None = None
    state: str | None = None
    chat_only: bool = False
    since: float | None = None  # Unix seconds
    until: float | None = None
    predicate: Predicate | None = None

    def predicates(self) -> Iterator[ColumnElement[bool]]:
        columns = EXCHANGES.c
        for name in ("model", "provider", "status", "state"):
            value = getattr(self, name)
            if value is not None:
                yield columns[name] == value
        if self.chat_only:
            yield columns.path.like("%/chat/completions%")
        if self.since is not None:
            yield columns.at >= self.since
        if self.until is not None:
            yield columns.at < self.until
        if self.predicate is not None and self.predicate.where is not None:
            yield self.predicate.where


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
        if which.predicate is not None and which.predicate.fits is not None:
            yield from self._scanned(limit, which, which.predicate)
            return
        query = select(EXCHANGES).where(*which.predicates())
        yield from self._rows(query.order_by(EXCHANGES.c.number.desc()).limit(limit))

    def _scanned(self, limit: int | None, which: Filter, predicate: Predicate) -> Iterator[Row]:
        """Of the exchanges that SQL lets through, those that fit; their rows are read only then."""
        numbers = islice(self._fitting(which, predicate), limit)
        while some := list(islice(numbers, ROWS_AT_ONCE)):
            query = select(EXCHANGES).where(EXCHANGES.c.number.in_(some))
            yield from self._rows(query.order_by(EXCHANGES.c.number.desc()))

    def _fitting(self, which: Filter, predicate: Predicate) -> Iterator[int]:
        fits, parts, behind = predicate.fits, predicate.parts, 1 + len(predicate.columns)
        assert fits is not None  # noqa: S101 - the caller's condition
        query = _scan(predicate).where(*which.predicates()).order_by(EXCHANGES.c.number.desc())
        with unavailable():
            for row in self._connection.execute(query):
                bodies = {part: Content(*row[behind + 2 * at : behind + 2 * at + 2]) for at, part in enumerate(parts)}
                if fits(row[1:behind], bodies):
                    yield row[0]

    def get(self, name: str, kind: Kind = "any") -> Row:
        """By number, id or its beginning, completion id, or the provider's request id. `last` is the newest."""
        for meaning in _meanings(name, kind):
            query = select(EXCHANGES).where(meaning).order_by(EXCHANGES.c.number.desc())
            found = list(self._rows(query.limit(SHOWN)))
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
        found = self._rows(select(CALLS).where(CALLS.c.exchange_id == id))
        return sorted(found, key=lambda row: (len(row["call"]), row["call"]))

    def events(self, id: str) -> list[Row]:
        return list(self._rows(select(EVENTS).where(EVENTS.c.exchange_id == id).order_by(EVENTS.c.seq)))

    def marks(self, id: str) -> Marks:
        """What somebody thinks of an exchange."""
        with unavailable():
            return marks_of(self._connection, id)

    def parts(self, id: str) -> dict[str, Part]:
        """Everything that either side sent, by name: `client.request`, `c1.raw` …"""
        rows = {row["part"]: row for row in self._rows(select(BODIES).where(BODIES.c.exchange_id == id))}
        return {name: _part(row, rows.get(row["same_as"], row)) for name, row in rows.items()}

    def _rows(self, query: Select[Any]) -> Iterator[Row]:
        with unavailable():
            for row in self._connection.execute(query).mappings():
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


def _scan(predicate: Predicate) -> Select[Any]:
    """The number of each exchange, and what a predicate needs of it: columns, then the type and bytes of each part."""
    columns: list[ColumnElement[Any]] = [EXCHANGES.c.number, *predicate.columns]
    source: FromClause = EXCHANGES
    for name in predicate.parts:
        own, holder = BODIES.alias(), BODIES.alias()
        source = source.outerjoin(own, and_(own.c.exchange_id == EXCHANGES.c.id, own.c.part == name))
        shared = and_(holder.c.exchange_id == own.c.exchange_id, holder.c.part == own.c.same_as)
        source = source.outerjoin(holder, shared)
        columns += [own.c.content_type, func.coalesce(own.c.data, holder.c.data)]
    return select(*columns).select_from(source)


def _meanings(name: str, kind: Kind) -> Iterator[ColumnElement[bool]]:
    """What a name can mean, the likeliest first."""
    if kind in ("any", "id"):
        if name.isascii() and name.isdigit() and len(name) <= NUMBER_DIGITS:
            yield EXCHANGES.c.number == int(name)
        yield EXCHANGES.c.id == name.upper()
        yield EXCHANGES.c.id == name
        if len(name) >= PREFIX_CHARS:
            begin = name.upper()
            yield and_(EXCHANGES.c.id >= begin, EXCHANGES.c.id < begin + LAST_CHAR)
    if kind in ("any", "completion"):
        yield _called("completion_id", name)
    if kind in ("any", "provider_request"):
        yield _called("provider_request_id", name)


def _called(column: str, name: str) -> ColumnElement[bool]:
    """The exchange's own, or that of any of its calls."""
    calls = select(CALLS.c.exchange_id).where(CALLS.c[column] == name)
    return or_(EXCHANGES.c[column] == name, EXCHANGES.c.id.in_(calls))


def _part(row: Row, holder: Row) -> Part:
    data = unpack(holder["data"]) if holder["data"] is not None else None
    return Part(row["part"], row["content_type"], data, unpack_chunks(row["chunks"]), row["same_as"])
