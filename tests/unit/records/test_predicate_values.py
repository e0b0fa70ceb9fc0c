"""Comparisons of values that no SQL has seen: as SQLite makes them, in linear time."""

from __future__ import annotations

import re
import sqlite3
import time
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from shared.records.predicates.patterns import MAX_PATTERN, BadPattern, like, like_matcher, matcher
from shared.records.predicates.values import test_of as fitting


@pytest.mark.parametrize(
    ("value", "sign", "literal", "fits"),
    [
        ("a", "==", "a", True),
        ("a", "==", "b", False),
        ("5", "==", 5, False),
        (5, "==", 5.0, True),
        (True, "==", True, True),
        (1, "==", True, True),
        ("a", "!=", "b", True),
        ("5", "!=", 5, True),
        (None, "==", "a", False),
        (None, "!=", "a", False),
        (None, "==", None, True),
        (0, "==", None, False),
        ("", "!=", None, True),
        (5, ">", 4, True),
        (5, ">=", 5, True),
        (5, "<", 5, False),
        (4.5, "<=", 5, True),
        ("b", ">", "a", True),
        ("b", ">", 1, False),
        (None, "<", 1, False),
        (["a"], "==", "a", False),
        ("Content-Type: json", "~", "TYPE", True),
        ("abc", "~", "b*", False),
        ("abc", "!~", "b*", True),
        (None, "!~", "x", False),
        ([{"a": 1}], "~", '{"a":1}', True),
        (429, "~", "42", True),
        ("data: x", "%", "^data: .$", True),
        ("data: x", "!%", "^x", True),
        (None, "%", ".*", False),
        (400, "@", (400, "401"), True),
        ("401", "@", (400, "401"), True),
        (401, "@", (400, "401"), False),
        ("401", "!@", (400, "401"), False),
        (402, "!@", (400, "401"), True),
        (None, "!@", (400,), False),
        ([400], "@", (400,), False),
    ],
)
def test_a_value_is_compared_with_its_own_kind(value: Any, sign: str, literal: Any, fits: bool) -> None:
    assert fitting(sign, literal)(value) is fits


@pytest.mark.parametrize(
    ("literal", "pattern"),
    [
        ("data:", "%data:%"),
        ("data*:", "%data*:%"),
        ("*data:", "%data:"),
        ("**data:", "%*data:"),
        ("data:*", "data:%"),
        ("data:**", "data:*%"),
        ("*data:*", "%data:%"),
        ("*", "%"),
    ],
)
def test_a_star_at_an_end_says_where_a_text_stands(literal: str, pattern: str) -> None:
    assert like(literal) == pattern


@given(st.text("aB%_*.\\[é\n", max_size=6), st.text("abB_.\\[é\n", max_size=8))
def test_like_is_sqlites(pattern: str, text: str) -> None:
    with sqlite3.connect(":memory:") as database:
        (wanted,) = database.execute("SELECT ? LIKE ?", (text, pattern)).fetchone()
    database.close()

    assert like_matcher(pattern)(text) is bool(wanted)


@given(st.text("abc.|*+?()^$", max_size=6), st.text("abcd1\n", max_size=8))
def test_simple_regular_expressions_are_pythons(pattern: str, text: str) -> None:
    assume(not re.search(r"[*+?]\+", pattern))  # possessive, in Python alone
    try:
        wanted = re.compile(pattern.replace("$", r"\Z"))
        found = matcher(pattern)
    except (re.error, BadPattern):
        assume(False)

    assert found(text) is bool(wanted.search(text))


def test_no_pattern_takes_more_time_than_its_text_is_long() -> None:
    began = time.perf_counter()

    assert not matcher(r"^(a+)+$")("a" * 20_000 + "b")
    assert time.perf_counter() - began < 5


@pytest.mark.parametrize("pattern", ["(", r"(a)\1", "(?=a)", "a{1000}{1000}{1000}", "x" * (MAX_PATTERN + 1)])
def test_a_pattern_that_can_not_be_used_is_refused(pattern: str) -> None:
    with pytest.raises(BadPattern):
        matcher(pattern)
