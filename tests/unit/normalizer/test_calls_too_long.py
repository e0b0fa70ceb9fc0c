"""Past the limits the result is the same too, however a stream was cut. The limits are small here."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from services.normalizer import RepairSettings, RequestFacts
from services.normalizer.rules import left
from services.normalizer.rules.grammars import bare_id, bare_json, body, k2_reader
from tests.unit.normalizer.answers import BASH, CLOCK, GLOB, LIST, LS, assembled, recut, said, stream_of, streamed
from tests.unit.normalizer.test_properties_of_repair import MARKERS, QUOTES, TEXTS, cuts_of

LIMIT = 60
BEGIN = "<|tool_call_begin|>functions.bash:0<|tool_call_argument_begin|>"
LONG = "x" * 30
BLOCKS = [
    (f'{BEGIN}{{"command":"', '"}<|tool_call_end|>'),
    ('<tool_call>{"name":"bash","arguments":{"command":"', '"}}</tool_call>'),
    ('<invoke name="bash"><parameter name="command">', "</parameter></invoke>"),
]
PIECES = some.sampled_from([*MARKERS, *TEXTS, *QUOTES, LONG, *(part for block in BLOCKS for part in block), "\n```\n"])
OFF = some.sampled_from([(), ("oversized_call_dropped",), ("tool_call_from_content",), ("incomplete_call_dropped",)])
OFFERS = some.sampled_from([None, [BASH], [BASH, GLOB, CLOCK]])


@pytest.fixture(autouse=True, scope="module")
def _small_limits() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for module in (bare_id, bare_json, body, k2_reader, left):
            patch.setattr(module, "MAX_CALL_CHARS", LIMIT)
        patch.setattr(left, "MAX_FENCED_CHARS", 2 * LIMIT)
        yield


@settings(max_examples=400, deadline=None)
@given(some.data(), some.lists(PIECES, max_size=12).map("".join), OFFERS, OFF, some.sampled_from(["stop", "length"]))
def test_any_way_to_cut_an_answer_gives_the_same_result_past_the_limits(
    data: some.DataObject, content: str, offer: Any, off: tuple[str, ...], reason: str
) -> None:
    results = []
    for cut in (lambda text: [text], list, lambda text: cuts_of(data, text)):
        deltas = recut([{"content": content}], cut)
        out, _ = streamed(stream_of(deltas, reason), RequestFacts(tools=offer), RepairSettings(off=off))
        results.append(assembled(out))

    assert results[0] == results[1]
    assert results[0] == results[2]


@pytest.mark.parametrize(("begin", "end"), BLOCKS)
def test_the_text_behind_a_call_that_is_too_long_goes_on(begin: str, end: str) -> None:
    assert said(f"a {begin}{LONG * 3}{end} b") == ("a b", "", [])


@pytest.mark.parametrize(("begin", "end"), BLOCKS)
def test_a_call_behind_one_that_is_too_long_is_found(begin: str, end: str) -> None:
    assert said(f"a {begin}{LONG * 3}{end}{begin}ls{end}") == ("a", "", [LS])


@pytest.mark.parametrize(("begin", "end"), BLOCKS)
def test_a_call_that_is_too_long_and_never_ends_is_dropped(begin: str, end: str) -> None:
    assert said(f"a {begin}{LONG * 3}") == ("a", "", [])


@pytest.mark.parametrize(("begin", "end"), BLOCKS)
def test_a_call_that_is_too_long_is_text_where_dropping_it_is_off(begin: str, end: str) -> None:
    text = f"a {begin}{LONG * 3}".replace("</parameter>", "")

    assert said(text, off=("oversized_call_dropped",)) == (text, "", [])


def test_a_block_that_is_too_long_is_dropped_where_another_repair_is_off() -> None:
    begin, end = BLOCKS[0]

    assert said(f"a {begin}{LONG * 3}{end} b", off=("arguments_repaired",)) == ("a b", "", [])


def test_a_fence_that_is_too_long_is_a_fence() -> None:
    text = f"```\n{BEGIN}{LIST}<|tool_call_end|>{LONG * 5}"

    assert said(text) == (text, "", [])


@pytest.mark.parametrize(
    "begin", ["<tool_call>", "<function_calls>", "<|tool_calls_section_begin|>", "<|tool_call_begin|>"]
)
def test_a_marker_that_nothing_but_much_white_space_follows_begins_nothing(begin: str) -> None:
    spaces = " " * 1100

    out, _ = streamed(stream_of(recut([{"content": f"a{begin}{spaces}b"}], list), "stop"), RequestFacts(tools=[BASH]))

    content = assembled(out)[0]["content"]
    assert content.split() == ["a", "b"]
