"""Two bodies compared line by line."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.records.differences import MAX_LINES, Pair, compared, is_same, lines_of


def differences(left: Any, right: Any) -> list[tuple[str, str | None, str | None]]:
    pairs = compared(lines_of(left), lines_of(right, like=left))
    return [(pair.kind, pair.left, pair.right) for pair in pairs]


def test_each_value_is_a_line_under_its_path() -> None:
    value = {"a": {"b": [1, "x"]}, "c": None, "d": {}, "e": [], "f": True}

    assert lines_of(value) == ["a.b.0: 1", "a.b.1: x", "c: null", "d: {}", "e: []", "f: true"]


def test_a_text_of_several_lines_keeps_them() -> None:
    assert lines_of({"a": "one\ntwo"}) == ["a:", "  one", "  two"]


@pytest.mark.parametrize(("value", "lines"), [("text", ["text"]), (7, ["7"]), (None, ["null"]), ([1], ["0: 1"])])
def test_what_is_no_object_is_lines_as_well(value: Any, lines: list[str]) -> None:
    assert lines_of(value) == lines


def test_the_order_of_fields_is_no_difference() -> None:
    left, right = (
        {"a": 1, "b": {"c": 2, "d": 3}, "l": [{"x": 1, "y": 2}]},
        {"l": [{"y": 2, "x": 1}], "b": {"d": 3, "c": 2}, "a": 1},
    )

    assert is_same(compared(lines_of(left), lines_of(right, like=left)))


def test_what_names_the_same_field_stands_side_by_side() -> None:
    left = {"content": "text with a marker", "finish_reason": "stop"}
    right = {"content": "text", "calls": [{"name": "f"}], "finish_reason": "tool_calls"}

    assert differences(left, right) == [
        ("changed", "content: text with a marker", "content: text"),
        ("changed", "finish_reason: stop", "finish_reason: tool_calls"),
        ("added", None, "calls.0.name: f"),
    ]


def test_what_is_gone_has_nothing_beside_it() -> None:
    assert differences({"a": 1, "b": 2}, {"a": 1}) == [("same", "a: 1", "a: 1"), ("gone", "b: 2", None)]


def test_what_is_the_same_is_left_out_but_for_its_neighbours() -> None:
    left = [f"line {number}" for number in range(20)]
    right = [*left[:10], "another", *left[11:]]

    pairs = compared(left, right)

    assert [pair.left for pair in pairs if pair.kind == "same"] == ["line 8", "line 9", "line 11", "line 12"]
    assert [pair.left for pair in pairs if pair.kind == "left_out"] == ["… 8 lines the same", "… 7 lines the same"]
    assert len(compared(left, right, is_whole=True)) == 21


def test_one_line_is_one_line() -> None:
    assert compared(["a"], ["a"]) == [Pair("left_out", "… 1 line the same", "… 1 line the same")]


def test_a_body_of_many_lines_is_cut() -> None:
    lines = lines_of(list(range(MAX_LINES + 5)))

    assert (len(lines), lines[-1]) == (MAX_LINES + 1, "… 5 more lines")


values = st.recursive(
    st.none() | st.integers(-2, 2) | st.text("ab\n", max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=10,
)


@given(values)
def test_nothing_differs_from_itself(value: Any) -> None:
    assert is_same(compared(lines_of(value), lines_of(value, like=value)))


@given(
    st.lists(st.sampled_from(["a: 1", "a: 2", "b: 1", "  x"]), max_size=8),
    st.lists(st.sampled_from(["a: 1", "b: 2"]), max_size=8),
)
def test_both_sides_are_there_in_their_order(left: list[str], right: list[str]) -> None:
    pairs = compared(left, right, is_whole=True)

    assert [pair.left for pair in pairs if pair.left is not None] == left
    assert [pair.right for pair in pairs if pair.right is not None] == right
