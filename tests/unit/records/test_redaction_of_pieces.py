"""A secret that is split over the pieces of a stream is taken out of its bytes."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.recorder.rules.exchange import assemble
from services.recorder.rules.messages import read
from services.recorder.rules.pieces import pieces_of
from services.recorder.rules.redaction import Redaction, Span, united
from shared.assembly import Assembly
from tests.fixtures.exchanges import Script, captured

SECRET = "4111-1111"
CARD = r"\d{4}-\d{4}"


def chunk(delta: dict[str, Any], index: int = 0) -> bytes:
    return b"data: " + json.dumps({"choices": [{"delta": delta, "index": index}]}).encode() + b"\n\n"


def rows_of(pieces: list[bytes]) -> dict[str, dict[str, Any]]:
    script = Script("A").request(stream=True).sent(stream=True)
    for piece in pieces:
        script.data(piece)
    script.end().done(leg="c1.raw")
    records = assemble("A", [read(message, "moontide")[1] for message in captured([script])])
    return {row["part"]: row for row in Redaction([CARD]).records(records).bodies}


def redacted(*pieces: bytes) -> bytes:
    data = rows_of(list(pieces))["c1.raw"]["data"]
    assert isinstance(data, bytes)
    return data


def text_of(data: bytes) -> str:
    assembly = Assembly()
    assembly.feed(data)
    return str(msgspec.json.decode(assembly.completion())["choices"][0]["message"]["content"])


def test_a_secret_in_three_events_is_one_place() -> None:
    events = [chunk({"content": text}) for text in ("no 41", "11-1", "111 more")]

    row = rows_of(events)["c1.raw"]

    assert row["data"] == b"".join(chunk({"content": text}) for text in ("no [redacted]", "", " more"))
    assert (row["redacted"], row["size"]) == (1, len(row["data"]))
    offsets = [offset for offset, _ in row["chunks"]]
    assert [row["data"][offset : offset + 5] for offset in offsets] == [b"data:"] * 3


@pytest.mark.parametrize(
    "delta",
    [
        lambda text: {"reasoning_content": text},
        lambda text: {"tool_calls": [{"index": 1, "function": {"arguments": text}}]},
    ],
)
def test_thoughts_and_arguments_are_looked_through_too(delta: Any) -> None:
    assert redacted(chunk(delta("4111")), chunk(delta("-1111"))) == chunk(delta("[redacted]")) + chunk(delta(""))


def test_other_dialects_are_looked_through_too() -> None:
    def messages(text: str) -> bytes:
        delta = {"type": "text_delta", "text": text}
        return b"event: content_block_delta\ndata: " + json.dumps({"index": 0, "delta": delta}).encode() + b"\n\n"

    def responses(text: str) -> bytes:
        event = {"type": "response.output_text.delta", "output_index": 0, "sequence_number": 1, "delta": text}
        return b"data: " + json.dumps(event).encode() + b"\n\n"

    for event in (messages, responses):
        assert redacted(event("4111-"), event("1111")) == event("[redacted]") + event("")


def test_texts_of_two_choices_are_two_texts() -> None:
    events = [chunk({"content": "4111"}, 0), chunk({"content": "-1111"}, 1)]

    assert redacted(*events) == b"".join(events)


def test_texts_of_two_calls_in_one_event_are_two_texts() -> None:
    def event(first: str, second: str) -> bytes:
        calls = [{"function": {"arguments": text}, "index": index} for index, text in enumerate((first, second))]
        return chunk({"tool_calls": calls})

    assert redacted(event("4111", "2222"), event("-1111", "-3333")) == event("[redacted]", "[redacted]") + event("", "")


@pytest.mark.parametrize(
    "line", [b"data: }}", b"data: [DONE]", b"data: " + b"[" * 100, b'data: {"content": "41', b"41"]
)
def test_what_is_no_event_harms_no_other(line: bytes) -> None:
    events = [chunk({"content": "4111-"}), line + b"\n\n", chunk({"content": "1111"})]

    found = redacted(*events)

    assert found == chunk({"content": "[redacted]"}) + line + b"\n\n" + chunk({"content": ""})


@given(st.lists(st.sampled_from([SECRET, "a", '"', "\\", "é", "12-34", "\n"]), max_size=8), st.data())
def test_however_a_text_is_cut_its_secrets_are_taken_out(words: list[str], draw: st.DataObject) -> None:
    text = "x".join(words)
    cuts = sorted(draw.draw(st.sets(st.integers(0, len(text)), max_size=6)))
    edges = [0, *cuts, len(text)]
    data = b"".join(chunk({"content": text[a:b]}) for a, b in pairwise(edges))

    spans = Redaction([CARD])._spans_of_body(data)
    taken = Redaction([CARD])._taken_out(data, spans)

    assert text_of(chunk({"content": "x"}) + taken) == "x" + text.replace(SECRET, "[redacted]")


@given(st.binary())
def test_whatever_a_body_is_its_pieces_lie_in_it_in_order(data: bytes) -> None:
    for places in pieces_of(b"data: " + data):
        assert all(begin <= end <= len(data) + 6 for begin, end in places)
        assert places == sorted(places)


def test_places_that_overlap_are_one() -> None:
    assert united([Span(5, 9), Span(0, 3), Span(2, 6, b"")]) == [Span(0, 9)]


def test_an_empty_piece_within_a_secret_stays_empty() -> None:
    events = [chunk({"content": text}) for text in ("4111", "", "-1111")]

    assert redacted(*events) == b"".join(chunk({"content": text}) for text in ("[redacted]", "", ""))
