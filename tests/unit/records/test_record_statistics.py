"""Sums over exchanges."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.records.statistics import Quality, Sums, Times, share

ROW: dict[str, Any] = {
    "failed": 0,
    "status": 200,
    "repairs": None,
    "prompt_tokens": 10,
    "completion_tokens": 5,
    "cached_tokens": None,
    "reasoning_tokens": 1,
    "cost_usd": None,
    "first_byte_s": 0.5,
    "latency_s": None,
    "good": 0,
    "bad": 0,
    "tool_calls": 0,
    "valid": 0,
    "valid_unrepaired": 0,
}


def sums(*rows: dict[str, Any]) -> dict[str, Any]:
    of = Sums()
    for row in rows:
        of.take(ROW | row)
    return of.told()


def test_counts_and_tokens_are_added_up() -> None:
    told = sums({"failed": 1}, {"repairs": {"x": 2}, "cached_tokens": 3, "good": 1}, {"bad": 1})

    assert (told["exchanges"], told["errors"], told["repaired"], told["good"], told["bad"]) == (3, 1, 1, 1, 1)
    assert (told["prompt_tokens"], told["cached_tokens"], told["reasoning_tokens"]) == (30, 3, 3)


def test_what_nobody_serves_is_counted_apart_from_other_errors() -> None:
    told = sums({"status": 404, "failed": 1}, {"status": 500, "failed": 1}, {"status": None})

    assert (told["not_found"], told["errors"]) == (1, 2)


def test_an_unknown_price_is_not_taken_for_nothing() -> None:
    assert (sums({})["cost_usd"], sums({})["unpriced"]) == (None, 1)
    told = sums({}, {"cost_usd": 0.25}, {"cost_usd": 0.5}, {"prompt_tokens": None, "completion_tokens": None})
    assert (told["cost_usd"], told["unpriced"]) == (0.75, 1)


def test_schema_accuracy_is_valid_calls_of_all_calls() -> None:
    told = sums({"tool_calls": 3, "valid": 3, "valid_unrepaired": 1}, {"tool_calls": 1})

    assert (told["schema_accuracy"], told["schema_accuracy_before_repair"]) == (0.75, 0.25)
    assert sums({})["schema_accuracy"] is None


def test_times_that_are_not_known_don_t_count() -> None:
    told = sums({"latency_s": 4.0}, {})

    assert told["latency_s"] == {"p50": 4.0, "p95": 4.0, "p99": 4.0}
    assert Times().percentiles() == {"p50": None, "p95": None, "p99": None}


@pytest.mark.parametrize(
    ("count", "wanted"),
    [(1, (1, 1, 1)), (2, (1, 2, 2)), (20, (10, 19, 20)), (100, (50, 95, 99)), (1000, (500, 950, 990))],
)
def test_a_percentile_is_a_time_that_was_measured(count: int, wanted: tuple[float, ...]) -> None:
    times = Times()
    for value in range(count, 0, -1):
        times.take(float(value))

    assert tuple(times.percentiles().values()) == wanted


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=60))
def test_so_many_percent_take_no_longer_than_a_percentile(values: list[float]) -> None:
    times = Times()
    for value in values:
        times.take(value)

    for name, percentile in times.percentiles().items():
        assert percentile is not None
        needed = math.ceil(int(name[1:]) / 100 * len(values))
        assert sum(value <= percentile for value in values) >= needed
        assert sum(value < percentile for value in values) < needed


def test_quality_counts_answers_as_the_verifier_does() -> None:
    quality = Quality()
    for calls, valid, unrepaired in ((0, 0, 0), (2, 2, 1), (2, 1, 1), (1, 1, 1)):
        quality.take(calls, valid, unrepaired)

    told = quality.told()
    assert (told["answers"], told["with_calls"], told["trigger_rate"]) == (4, 3, 0.75)
    assert (told["schema_accuracy"], told["schema_accuracy_before_repair"]) == (0.8, 0.6)
    assert (told["all_valid"], told["all_valid_unrepaired"]) == (2, 1)


def test_a_share_of_nothing_is_unknown() -> None:
    assert share(0, 0) is None
