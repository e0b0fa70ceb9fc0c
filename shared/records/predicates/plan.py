"""A predicate's tree as a plan: what SQL decides, and what is left to decide for each row that SQL lets through.

Whatever stands in a column is SQL's. Where a predicate asks about a body as well, SQL narrows by all that must hold in
any case, and tells of each row how its other comparisons came out (`columns`); `fits` adds what the bodies say.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from functools import reduce
from typing import Any, TypeAlias

from sqlalchemy import ColumnElement, and_, or_

from shared.records.predicates.bodies import Content, body_test
from shared.records.predicates.conditions import condition_on, is_sql, row_test
from shared.records.predicates.fields import FIELDS, InBody, Meaning
from shared.records.predicates.syntax import All, Comparison, Either, PredicateError, Tree, parse

NAMES_SHOWN = 12

Bodies: TypeAlias = Mapping[str, Content]
Fits: TypeAlias = Callable[[Sequence[Any], Bodies], bool]


@dataclass(frozen=True)
class Predicate:
    """Which exchanges are meant. Made by `predicate`; taken by `Filter(predicate=…)`."""

    where: ColumnElement[bool] | None  # holds of every exchange that is meant; None where SQL can't narrow
    columns: tuple[ColumnElement[Any], ...] = ()  # what `fits` needs of a row
    parts: tuple[str, ...] = ()  # the bodies that it needs
    fits: Fits | None = None  # None: `where` says it all


@dataclass
class _Needs:
    columns: list[ColumnElement[Any]] = field(default_factory=list)
    parts: list[str] = field(default_factory=list)

    def place_of(self, column: ColumnElement[Any]) -> int:
        self.columns.append(column)
        return len(self.columns) - 1

    def part(self, name: str) -> str:
        if name not in self.parts:
            self.parts.append(name)
        return name


@dataclass(frozen=True)
class _Node:
    """One part of the tree: SQL's alone, or with a `build` of what decides it; the costlier, the later."""

    narrows: ColumnElement[bool] | None
    sql: ColumnElement[bool] | None = None
    build: Callable[[_Needs], Fits] | None = None
    cost: int = 0


def predicate(text: str, *more: str, now: float) -> Predicate:
    """The exchanges that all of the texts describe. `now` is what `2h` goes back from.

    Raises PredicateError, whose text shows the place and what would be right.
    """
    whole = _all([_node(parse(one), one, now) for one in (text, *more)])
    if whole.sql is not None:
        return Predicate(whole.sql)
    needs = _Needs()
    fits = _built(whole, needs)
    return Predicate(whole.narrows, tuple(needs.columns), tuple(needs.parts), fits)


def _node(tree: Tree, text: str, now: float) -> _Node:
    match tree:
        case All(terms):
            return _all([_node(term, text, now) for term in terms])
        case Either(terms):
            return _either([_node(term, text, now) for term in terms])
    return _comparison(tree, text, now)


def _all(nodes: Sequence[_Node]) -> _Node:
    if len(nodes) == 1:
        return nodes[0]
    narrowing = [node.narrows for node in nodes if node.narrows is not None]
    narrows = and_(*narrowing) if narrowing else None
    if all(node.sql is not None for node in nodes):
        return _Node(narrows, sql=narrows)
    open_ = sorted((node for node in nodes if node.sql is None), key=lambda node: node.cost)

    def build(needs: _Needs) -> Fits:  # SQL's own terms hold already: they narrow
        return reduce(_both, [_built(node, needs) for node in open_])

    return _Node(narrows, build=build, cost=open_[-1].cost)


def _either(nodes: Sequence[_Node]) -> _Node:
    told = [node.sql for node in nodes if node.sql is not None]
    if len(told) == len(nodes):
        return _Node(or_(*told), sql=or_(*told))
    narrowing = [node.narrows for node in nodes if node.narrows is not None]
    narrows = or_(*narrowing) if len(narrowing) == len(nodes) else None
    open_ = sorted((node for node in nodes if node.sql is None), key=lambda node: node.cost)
    in_order = [*([_Node(or_(*told), sql=or_(*told))] if told else []), *open_]

    def build(needs: _Needs) -> Fits:
        return reduce(_one, [_built(node, needs) for node in in_order])

    return _Node(narrows, build=build, cost=open_[-1].cost)


def _built(node: _Node, needs: _Needs) -> Fits:
    if node.build is not None:
        return node.build(needs)
    assert node.sql is not None  # noqa: S101 - one of the two is there
    place = needs.place_of(node.sql)
    return lambda row, _bodies: bool(row[place])


def _both(one: Fits, other: Fits) -> Fits:
    return lambda row, bodies: one(row, bodies) and other(row, bodies)


def _one(one: Fits, other: Fits) -> Fits:
    return lambda row, bodies: one(row, bodies) or other(row, bodies)


def _comparison(of: Comparison, text: str, now: float) -> _Node:
    meaning = _meaning(of, text)
    try:
        if isinstance(meaning, InBody):
            return _on_body(of, meaning)
        if is_sql(meaning, of):
            told = condition_on(meaning, of, now)
            return _Node(told, sql=told)
        return _on_row(of, meaning)
    except ValueError as error:
        raise PredicateError(text, of.at, str(error)) from None


def _meaning(of: Comparison, text: str) -> Meaning:
    meaning = FIELDS.get(of.field.name)
    if meaning is None:
        raise PredicateError(text, of.field.at, _unknown(of.field.name))
    return meaning


def _on_body(of: Comparison, meaning: InBody) -> _Node:
    test = body_test(of.field.path, of.operator, of.literal)

    def build(needs: _Needs) -> Fits:
        part = needs.part(meaning.part)
        return lambda _row, bodies: test(bodies[part])

    return _Node(None, build=build, cost=2)


def _on_row(of: Comparison, meaning: Meaning) -> _Node:
    column, test = row_test(meaning, of)

    def build(needs: _Needs) -> Fits:
        place = needs.place_of(column)
        return lambda row, _bodies: test(row[place])

    return _Node(None, build=build, cost=1)


def _unknown(name: str) -> str:
    close = get_close_matches(name, FIELDS, NAMES_SHOWN, 0.6) or ["status", "model", "chatcmpl", "request_body"]
    return f"no field is called {name!r}; there are {', '.join(close)} … (docs/records.md lists all)"
