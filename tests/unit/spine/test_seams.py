"""Where a leg that is made again joins what was handed on: nothing twice, nothing missing, nothing of two texts."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as some

from shared.contracts import CallOutcome, End, Head, encode
from shared.frames import Frame
from shared.seams import Seam, SeamTorn

HEAD = Frame("head", encode(Head(status=200, worker="n", at=1.0)))


def data(text: bytes) -> Frame:
    return Frame("data", text)


def end(outcome: CallOutcome = "complete") -> Frame:
    return Frame("end", encode(End(outcome=outcome, worker="n", at=2.0)))


def seam_after(*frames: Frame) -> Seam:
    seam = Seam()
    for frame in frames:
        seam.hand_on(frame)
    seam.rewind()
    return seam


def pieces(text: bytes, sizes: list[int]) -> list[Frame]:
    """The text in frames of those sizes, the rest in one."""
    cut, at = [], 0
    for size in sizes:
        cut.append(data(text[at : at + size]))
        at += size
    return [frame for frame in [*cut, data(text[at:])] if frame.data]


SIZES = some.lists(some.integers(1, 7), max_size=20)


@given(some.binary(max_size=60), SIZES, some.integers(0, 20), SIZES)
def test_however_frames_are_cut_the_text_goes_on_where_it_was(
    text: bytes, first: list[int], handed_on: int, again: list[int]
) -> None:
    had = [HEAD, *pieces(text, first)][:handed_on]
    seam = seam_after(*had)
    new = [frame for made in [HEAD, *pieces(text, again), end()] for frame in seam.join([made])]

    assert [frame.kind for frame in [*had, *new]].count("head") == 1
    assert b"".join(frame.data for frame in [*had, *new] if frame.kind == "data") == text
    assert new[-1] == end()
    assert seam.is_closed


@given(some.binary(min_size=1, max_size=40), some.integers(0, 39), SIZES)
def test_another_text_tears_the_seam(text: bytes, at: int, sizes: list[int]) -> None:
    at %= len(text)
    other = text[:at] + bytes([text[at] ^ 1]) + text[at + 1 :]

    with pytest.raises(SeamTorn, match="differ"):
        seam_after(HEAD, data(text)).join([HEAD, *pieces(other, sizes), end()])


def test_nothing_of_a_torn_frame_is_handed_on() -> None:
    seam = seam_after(data(b"abc"))

    with pytest.raises(SeamTorn):
        seam.join([data(b"xyz and more")])


def test_a_shorter_answer_tears_the_seam() -> None:
    with pytest.raises(SeamTorn, match="2 bytes before"):
        seam_after(data(b"abc")).join([HEAD, data(b"a"), end()])


def test_an_answer_that_comes_to_nothing_ends_before_the_seam() -> None:
    assert seam_after(HEAD, data(b"abc")).join([HEAD, data(b"a"), end("broken")]) == [end("broken")]


def test_after_another_death_the_leg_comes_from_its_beginning() -> None:
    seam = seam_after(HEAD, data(b"abc"))
    first = seam.join([HEAD, data(b"ab")])
    seam.rewind()

    assert first == []
    assert seam.join([HEAD, data(b"abcd")]) == [data(b"d")]


def test_where_nothing_was_handed_on_everything_is_new() -> None:
    assert seam_after().is_closed
    assert seam_after().join([HEAD, data(b"a"), end()]) == [HEAD, data(b"a"), end()]
