"""What a value that no SQL has seen must be like: the comparisons as SQLite makes them, so that it doesn't matter
which side makes one. Nothing compares with null; texts and numbers never equal each other."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import msgspec

from shared.records.predicates.patterns import like, like_matcher, matcher
from shared.records.predicates.syntax import Literal

Test = Callable[[Any], bool]

_ORDERED: dict[str, Callable[[Any, Any], bool]] = {
    ">": operator.gt,
    ">=": operator.ge,
    "<": operator.lt,
    "<=": operator.le,
}


def test_of(sign: str, literal: Literal | tuple[Literal, ...]) -> Test:
    """Whether a value fits; raises BadPattern."""
    if literal is None:
        return (lambda value: value is None) if sign == "==" else (lambda value: value is not None)
    if sign.startswith("!"):
        is_so = _positive({"!=": "=="}.get(sign, sign[1:]), literal)
        return lambda value: value is not None and not is_so(value)
    return _positive(sign, literal)


def _positive(sign: str, literal: Any) -> Test:
    if sign in ("~", "%"):
        fits = like_matcher(like(literal)) if sign == "~" else matcher(literal)
        return lambda value: value is not None and fits(text_of(value))
    if sign == "@":
        texts, numbers = _of(str, literal), _of((int, float), literal)
        return lambda value: value in (texts if isinstance(value, str) else numbers) if _is_scalar(value) else False
    if sign == "==":
        return _equal(literal)
    compare, kind = _ORDERED[sign], str if isinstance(literal, str) else (int, float)
    return lambda value: isinstance(value, kind) and compare(value, literal)


def _equal(literal: Literal) -> Test:
    if isinstance(literal, str):
        return lambda value: isinstance(value, str) and value == literal
    return lambda value: isinstance(value, (int, float)) and value == literal


def _of(kind: type | tuple[type, ...], literals: tuple[Literal, ...]) -> frozenset[Literal]:
    return frozenset(one for one in literals if isinstance(one, kind))


def _is_scalar(value: Any) -> bool:
    return isinstance(value, (str, int, float))


def text_of(value: Any) -> str:
    """A value as a pattern sees it."""
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()
