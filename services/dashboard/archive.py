"""The records, asked from a loop: each question in a thread, a few at a time, over a connection that can't write."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, TypeVar

import anyio
import anyio.to_thread
from sqlalchemy import Engine, func, select

from services.dashboard.rules.asking import Page
from shared.records.database import NoRecords, open_reader, unavailable
from shared.records.marks import CATEGORY, NOTE, TAG, Category, marking
from shared.records.names import EXCHANGES, TOOL_CALLS
from shared.records.queries import Filter, Records, Row

AT_ONCE = 4  # questions
WINDOW = 1000  # exchanges whose bodies are looked into before the clock is
PATIENCE_S = 1.5  # of a search through bodies; the next page goes on from there

LISTED = (
    *("number", "id", "state", "at", "method", "path", "dialect", "model", "provider", "provider_model", "client"),
    *("status", "outcome", "streamed", "finish_reason", "prompt_tokens", "completion_tokens", "cached_tokens"),
    *("reasoning_tokens", "cost_usd", "first_byte_s", "latency_s", "calls", "body_bytes", "repairs"),
    *("error_code", "error_message"),
)

T = TypeVar("T")


@dataclass(frozen=True)
class Found:
    """One page, and where the next one begins; None where nothing older is left."""

    rows: list[Row]
    before: int | None
    searched_to: float | None = None  # when the time was up: everything since was looked at


@dataclass(frozen=True, kw_only=True)
class MarkChanges:
    """What somebody has just said of an exchange. `category` is left alone where it is not said."""

    category: Category | None = None
    clears_category: bool = False
    tags: Sequence[str] = ()
    untags: Sequence[str] = ()
    notes: Sequence[str] = ()
    unnotes: Sequence[str] = ()


class Archive:
    def __init__(self, url: str | None) -> None:
        self._url = url
        self._lock = threading.Lock()
        self._engine: Engine | None = None
        self._limiter = anyio.CapacityLimiter(AT_ONCE)

    async def ask(self, question: Callable[[Records], T]) -> T:
        """Raises NoRecords, RecordsUnavailable, and what the question raises."""
        return await anyio.to_thread.run_sync(partial(self._ask, question), limiter=self._limiter)

    async def mark(self, id: str, changes: MarkChanges) -> None:
        await anyio.to_thread.run_sync(partial(self._mark, id, changes), limiter=self._limiter)

    def close(self) -> None:
        if self._engine is not None:
            self._engine.dispose()

    def _ask(self, question: Callable[[Records], T]) -> T:
        with unavailable(), self._reader().connect() as connection:
            return question(Records(connection))

    def _reader(self) -> Engine:
        """Opened once there is something to open: the recorder makes the database."""
        with self._lock:
            if self._engine is None:
                self._engine = open_reader(self._place())
            return self._engine

    def _place(self) -> str:
        if self._url is None:
            raise NoRecords("no sink in the configuration is a database that could be read")
        return self._url

    def _mark(self, id: str, changes: MarkChanges) -> None:
        with marking(self._place()) as marks:
            if changes.clears_category:
                marks.drop(id, CATEGORY)
            if changes.category is not None:
                marks.categorise(id, changes.category)
            marks.drop(id, TAG, changes.untags)
            marks.drop(id, NOTE, changes.unnotes)
            for tag in changes.tags:
                marks.add(id, TAG, tag)
            for note in changes.notes:
                marks.add(id, NOTE, note)


def page(records: Records, asked: Page, clock: Callable[[], float] = time.monotonic) -> Found:
    """The newest that are meant. A predicate on bodies looks at some exchanges at a time, for as long as there is
    patience."""
    looks_into_bodies = asked.which.predicate is not None and asked.which.predicate.fits is not None
    if not looks_into_bodies:
        rows = _rows(records, replace(asked.which, number_below=asked.before), asked.limit)
        return Found(_with_more(records, rows), rows[-1]["number"] if len(rows) == asked.limit else None)
    return _search(records, asked, clock() + PATIENCE_S, clock)


def _search(records: Records, asked: Page, until: float, clock: Callable[[], float]) -> Found:
    rows: list[Row] = []
    below = asked.before or _newest_number(records) + 1
    while below > 1 and len(rows) < asked.limit:
        begin = max(1, below - WINDOW)
        window = replace(asked.which, number_from=begin, number_below=below)
        rows += _rows(records, window, asked.limit - len(rows))
        below = rows[-1]["number"] if len(rows) == asked.limit else begin
        if clock() > until and below > 1 and len(rows) < asked.limit:
            return Found(_with_more(records, rows), below, _asked_at(records, below))
    return Found(_with_more(records, rows), below if below > 1 else None)


def _newest_number(records: Records) -> int:
    return int(next(iter(records.select(select(func.max(EXCHANGES.c.number)))))[0] or 0)


def _asked_at(records: Records, number: int) -> float | None:
    query = select(EXCHANGES.c.at).where(EXCHANGES.c.number >= number).order_by(EXCHANGES.c.number).limit(1)
    return next((at for (at,) in records.select(query)), None)


def _rows(records: Records, which: Filter, limit: int) -> list[Row]:
    columns = [EXCHANGES.c[name] for name in LISTED]
    return [dict(zip(LISTED, row, strict=True)) for row in records.columns(which, *columns, limit=limit)]


def _with_more(records: Records, rows: list[Row]) -> list[Row]:
    """With the marks, and the tools that were called."""
    ids = [row["id"] for row in rows]
    marks = records.marks_of_all(ids)
    tools: dict[str, list[Any]] = {}
    for id, name, valid in _tools(records, ids):
        tools.setdefault(id, []).append([name, valid])
    for row in rows:
        said = marks.get(row["id"])
        row["category"], row["tags"] = (said.category, list(said.tags)) if said else (None, [])
        row["tools"] = tools.get(row["id"], [])
    return rows


def _tools(records: Records, ids: Sequence[str]) -> Iterator[Sequence[Any]]:
    columns = TOOL_CALLS.c
    query = select(columns.exchange_id, columns.name, columns.valid).where(columns.exchange_id.in_(ids))
    return records.select(query.order_by(columns.exchange_id, columns.call, columns.choice, columns.number))
