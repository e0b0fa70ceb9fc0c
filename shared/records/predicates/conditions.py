"""Comparisons with what stands in a row: as SQL, or as a test of a value where databases differ."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

from sqlalchemy import ColumnElement, Text, and_, cast, false, not_, or_, select

from shared.records.moments import span
from shared.records.predicates.bodies import at_path
from shared.records.predicates.fields import (
    EXCHANGES,
    Derived,
    InBody,
    InColumn,
    InJson,
    Kind,
    Meaning,
    Several,
    time_text,
)
from shared.records.predicates.patterns import like
from shared.records.predicates.syntax import LISTS, NEGATIVE, Comparison, Literal
from shared.records.predicates.values import test_of, text_of

ESCAPE = "\x1b"  # of LIKE: a character that nobody writes, so that a backslash stands for itself on every database

COMPARE: dict[str, Callable[[Any, Any], Any]] = {
    "==": operator.eq,
    "!=": operator.ne,
    ">": operator.gt,
    ">=": operator.ge,
    "<": operator.lt,
    "<=": operator.le,
}

UNORDERED = ("%", "!%", ">", ">=", "<", "<=")  # what names that an exchange has several of can't be asked

Condition = ColumnElement[bool]
Test = Callable[[Any], bool]


def is_sql(meaning: Meaning, of: Comparison) -> bool:
    """Whether SQL decides it."""
    if of.field.path or isinstance(meaning, (Derived, InJson, InBody)):
        return False
    is_pattern = of.operator in ("%", "!%") or (of.operator in ("~", "!~") and _kind(meaning) == "time")
    return not (isinstance(meaning, InColumn) and is_pattern)


def condition_on(meaning: Meaning, of: Comparison, now: float) -> Condition:
    """The comparison as SQL; raises ValueError for a literal that the field can't be compared with."""
    if isinstance(meaning, InColumn):
        return _in_column(meaning, of, now)
    return _several(meaning, of) if isinstance(meaning, Several) else _repairs(of)


def row_test(meaning: Meaning, of: Comparison) -> tuple[ColumnElement[Any], Test]:
    """A column, and the test of its value; raises ValueError."""
    test = test_of(of.operator, of.literal)
    if isinstance(meaning, InJson):
        return meaning.column, _json_test(of.field.path, meaning.is_header, test)
    if of.field.path or not isinstance(meaning, (Derived, InColumn)):
        raise ValueError(f"{of.field.name} holds no JSON: nothing can stand at .{'.'.join(map(str, of.field.path))}")
    if isinstance(meaning, Derived):
        made = meaning.made
        return meaning.column, lambda value: test(made(value))
    if meaning.kind == "time":
        return meaning.column, lambda value: test(time_text(value))
    return meaning.column, test


def _json_test(path: tuple[str | int, ...], is_header: bool, test: Test) -> Test:
    def tests(value: Any) -> bool:
        if not path and is_header and isinstance(value, dict):
            return test("".join(f"{name}: {text}\r\n" for name, text in value.items()))
        if not path:
            return test(text_of(value) if value is not None else None)
        if is_header and isinstance(value, dict):
            value = {name.lower(): text for name, text in value.items()}
        steps = tuple(step.lower() if is_header and isinstance(step, str) else step for step in path)
        return test(at_path(value, steps))

    return tests


def _kind(meaning: Meaning) -> Kind:
    return meaning.kind if isinstance(meaning, InColumn) else "text"


def _in_column(meaning: InColumn, of: Comparison, now: float) -> Condition:
    column = meaning.column
    if of.literal is None:
        return column.is_(None) if of.operator == "==" else column.is_not(None)
    if meaning.named is not None and _is_name(of.literal):
        some = of.literal
        return _compared(meaning.named, of.operator, tuple(map(str, some)) if isinstance(some, tuple) else some)
    if of.operator in ("~", "!~"):
        return _liked(column if meaning.kind == "text" else cast(column, Text), of.operator, str(of.literal))
    if meaning.kind == "time":
        return _timed(column, of, now)
    if isinstance(of.literal, tuple):
        literals = tuple(_as_kind(meaning.kind, one, of.field.name) for one in of.literal)
        return _compared(column, of.operator, literals)
    return _compared(column, of.operator, _as_kind(meaning.kind, of.literal, of.field.name))


def _is_name(literal: Literal | tuple[Literal, ...]) -> bool:
    """Whether it can't be a number: one that names an exchange by its id."""
    some = literal if isinstance(literal, tuple) else (literal,)
    return any(isinstance(one, str) and not _number(one) for one in some)


def _number(text: str) -> int | float | None:
    try:
        return int(text)
    except ValueError:
        pass
    try:
        return float(text)
    except ValueError:
        return None


def _as_kind(kind: Kind, literal: Literal, name: str) -> Literal:
    """A literal as the column has its values."""
    if kind == "number":
        number = _number(literal) if isinstance(literal, str) else literal
        if number is None:
            raise ValueError(f"{name} is a number: write {name} == 200, or ~ for a part of its digits")
        return int(number) if isinstance(number, bool) else number
    if kind == "flag":
        if literal not in (True, False):
            raise ValueError(f"{name} is true or false")
        return bool(literal)
    if isinstance(literal, bool):
        raise ValueError(f"{name} is a text: write {name} == 'text'")
    return str(literal)


def _compared(column: ColumnElement[Any], sign: str, literal: Any) -> Condition:
    if sign in LISTS:
        return column.in_(literal) if sign == "@" else column.not_in(literal)
    if sign in ("~", "!~"):
        return _liked(column, sign, literal)
    compared: Condition = COMPARE[sign](column, literal)
    return compared


def _liked(column: ColumnElement[Any], sign: str, literal: str) -> Condition:
    pattern = like(literal)
    if sign == "~":
        return column.ilike(pattern, escape=ESCAPE)
    return column.not_ilike(pattern, escape=ESCAPE)


def _timed(column: ColumnElement[Any], of: Comparison, now: float) -> Condition:
    """A day stands for its midnight, except for equality, which means all of it."""
    if isinstance(of.literal, tuple):
        within = or_(false(), *(_within(column, one, now) for one in of.literal))
        return within if of.operator == "@" else not_(within)
    begin, end = _span(of.literal, now)
    is_second = 0 < end - begin <= 1
    match of.operator:
        case "==":
            return _within(column, of.literal, now)
        case "!=":
            return not_(_within(column, of.literal, now))
        case ">":
            return column >= end if is_second else column > begin if begin == end else column >= begin
        case ">=":
            return column >= begin
        case "<":
            return column < begin
    return column < end if is_second else column <= begin if begin == end else column < begin


def _within(column: ColumnElement[Any], literal: Literal, now: float) -> Condition:
    begin, end = _span(literal, now)
    return column == begin if begin == end else and_(column >= begin, column < end)


def _span(literal: Literal, now: float) -> tuple[float, float]:
    if isinstance(literal, str):
        return span(literal, now)
    if literal is None or isinstance(literal, bool):
        raise ValueError("a time: '2026-11-20', '2h' (ago) or Unix seconds")
    return float(literal), float(literal)


def _several(meaning: Several, of: Comparison) -> Condition:
    """As a list of ids that is made once: a question for each exchange would cost a search for each."""
    ids = select(meaning.table.c.exchange_id)
    ids = ids if meaning.where is None else ids.where(meaning.where)
    if of.literal is None:
        return EXCHANGES.c.id.not_in(ids) if of.operator == "==" else EXCHANGES.c.id.in_(ids)
    if of.operator in UNORDERED:
        raise ValueError(f"{of.operator} is not for {of.field.name}: use ==, !=, ~, !~, @ or !@")
    synonyms = dict(meaning.synonyms)
    some = of.literal if isinstance(of.literal, tuple) else (of.literal,)
    texts = tuple(synonyms.get(str(one), str(one)) for one in some)
    sign = of.operator.removeprefix("!") if of.operator != "!=" else "=="
    fitting = ids.where(_compared(meaning.column, sign, texts if sign in LISTS else texts[0]))
    return EXCHANGES.c.id.not_in(fitting) if of.operator in NEGATIVE else EXCHANGES.c.id.in_(fitting)


def _repairs(of: Comparison) -> Condition:
    """Their names stand in a JSON object's text, each between quotes."""
    text = cast(EXCHANGES.c.repairs, Text)
    if of.literal is None:
        return EXCHANGES.c.repairs.is_(None) if of.operator == "==" else EXCHANGES.c.repairs.is_not(None)
    if of.operator in UNORDERED:
        raise ValueError(f"{of.operator} is not for {of.field.name}: use ==, !=, ~, !~, @ or !@")
    some = of.literal if isinstance(of.literal, tuple) else (of.literal,)
    frame = '%"{}%' if of.operator in ("~", "!~") else '%"{}"%'
    has = and_(
        EXCHANGES.c.repairs.is_not(None),
        or_(
            false(),
            *(text.like(frame.format(str(one).strip("*")).replace("_", f"{ESCAPE}_"), escape=ESCAPE) for one in some),
        ),
    )
    return not_(has) if of.operator in NEGATIVE else has
