"""The statements of the hot path, compiled once: SQLAlchemy's own execution costs as much as all of SQLite's work."""

from __future__ import annotations

from collections.abc import Sequence
from operator import itemgetter
from typing import Any

import msgspec
from sqlalchemy import JSON, Column, ColumnElement, Connection, Dialect, Table, bindparam, case, func, insert, update
from sqlalchemy.sql.dml import UpdateBase

from services.recorder.rules.rows import Row
from shared.records import tables

_all = tables.Table.metadata.tables
EXCHANGES, CALLS, EVENTS, BODIES = _all["exchanges"], _all["calls"], _all["events"], _all["bodies"]
TOOL_CALLS, SAID, MARKS = _all["tool_calls"], _all["said"], _all["marks"]
PENDING, POSITIONS, POISON = _all["pending"], _all["positions"], _all["poison"]

NEW = "new_"  # before the name of a column: the value that comes


class Many:
    """One statement for many rows; each row has a value for every column but the automatic one."""

    def __init__(self, dialect: Dialect, table: Table, statement: UpdateBase) -> None:
        compiled = statement.compile(dialect=dialect)
        names = compiled.positiontup
        self._text = str(compiled)
        self._in_order = itemgetter(*(name.removeprefix(NEW) for name in names)) if names else None
        self._json = [column.name for column in table.c if isinstance(column.type, JSON)]

    def execute(self, connection: Connection, rows: Sequence[Row]) -> None:
        for name in self._json:
            for row in rows:
                if row[name] is not None:
                    row[name] = msgspec.json.encode(row[name]).decode()
        connection.exec_driver_sql(self._text, [self._values(row) for row in rows])

    def _values(self, row: Row) -> Any:
        if self._in_order is None:
            return {NEW + name: value for name, value in row.items()}
        return self._in_order(row)


class Statements:
    """What the recorder writes with, on one kind of database."""

    def __init__(self, dialect: Dialect) -> None:
        written = (EXCHANGES, CALLS, EVENTS, BODIES, TOOL_CALLS, SAID, PENDING, POISON)
        self.insert = {table: Many(dialect, table, _insert(table)) for table in written}
        self.overwrite = Many(dialect, EXCHANGES, _update(_overwritten()))
        self.learn = Many(dialect, EXCHANGES, _update(_learnt()))


def _new(table: Table) -> dict[str, ColumnElement[Any]]:
    return {c.name: bindparam(NEW + c.name, type_=c.type) for c in table.c if not _is_automatic(c)}


def _is_automatic(column: Column[Any]) -> bool:
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
