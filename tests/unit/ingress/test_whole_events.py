"""Event streams as bytes: whole events only, whatever the cuts."""

from __future__ import annotations

import time
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.sse import SseParser
from shared.whole_answers import event
from shared.whole_events import BOUNDARIES, WholeEvents

lines = st.binary(min_size=1, max_size=12).map(lambda text: b"data: " + text.translate(None, b"\r\n"))
blocks = st.lists(lines, min_size=1, max_size=3)


@st.composite
def streams(draw: st.DrawFn) -> bytes:
    """Events that end in LF, CRLF or CR; perhaps a last one without its end."""
    newline = draw(st.sampled_from([b"\n", b"\r\n", b"\r"]))
    events = [newline.join(block) + newline * 2 for block in draw(st.lists(blocks, max_size=6))]
    return b"".join(events) + draw(st.one_of(st.just(b""), lines))


def cut(data: bytes, at: list[int]) -> list[bytes]:
    places = [0, *sorted({place % (len(data) + 1) for place in at}), len(data)]
    return [data[a:b] for a, b in pairwise(places)]


cuts = st.lists(st.integers(0, 1000), max_size=12)


@given(stream=streams(), at=cuts)
def test_only_whole_events_go_on_whatever_the_cuts(stream: bytes, at: list[int]) -> None:
    held = WholeEvents()
    given = [held.feed(piece) for piece in cut(stream, at)]

    assert all(piece == b"" or piece.endswith(BOUNDARIES) for piece in given)


@given(stream=streams(), at=cuts)
def test_bytes_are_never_changed(stream: bytes, at: list[int]) -> None:
    held = WholeEvents()
    given = b"".join(held.feed(piece) for piece in cut(stream, at))

    assert stream.startswith(given)
    assert stream[len(given) :].strip(b"\r\n") + b"\n\n" == (held.rest() or b"\n\n")


@given(stream=streams(), at=cuts)
def test_every_event_goes_on_as_soon_as_it_is_whole(stream: bytes, at: list[int]) -> None:
    held, parser, seen = WholeEvents(), SseParser(), SseParser()
    came: list[bytes] = []
    gone: list[bytes] = []
    for piece in cut(stream, at):
        came += parser.feed(piece)
        gone += seen.feed(held.feed(piece))

        assert gone == came or piece.endswith(b"\r")  # an LF may belong to it


@pytest.mark.parametrize("newline", [b"\n", b"\r\n", b"\r"])
def test_one_event_a_byte_at_a_time(newline: bytes) -> None:
    held = WholeEvents()
    text = b"data: a" + newline * 2
    given = [held.feed(bytes([byte])) for byte in text]

    assert given == [b""] * (len(text) - 1) + [text]


def test_a_whole_event_passes_as_the_same_object() -> None:
    data = b"data: a\n\n"

    assert WholeEvents().feed(data) is data


def test_a_stream_that_just_stops_gets_its_last_empty_line() -> None:
    held = WholeEvents()
    held.feed(b"data: a\n\ndata: [DONE]\n")

    assert (held.rest(), held.rest()) == (b"data: [DONE]\n\n", b"")


def test_a_megabyte_in_tiny_pieces_costs_linear_time() -> None:
    held, piece = WholeEvents(), b"x" * 16
    began = time.process_time()
    for _ in range(64 * 1024):
        held.feed(piece)

    assert time.process_time() - began < 2
    assert len(held.feed(b"\n\n")) == 1024 * 1024 + 2


def test_an_event_is_one_line_and_an_empty_one() -> None:
    assert event({"a": "b\nc"}) == b'data: {"a":"b\\nc"}\n\n'
