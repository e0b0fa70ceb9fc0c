"""The statements of the hot path, compiled once: SQLAlchemy's own execution costs as much as all of SQLite's work."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from operator import itemgetter
from typing import Any, Protocol

import msgspec
import psycopg
from sqlalchemy import JSON, Column, ColumnElement, Connection, Dialect, Table, bindparam, case, func, insert, update
from sqlalchemy.exc import DBAPIError
from sqlalchemy.sql.dml import UpdateBase

from services.recorder.rules.rows import Row
from shared.records import tables

_all = tables.Table.metadata.tables
EXCHANGES, CALLS, EVENTS, BODIES = _all["exchanges"], _all["calls"], _all["events"], _all["bodies"]
TOOL_CALLS, SAID, MARKS = _all["tool_calls"], _all["said"], _all["marks"]
PENDING, POSITIONS, STRETCHES, POISON = _all["pending"], _all["positions"], _all["stretches"], _all["poison"]

NUL_SHOWN = "\u2400"  # the sign for NUL
NEW = "new_"  # before the name of a column: the value that comes


class Write(Protocol):
    """One statement for many rows; each row has a value for every column but the automatic one."""

    def execute(self, connection: Connection, rows: Sequence[Row]) -> None: ...


class Many:
    """As the driver's `executemany`."""

    def __init__(self, dialect: Dialect, table: Table, statement: UpdateBase) -> None:
        compiled = statement.compile(dialect=dialect)
        names = compiled.positiontup
        self._text = str(compiled)
        self._in_order = itemgetter(*(name.removeprefix(NEW) for name in names)) if names else None
        self._json = _json_columns(table)

    def execute(self, connection: Connection, rows: Sequence[Row]) -> None:
        _encode(rows, self._json)
        connection.exec_driver_sql(self._text, [self._values(row) for row in rows])

    def _values(self, row: Row) -> Any:
        if self._in_order is None:
            return {NEW + name: _without_nul(value) for name, value in row.items()}
        return self._in_order(row)


class Copied:
    """As Postgres's COPY: 2,700 plain exchanges a second became 3,700 (docs/records.md)."""

    def __init__(self, table: Table) -> None:
        names = [column.name for column in table.c if not is_automatic(column)]
        self._text = f"COPY {table.name} ({', '.join(map(_quoted, names))}) FROM STDIN"
        self._in_order = itemgetter(*names)
        self._json = _json_columns(table)

    def execute(self, connection: Connection, rows: Sequence[Row]) -> None:
        _encode(rows, self._json)
        raw = connection.connection.driver_connection
        assert isinstance(raw, psycopg.Connection)  # noqa: S101 - for mypy
        with _as_sqlalchemys(), raw.cursor() as cursor, cursor.copy(self._text) as copy:
            for row in rows:
                copy.write_row([_without_nul(value) for value in self._in_order(row)])


def _quoted(name: str) -> str:
    return f'"{name}"'


def _json_columns(table: Table) -> list[str]:
    return [column.name for column in table.c if isinstance(column.type, JSON)]


def _encode(rows: Sequence[Row], names: Sequence[str]) -> None:
    for name in names:
        for row in rows:
            if row[name] is not None:
                row[name] = msgspec.json.encode(row[name]).decode()


def _without_nul(value: Any) -> Any:
    """Postgres's texts hold every character but this one."""
    return value.replace("\x00", NUL_SHOWN) if type(value) is str and "\x00" in value else value


@contextmanager
def _as_sqlalchemys() -> Iterator[None]:
    """Errors of the driver, as SQLAlchemy raises them elsewhere."""
    try:
        yield
    except psycopg.Error as error:
        raise DBAPIError.instance("COPY", None, error, psycopg.Error, hide_parameters=True) from error


class Statements:
    """What the recorder writes with, on one kind of database."""

    def __init__(self, dialect: Dialect) -> None:
        written = (EXCHANGES, CALLS, EVENTS, BODIES, TOOL_CALLS, SAID, PENDING, POISON)
        self.insert = {table: _inserting(dialect, table) for table in written}
        self.overwrite = Many(dialect, EXCHANGES, _update(_overwritten()))
        self.learn = Many(dialect, EXCHANGES, _update(_learnt()))


def _inserting(dialect: Dialect, table: Table) -> Write:
    return Copied(table) if dialect.name == "postgresql" else Many(dialect, table, _insert(table))


def _new(table: Table) -> dict[str, ColumnElement[Any]]:
    return {c.name: bindparam(NEW + c.name, type_=c.type) for c in table.c if not is_automatic(c)}


def is_automatic(column: Column[Any]) -> bool:
    """Whether the database numbers its rows by it."""
    return column is column.table.autoincrement_column


def _insert(table: Table) -> UpdateBase:
    return insert(table).values(_new(table))


def _update(values: dict[str, ColumnElement[Any]]) -> UpdateBase:
    return update(EXCHANGES).where(EXCHANGES.c.id == bindparam(f"{NEW}id")).values(values)


def _overwritten() -> dict[str, ColumnElement[Any]]:
    return {name: value for name, value in _new(EXCHANGES).items() if name != "id"}


def _learnt() -> dict[str, ColumnElement[Any]]:
    """A live row learns: what is new is added, nothing known is lost."""
    new = _overwritten()
    learnt: dict[str, ColumnElement[Any]] = {name: func.coalesce(new[name], EXCHANGES.c[name]) for name in new}
    learnt["calls"] = case((new["calls"] > EXCHANGES.c.calls, new["calls"]), else_=EXCHANGES.c.calls)
    del learnt["at"]  # the first message said it
    return learnt
