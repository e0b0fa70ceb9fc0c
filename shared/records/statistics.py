"""Sums over exchanges: how many, how long, how dear, how well. Pure; rows in, one `Sums` a group out."""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from itertools import islice
from typing import Any, TypeAlias

from sqlalchemy import ColumnElement, Select, and_, case, func, select

from shared.records.filters import FAILED, FIRST_ERROR, Filter
from shared.records.marks import MARKS
from shared.records.names import CALLS, EXCHANGES, TOOL_CALLS
from shared.records.queries import Records

BY = ("model", "provider", "day", "client")
PERCENTILES = (50, 95, 99)
ANSWERED = ("complete", "stopped")  # outcomes of a call whose answer came to its end
OFFERS_TOOLS = "request_body.tools.0 != null"
IDS_AT_ONCE = 500
NOT_FOUND = 404

Key: TypeAlias = tuple[str, ...]


@dataclass
class Times:
    """Durations, 8 bytes each."""

    _values: array[float] = field(default_factory=lambda: array("d"))

    def take(self, value: float | None) -> None:
        if value is not None:
            self._values.append(value)

    def percentiles(self) -> dict[str, float | None]:
        """By nearest rank: each of them is a time that was measured."""
        in_order = sorted(self._values)
        return {f"p{percent}": in_order[_rank(percent, len(in_order))] if in_order else None for percent in PERCENTILES}


def _rank(percent: int, count: int) -> int:
    return max(0, math.ceil(percent / 100 * count) - 1)


@dataclass
class Sums:
    """Of one group of exchanges."""

    exchanges: int = 0
    errors: int = 0
    not_found: int = 0  # those that the client got a 404 for: of a path, or of a model that nobody serves
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_tokens: int = 0
    reasoning_tokens: int = 0
    cost_usd: float | None = None  # None: no price is known for any of them
    unpriced: int = 0  # exchanges with tokens and without a price
    repaired: int = 0  # exchanges with a repair
    good: int = 0
    bad: int = 0
    tool_calls: int = 0
    valid: int = 0  # tool calls that fit their schema, as the client got them
    valid_unrepaired: int = 0  # those of them that the provider wrote so
    first_byte: Times = field(default_factory=Times)
    total: Times = field(default_factory=Times)

    def take(self, row: Mapping[str, Any]) -> None:
        self.exchanges += 1
        self.errors += bool(row["failed"])
        self.not_found += row["status"] == NOT_FOUND
        self.repaired += row["repairs"] is not None
        for name in ("prompt_tokens", "completion_tokens", "cached_tokens", "reasoning_tokens"):
            setattr(self, name, getattr(self, name) + (row[name] or 0))
        if row["cost_usd"] is not None:
            self.cost_usd = (self.cost_usd or 0.0) + row["cost_usd"]
        self.unpriced += row["cost_usd"] is None and bool(row["prompt_tokens"] or row["completion_tokens"])
        for name in ("good", "bad", "tool_calls", "valid", "valid_unrepaired"):
            setattr(self, name, getattr(self, name) + (row[name] or 0))
        self.first_byte.take(row["first_byte_s"])
        self.total.take(row["latency_s"])

    def told(self) -> dict[str, Any]:
        """As JSON has it."""
        plain = {name: value for name, value in vars(self).items() if not isinstance(value, Times)}
        quality = {
            "schema_accuracy": share(self.valid, self.tool_calls),
            "schema_accuracy_before_repair": share(self.valid_unrepaired, self.tool_calls),
        }
        times = {"first_byte_s": self.first_byte.percentiles(), "latency_s": self.total.percentiles()}
        return {**plain, **quality, **times}


@dataclass
class Quality:
    """Of the answers of one provider and model to requests that offered tools, as the K2 vendor verifier counts."""

    answers: int = 0
    with_calls: int = 0
    all_valid: int = 0  # answers with calls, each of them valid
    all_valid_unrepaired: int = 0
    tool_calls: int = 0
    valid: int = 0
    valid_unrepaired: int = 0

    def take(self, calls: int, valid: int, valid_unrepaired: int) -> None:
        self.answers += 1
        self.with_calls += calls > 0
        self.all_valid += 0 < calls == valid
        self.all_valid_unrepaired += 0 < calls == valid_unrepaired
        self.tool_calls += calls
        self.valid += valid
        self.valid_unrepaired += valid_unrepaired

    def told(self) -> dict[str, Any]:
        return {
            **vars(self),
            "trigger_rate": share(self.with_calls, self.answers),
            "schema_accuracy": share(self.valid, self.tool_calls),
            "schema_accuracy_before_repair": share(self.valid_unrepaired, self.tool_calls),
        }


def share(some: int, all_: int) -> float | None:
    return some / all_ if all_ else None


def sums_by(records: Records, which: Filter, by: Sequence[str]) -> dict[Key, Sums]:
    """The sums of each group, the largest first (days: the newest); `by` names one or more of BY."""
    columns = _columns()
    groups: dict[Key, Sums] = {}
    for values in records.columns(which, *columns.values()):
        row = dict(zip(columns, values, strict=True))
        groups.setdefault(tuple(_group(row, name) for name in by), Sums()).take(row)
    if by == ["day"]:
        return dict(sorted(groups.items(), reverse=True))
    return dict(sorted(groups.items(), key=lambda group: (-group[1].exchanges, group[0])))


def quality_of(records: Records, which: Filter, offering: Filter | None = None) -> dict[Key, Quality]:
    """By provider and its model, of the exchanges whose requests offered tools. `offering` lets those of them through,
    by their bodies, that were recorded when nobody counted the tools; without it they are left out."""
    groups: dict[Key, Quality] = {}
    filters = [replace(which, offers_tools="yes")]
    if offering is not None:
        filters.append(replace(offering, offers_tools="unknown"))
    ids = (id for one in filters for (id,) in records.columns(one, EXCHANGES.c.id))
    for some in _batches(ids):
        for provider, model, calls, valid, unrepaired in records.select(_answers(some)):
            key = (provider or "-", model or "-")
            groups.setdefault(key, Quality()).take(calls or 0, valid or 0, unrepaired or 0)
    return dict(sorted(groups.items(), key=lambda group: (-group[1].answers, group[0])))


def _group(row: Mapping[str, Any], name: str) -> str:
    if name == "day":
        return datetime.fromtimestamp(row["at"], tz=UTC).astimezone().strftime("%Y-%m-%d")
    return row[name] or "-"


def _batches(ids: Iterable[str]) -> Iterator[list[str]]:
    every = iter(ids)
    while some := list(islice(every, IDS_AT_ONCE)):
        yield some


def _columns() -> dict[str, ColumnElement[Any]]:
    """What is summed, by name."""
    plain = ("at", "model", "provider", "client", "status", "cost_usd", "first_byte_s", "latency_s", "repairs")
    tokens = ("prompt_tokens", "completion_tokens", "cached_tokens", "reasoning_tokens")
    of_it = TOOL_CALLS.c.exchange_id == EXCHANGES.c.id
    calls = select(func.count()).select_from(TOOL_CALLS).where(of_it)
    marks = select(func.count()).select_from(MARKS).where(MARKS.c.exchange_id == EXCHANGES.c.id)
    marks = marks.where(MARKS.c.name == "category")
    columns = EXCHANGES.c
    failed = case((columns.status >= FIRST_ERROR, 1), (columns.outcome.in_(FAILED), 1), else_=0)
    return {
        **{name: columns[name] for name in (*plain, *tokens)},
        "failed": failed,
        "good": marks.where(MARKS.c.value == "good").scalar_subquery(),
        "bad": marks.where(MARKS.c.value == "bad").scalar_subquery(),
        "tool_calls": calls.scalar_subquery(),
        "valid": calls.where(_is_valid()).scalar_subquery(),
        "valid_unrepaired": calls.where(_is_valid(), TOOL_CALLS.c.repaired.is_(False)).scalar_subquery(),
    }


def _is_valid() -> ColumnElement[bool]:
    """The tool was offered, and nothing is wrong with the arguments as far as its schema says anything."""
    return and_(TOOL_CALLS.c.offered.is_(True), func.coalesce(TOOL_CALLS.c.valid, TOOL_CALLS.c.problem.is_(None)))


def _answers(ids: Sequence[str]) -> Select[Any]:
    """Each answer of these exchanges, with its tool calls: how many, valid, and valid as the provider wrote them."""
    made = (
        select(
            TOOL_CALLS.c.exchange_id,
            TOOL_CALLS.c.call,
            func.count().label("calls"),
            func.sum(case((_is_valid(), 1), else_=0)).label("valid"),
            func.sum(case((and_(_is_valid(), TOOL_CALLS.c.repaired.is_(False)), 1), else_=0)).label("unrepaired"),
        )
        .where(TOOL_CALLS.c.exchange_id.in_(ids))
        .group_by(TOOL_CALLS.c.exchange_id, TOOL_CALLS.c.call)
        .subquery()
    )
    source = CALLS.outerjoin(made, and_(made.c.exchange_id == CALLS.c.exchange_id, made.c.call == CALLS.c.call))
    query = select(CALLS.c.provider, CALLS.c.model, made.c.calls, made.c.valid, made.c.unrepaired)
    is_answer = CALLS.c.outcome.in_(ANSWERED) | made.c.calls.is_not(None)
    return query.select_from(source).where(CALLS.c.exchange_id.in_(ids), is_answer)
