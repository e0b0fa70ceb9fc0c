"""A query string as a filter."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.dashboard.rules.asking import MOST_ROWS, ROWS, Unclear, filter_of, page_of

NOW = 1_790_000_000.0


def test_nothing_asked_for_is_everything() -> None:
    page = page_of({}, NOW)

    assert not page.which
    assert (page.before, page.limit) == (None, ROWS)


def test_filters_have_the_names_of_the_command_line() -> None:
    query = {
        "model": ["kimi-k2 "],
        "status": ["429"],
        "state": ["done"],
        "tag": ["a", "b", " "],
        "errors": ["1"],
        "chat_only": ["0"],
        "since": ["2h"],
        "search": ["harbour"],
        "category": ["bad"],
        "client": [""],
    }
    which = filter_of(query, NOW)

    assert (which.model, which.status, which.state, which.tags) == ("kimi-k2", 429, "done", ("a", "b"))
    assert (which.errors, which.chat_only, which.since) == (True, False, NOW - 7200)
    assert (which.search, which.category, which.client) == ("harbour", "bad", None)


def test_predicates_and_an_outcome_hold_together() -> None:
    which = filter_of({"p": ["status == 200", " "], "outcome": ["complete"]}, NOW)

    assert which.predicate is not None
    assert "outcome" in str(which.predicate.where)
    assert "status" in str(which.predicate.where)


def test_a_page_is_never_longer_than_what_is_bounded() -> None:
    assert page_of({"limit": ["100000"], "before": ["17"]}, NOW).limit == MOST_ROWS
    assert page_of({"limit": ["0"]}, NOW).limit == ROWS


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("status", "ok"),
        ("status", "²"),
        ("before", "-1"),
        ("limit", "1" * 16),
        ("state", "finished"),
        ("category", "ugly"),
        ("since", "tomorrowish"),
        ("since", "99999999999d"),
        ("search", "!!!"),
        ("p", "status = 200"),
        ("outcome", "x' || 1"),
        ("modell", "kimi"),
        ("model", "x" * 5000),
        ("model", "x\x00"),
    ],
)
def test_what_can_t_be_meant_names_its_field(name: str, value: str) -> None:
    with pytest.raises(Unclear) as unclear:
        page_of({name: [value]}, NOW)

    assert unclear.value.field == name
    assert str(unclear.value)


NAMES = st.sampled_from(["model", "status", "since", "p", "search", "outcome", "tag", "named", "before", "x"])


@given(st.dictionaries(NAMES, st.lists(st.text(max_size=30), max_size=2), max_size=4))
def test_whatever_is_asked_for_is_a_filter_or_unclear(query: dict[str, list[str]]) -> None:
    try:
        page = page_of(query, NOW)
    except Unclear:
        return
    assert 1 <= page.limit <= MOST_ROWS
