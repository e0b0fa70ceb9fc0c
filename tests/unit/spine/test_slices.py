"""An answer that comes all at once is cut between its events."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.slices import BEGINNING_BYTES, SLICE_BYTES, beginning, slices

ENDS = (b"\n\n", b"\r\n\r\n", b"\r\r")


def events(count: int, end: bytes = b"\n\n", size: int = 100) -> bytes:
    return (b"data: " + b"x" * size + end) * count


@given(st.binary(max_size=200), st.integers(0, 200), st.sampled_from(ENDS), st.booleans())
def test_slices_are_the_whole_in_its_order(said: bytes, count: int, end: bytes, is_beginning: bool) -> None:
    data = events(count, end) + said

    assert b"".join(slices(data, is_beginning=is_beginning)) == data


@given(st.integers(50, 800), st.integers(1, 500), st.sampled_from(ENDS), st.booleans())
def test_each_slice_but_the_last_ends_with_an_event_and_is_not_much_longer_than_it_has_to_be(
    count: int, size: int, end: bytes, is_beginning: bool
) -> None:
    one = len(events(1, end, size))
    found = list(slices(events(count, end, size), is_beginning=is_beginning))

    assert all(part.endswith(end) for part in found[:-1])
    assert all(len(part) < SLICE_BYTES + 2 * one for part in found)


def test_the_beginning_of_an_answer_is_a_slice_of_its_own() -> None:
    first, *rest = slices(events(200), is_beginning=True)

    assert len(first) < BEGINNING_BYTES + len(events(2)) < len(rest[0])


def test_the_slices_of_a_later_frame_are_of_one_size() -> None:
    *all_but_last, _ = map(len, slices(events(200), is_beginning=False))

    assert all(one == other for one, other in pairwise(all_but_last))


@pytest.mark.parametrize("data", [events(10), b"x" * 3 * SLICE_BYTES, events(1, size=3 * SLICE_BYTES)])
def test_what_is_short_or_one_event_is_one_slice(data: bytes) -> None:
    assert list(slices(data, is_beginning=True)) == [data]


def test_there_is_no_slice_of_nothing() -> None:
    assert list(slices(b"", is_beginning=True)) == []


@pytest.mark.parametrize("data", [b"", events(1), events(200), events(200) + b"data: half an ev"])
def test_a_beginning_and_its_rest_are_the_whole(data: bytes) -> None:
    first, rest = beginning(data)

    assert (first + rest, len(first) <= SLICE_BYTES) == (data, True)
