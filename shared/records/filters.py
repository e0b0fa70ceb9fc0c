"""Which exchanges are meant: what `list`, `export`, `stats` and the dashboard ask for."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, fields
from itertools import islice
from typing import Any, Literal

from sqlalchemy import ColumnElement, Connection, FromClause, Select, and_, false, func, or_, select

from shared.records.names import EXCHANGES, any_of
from shared.records.predicates import Predicate
from shared.records.predicates.bodies import Content
from shared.records.predicates.conditions import condition_on
from shared.records.predicates.fields import FIELDS
from shared.records.predicates.syntax import Comparison, Field
from shared.records.search import found_by
from shared.records.tables import Body, Table

BODIES = Table.metadata.tables[str(Body.__tablename__)]

FAILED = ("refused", "broken", "truncated", "lost")  # outcomes with which nobody got a whole answer
FIRST_ERROR = 400


@dataclass(frozen=True, kw_only=True)
class Filter:
    """Which exchanges; what is None, empty or false doesn't matter."""

    model: str | None = None
    provider: str | None = None
    status: int | None = None
    state: str | None = None
    client: str | None = None
    category: str | None = None  # good or bad
    tags: tuple[str, ...] = ()  # all of them
    tool: str | None = None  # called in the answer
    repair: str | None = None
    named: str | None = None  # any of its ids
    search: str | None = None  # words that were said, as `shared.records.search` reads them
    chat_only: bool = False
    errors: bool = False
    since: float | None = None  # Unix seconds
    until: float | None = None
    number_from: int | None = None  # the lowest number, and the one above the highest: a page of a long list
    number_below: int | None = None
    offers_tools: Literal["yes", "unknown"] | None = None  # unknown: it was recorded when nobody counted them
    predicate: Predicate | None = None

    def __bool__(self) -> bool:
        """Whether it leaves anything out."""
        return any(getattr(self, one.name) not in (None, (), False) for one in fields(self))

    def conditions(self, dialect: str) -> Iterator[ColumnElement[bool]]:
        """What SQL can say of it, for one kind of database."""
        columns = EXCHANGES.c
        for name in ("model", "provider", "status", "state", "client", "category", "tool", "repair"):
            if getattr(self, name) is not None:
                yield _equal(name, getattr(self, name))
        yield from (_equal("tag", tag) for tag in self.tags)
        if self.named is not None:
            yield any_of(self.named)
        if self.search is not None:
            said = found_by(self.search, dialect)
            yield EXCHANGES.c.id.in_(said) if said is not None else false()
        if self.chat_only:
            yield columns.path.like("%/chat/completions%")
        if self.errors:
            yield or_(columns.status >= FIRST_ERROR, columns.error_message.is_not(None), columns.outcome.in_(FAILED))
        if self.offers_tools is not None:
            yield columns.tools_offered > 0 if self.offers_tools == "yes" else columns.tools_offered.is_(None)
        yield from self._bounds()
        if self.predicate is not None and self.predicate.where is not None:
            yield self.predicate.where

    def _bounds(self) -> Iterator[ColumnElement[bool]]:
        for column, first, end in (("at", self.since, self.until), ("number", self.number_from, self.number_below)):
            if first is not None:
                yield EXCHANGES.c[column] >= first
            if end is not None:
                yield EXCHANGES.c[column] < end


def scan(
    connection: Connection, which: Filter, columns: Sequence[ColumnElement[Any]], limit: int | None = None
) -> Iterator[Sequence[Any]]:
    """These columns of every exchange that is meant, the newest first; what SQL can't say is looked up in bodies."""
    query = _selecting(columns, which.predicate).where(*which.conditions(connection.dialect.name))
    query = query.order_by(EXCHANGES.c.number.desc())
    if which.predicate is None or which.predicate.fits is None:
        query = query.limit(limit)
    with connection.execute(query) as found:
        fitting = found if which.predicate is None else _fitting(found, len(columns), which.predicate)
        yield from islice(fitting, limit)


def _fitting(found: Iterable[Sequence[Any]], own: int, predicate: Predicate) -> Iterator[Sequence[Any]]:
    """The first `own` values of each row that fits; those behind them are what the predicate needs."""
    fits, parts = predicate.fits, predicate.parts
    needed = own + len(predicate.columns)
    for row in found:
        bodies = {part: Content(*row[needed + 2 * at : needed + 2 * at + 2]) for at, part in enumerate(parts)}
        if fits is None or fits(row[own:needed], bodies):
            yield row[:own]


def _equal(field: str, value: str | int) -> ColumnElement[bool]:
    return condition_on(FIELDS[field], Comparison(Field(field, (), 0), "==", value, 0), 0)


def _selecting(columns: Sequence[ColumnElement[Any]], predicate: Predicate | None) -> Select[Any]:
    """The columns, then what the predicate needs: more columns, and the type and bytes of each part."""
    if predicate is None:
        return select(*columns)
    needed: list[ColumnElement[Any]] = [*columns, *predicate.columns]
    source: FromClause = EXCHANGES
    for name in predicate.parts:
        own, holder = BODIES.alias(), BODIES.alias()
        source = source.outerjoin(own, and_(own.c.exchange_id == EXCHANGES.c.id, own.c.part == name))
        shared = and_(holder.c.exchange_id == own.c.exchange_id, holder.c.part == own.c.same_as)
        source = source.outerjoin(holder, shared)
        needed += [own.c.content_type, func.coalesce(own.c.data, holder.c.data)]
    return select(*needed).select_from(source)
