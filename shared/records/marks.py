"""What somebody thinks of an exchange: a category, tags, notes. Written in short transactions beside any recorder."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy import Connection, delete, insert, select

from shared.records.database import open_writer, unavailable
from shared.records.postgres import AT_ONCE
from shared.records.tables import Mark, Table

Name = Literal["category", "tag", "note"]
Category = Literal["good", "bad"]

CATEGORY: Name = "category"
TAG: Name = "tag"
NOTE: Name = "note"

LONGEST_BYTES = {CATEGORY: 10, TAG: 400, NOTE: 2400}
"""In UTF-8. They are part of the table's key, and a key of Postgres takes 2,704 bytes at most, the id included."""

MARKS = Table.metadata.tables[str(Mark.__tablename__)]


class Unmarkable(ValueError):
    """Nothing that can be said of an exchange; the text says why, and what could be."""


def check(name: Name, value: str) -> None:
    """Raises Unmarkable."""
    size = len(value.encode("utf-8", "surrogatepass"))
    if not value.strip() or "\0" in value or not _is_unicode(value):
        raise Unmarkable(f"a {name} must hold something, and no NUL or lone surrogate")
    if size > LONGEST_BYTES[name]:
        raise Unmarkable(f"a {name} takes {LONGEST_BYTES[name]} bytes at most, this one has {size}")


def _is_unicode(text: str) -> bool:
    return not any("\ud800" <= character <= "\udfff" for character in text)


@dataclass(frozen=True)
class Marks:
    """What was said of one exchange, oldest first."""

    category: str | None = None
    tags: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def marks_of(connection: Connection, exchange_id: str) -> Marks:
    return marks_of_all(connection, [exchange_id]).get(exchange_id, Marks())


def marks_of_all(connection: Connection, exchange_ids: Sequence[str]) -> dict[str, Marks]:
    """The marks of those that have any."""
    query = select(MARKS.c.exchange_id, MARKS.c.name, MARKS.c.value).where(MARKS.c.exchange_id.in_(exchange_ids))
    ordered = query.order_by(MARKS.c.at, MARKS.c.value)
    said: dict[str, dict[str, tuple[str, ...]]] = {}
    for id, name, value in connection.execute(ordered, execution_options=AT_ONCE):
        of_it = said.setdefault(id, {CATEGORY: (), TAG: (), NOTE: ()})
        of_it[name] = (*of_it.get(name, ()), value)
    return {id: Marks(next(iter(of_it[CATEGORY][-1:]), None), of_it[TAG], of_it[NOTE]) for id, of_it in said.items()}


class Marking:
    """One transaction."""

    def __init__(self, connection: Connection, at: float) -> None:
        self._connection = connection
        self._at = at

    def categorise(self, exchange_id: str, category: Category) -> None:
        """An exchange has one category; the last word counts."""
        self.drop(exchange_id, CATEGORY)
        self.add(exchange_id, CATEGORY, category)

    def add(self, exchange_id: str, name: Name, value: str) -> None:
        """Said twice, it is still one mark, from the first time. Raises Unmarkable."""
        check(name, value)
        row: dict[str, Any] = {"exchange_id": exchange_id, "name": name, "value": value}
        here = (MARKS.c.exchange_id == exchange_id, MARKS.c.name == name, MARKS.c.value == value)
        if self._connection.execute(select(MARKS.c.at).where(*here)).first() is None:
            self._connection.execute(insert(MARKS), {**row, "at": self._at})

    def drop(self, exchange_id: str, name: Name, values: Iterable[str] | None = None) -> int:
        """All of that name, or those values; how many there were."""
        which = [MARKS.c.exchange_id == exchange_id, MARKS.c.name == name]
        if values is not None:
            which.append(MARKS.c.value.in_(list(values)))
        return self._connection.execute(delete(MARKS).where(*which)).rowcount


@contextmanager
def marking(url: str, at: float | None = None) -> Iterator[Marking]:
    """All marks of the block, or none of them; raises RecordsUnavailable. The database must be there."""
    engine = open_writer(url)
    try:
        with unavailable(), engine.begin() as connection:
            yield Marking(connection, time.time() if at is None else at)
    finally:
        engine.dispose()
