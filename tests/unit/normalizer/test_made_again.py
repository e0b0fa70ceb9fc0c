"""What a takeover stands on: another normalizer makes the same bytes of the same leg, wherever the first one died."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as some

from services.normalizer import RepairSettings, RequestFacts, StreamRepair
from services.normalizer.stitch import Stitch
from shared.contracts import End, Head, encode
from shared.frames import Frame
from shared.seams import Seam
from tests.unit.normalizer.answers import stream_of
from tests.unit.normalizer.test_properties_of_repair import ANSWER, OFFERS, QUOTED_ANSWER, REASONS

HEAD = Frame("head", encode(Head(status=200, worker="n", at=1.0)))
END = Frame("end", encode(End(outcome="complete", worker="n", at=1.0)))
SIZES = some.lists(some.integers(1, 60), max_size=60)


def made(raw: bytes, sizes: list[int], facts: RequestFacts) -> Iterator[Frame]:
    """The normal leg, of a raw leg that is read in pieces of those sizes."""
    stitch, stream = Stitch(), StreamRepair(facts, RepairSettings())
    yield HEAD
    at = 0
    for size in [*sizes, len(raw)]:
        piece, at = raw[at : at + size], at + size
        if piece and (out := stream.feed(stitch.feed(piece))):
            yield Frame("data", out)
    if rest := stream.feed(stitch.finish()) + stream.finish():
        yield Frame("data", rest)
    yield END


@settings(max_examples=300, deadline=None)
@given(QUOTED_ANSWER, ANSWER, OFFERS, REASONS, SIZES, SIZES, some.integers(0, 80))
def test_a_leg_that_is_made_again_joins_the_first_ones_bytes(
    content: str, reasoning: str, offer: Any, reason: str | None, one: list[int], other: list[int], dies_after: int
) -> None:
    raw = stream_of([{"reasoning_content": reasoning}, {"content": content}], reason)
    facts = RequestFacts(tools=offer)
    whole = list(made(raw, one, facts))
    handed_on = whole[: min(dies_after, len(whole) - 1)]
    seam = Seam()
    for frame in handed_on:
        seam.hand_on(frame)
    seam.rewind()
    joined = [*handed_on, *seam.join(made(raw, other, facts))]

    assert [frame.kind for frame in joined].count("head") == 1
    assert text(joined) == text(whole)


def text(frames: list[Frame]) -> bytes:
    return b"".join(frame.data for frame in frames if frame.kind == "data")
