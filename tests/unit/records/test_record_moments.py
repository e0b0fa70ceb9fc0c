"""Points in time as people write them."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.records.moments import local_time, moment, span

NOW = datetime(2026, 11, 21, 3, 30, 15, tzinfo=UTC).timestamp()
DAY_S = 86_400


def local(text: str) -> float:
    return datetime.fromisoformat(text).astimezone().timestamp()


@pytest.mark.parametrize(
    ("text", "before_s"),
    [("0s", 0), ("90s", 90), ("30m", 1800), ("2h", 7200), ("1.5h", 5400), ("7d", 7 * DAY_S), ("2w", 14 * DAY_S)],
)
def test_a_number_with_a_unit_is_so_long_ago(text: str, before_s: float) -> None:
    assert span(text, NOW) == (NOW - before_s, NOW - before_s)


@pytest.mark.parametrize(
    ("text", "begin", "lasts_s"),
    [
        ("2026-11-20", "2026-11-20T00:00", DAY_S),
        ("2026-11-20 14:05", "2026-11-20T14:05", 60),
        ("2026-11-20T14:05", "2026-11-20T14:05", 60),
        ("2026-11-20 14:05:07", "2026-11-20T14:05:07", 1),
        (" 2026-11-20 14:05:07 ", "2026-11-20T14:05:07", 1),
        ("2026-11-20 14:05:07.5", "2026-11-20T14:05:07.5", 0),
    ],
)
def test_a_local_time_lasts_as_long_as_its_last_figure_says(text: str, begin: str, lasts_s: float) -> None:
    assert span(text, NOW) == (local(begin), local(begin) + lasts_s)


def test_a_time_with_a_zone_is_that_time() -> None:
    assert moment("2026-11-20T14:05:07+00:00", NOW) == datetime(2026, 11, 20, 14, 5, 7, tzinfo=UTC).timestamp()


def test_unix_seconds_are_themselves() -> None:
    assert moment("1790000000.25", NOW) == 1790000000.25


def test_today_begins_at_midnight_and_yesterday_a_day_before() -> None:
    today = local(local_time(NOW)[:10])

    assert span("today", NOW) == (today, today + DAY_S)
    assert span("yesterday", NOW) == (today - DAY_S, today)
    assert moment("now", NOW) == NOW


@pytest.mark.parametrize(
    "text", ["", "noon", "2", "2 h", "2x", "20261120T", "2026-13-01", "2026-11-20 25:00", "-2h", "12345678"]
)
def test_what_is_no_time_is_refused_with_what_would_be(text: str) -> None:
    with pytest.raises(ValueError, match="2h"):
        moment(text, NOW)


@given(st.text(max_size=25) | st.from_regex(r"[0-9]{1,20}[smhdw.]?", fullmatch=True))
def test_no_text_is_more_than_a_time_or_a_value_error(text: str) -> None:
    try:
        begin, end = span(text, NOW)
    except ValueError:
        return

    assert begin <= end


@given(st.integers(0, 2**32))
def test_what_is_shown_names_its_own_second(at: int) -> None:
    begin, end = span(local_time(at), NOW)

    assert end - begin == 1
    assert begin == at or local_time(begin) == local_time(at)  # an hour comes twice where clocks are put back
