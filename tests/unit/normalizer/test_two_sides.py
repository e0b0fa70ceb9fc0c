"""What is taken out of a text never lets its two sides become a marker, a tag or a call."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from services.normalizer import REPAIR_NAMES, RepairSettings, RequestFacts
from tests.unit.normalizer.answers import (
    LIST,
    LS,
    OFFERED,
    TICK,
    assembled,
    check_vendor_rules,
    read,
    recut,
    said,
    stream_of,
    streamed,
)
from tests.unit.normalizer.test_properties_of_repair import LEAKS, MARKERS, OFFERS, TEXTS, cuts_of

CALL = f"<|tool_call_begin|>functions.bash:0<|tool_call_argument_begin|>{LIST}<|tool_call_end|>"
BARE = f"functions.bash:0{LIST}"
TAKEN_OUT = [
    CALL,
    f"<|tool_calls_section_begin|>{CALL}<|tool_calls_section_end|>",
    BARE,
    f'<tool_call>{{"name":"bash","arguments":{LIST}}}</tool_call>',
    "<tool_call></tool_call>",
    '<invoke name="clock"/>',
    "<think>x</think>",
    "◁think▷x◁/think▷",
    "<|tool_call_end|>",
    "<|im_end|>",
    "<|open|>think<|sep|>x<|close|>think<|sep|>",
    "[EOS]",
    "</think>",
]
WHOLE = [mark for mark in MARKERS if len(mark) > 6] + ["[EOS]", "<\r\n|tool_call_begin|>", BARE]
OF_MARKERS = frozenset(
    f"tool_call_from_{kind}" for kind in ("content", "reasoning", "k3", "hermes", "xml", "bare_id")
) | {"stray_marker_removed", "turn_token_removed", "invented_turn_removed"}
OF_TEXT = sorted(
    name
    for name in REPAIR_NAMES
    if name.startswith(("tool_call_from", "reasoning_", "arguments_", "tool_name", "tool_call_dedup"))
    or name.endswith(("_removed", "_dropped"))
)
QUOTED = re.compile('"<[^"<>]*>"')  # text, whatever it looks like
UNQUOTED = re.compile("['`~]")
SPACE = some.sampled_from(["", "", "", " ", "\n", "\r\n", "  "])


@some.composite
def around(draw: some.DrawFn, inner: some.SearchStrategy[str]) -> str:
    """A marker that is cut in two by something that is taken out."""
    marker = draw(some.sampled_from(WHOLE))
    at = draw(some.integers(1, len(marker) - 1))
    return marker[:at] + draw(SPACE) + draw(inner) + draw(SPACE) + marker[at:]


@some.composite
def half(draw: some.DrawFn) -> str:
    """The beginning or the end of a marker."""
    marker = draw(some.sampled_from(WHOLE))
    at = draw(some.integers(1, len(marker) - 1))
    return marker[:at] if draw(some.booleans()) else marker[at:]


NESTED = some.recursive(some.sampled_from(TAKEN_OUT), around, max_leaves=4)
MIXED = some.lists(NESTED | half() | some.sampled_from(WHOLE + TEXTS), max_size=8).map("".join)
OFF = some.lists(some.sampled_from(OF_TEXT), max_size=4, unique=True).map(tuple)


def is_part(text: str, whole: str) -> bool:
    """Whether a text is another one with pieces left out."""
    rest = iter(whole)
    return all(char in rest for char in text)


@pytest.mark.parametrize("taken_out", TAKEN_OUT[:10])
@pytest.mark.parametrize("marker", ["<|tool_call_begin|>", "<tool_calls_section_end>", "<\r\n|tool_call_end|>"])
def test_a_marker_around_something_that_is_taken_out_does_not_leak(marker: str, taken_out: str) -> None:
    for at in range(1, len(marker)):
        content, _, _ = said(f"Hi {marker[:at]}{taken_out}{marker[at:]} ok")
        assert not LEAKS.search(content)


@pytest.mark.parametrize(
    ("text", "content", "calls"),
    [
        (f"<{BARE}|tool_call_begin|>", "<", [LS]),
        (f"a <{CALL}|tool_call_end|> b", "a < b", [LS]),
        (f"<<{CALL}|tool_call_end|>|tool_call_end|>b", "<<b", [LS]),
        ("<<|tool_call_end|>|tool_call_end|>", "", []),
        ("<<<|tool_call_end|>|tool_call_end|>|tool_call_end|>b", "<b", []),
        (f"functions.bash:0<|tool_call_end|>{LIST}", "", [LS]),
        (f"functions.bash:0 <|tool_call_end|> {LIST}", "functions.bash:0", [LS]),
        ('functions.clock:0<invoke name="clock"/>{}', "functions.clock:0", [TICK, TICK]),
        (f"x{BARE[:11]}<tool_call></tool_call>{BARE[11:]}y", f"x{BARE}y", []),
        ("[EO<|im_end|>S]", "", []),
        ("[EOS]</tool_call>", "", []),
        ("<|tool_call_b" * 6 + "<|tool_call_end|>egin|>", "<|tool_call_b" * 2, []),
    ],
)
def test_text_is_read_on_over_what_is_taken_out(text: str, content: str, calls: list[Any]) -> None:
    assert said(text) == (content, "", calls)


def test_a_marker_around_a_whole_thought_does_not_leak() -> None:
    assert said("<<think>x</think>|tool_call_begin|>") == ("<", "x", [])


def test_a_marker_over_two_thoughts_does_not_leak() -> None:
    assert said("<think>a<</think>b<think>|tool_call_begin|>c</think>") == ("b", "a<\nc", [])


def test_what_a_cut_marker_begins_is_no_marker_where_cut_markers_are_left() -> None:
    assert said("<|tool_call_beg<|im_end|>in|>", off=("cut_marker_removed",)) == ("<|tool_call_beg", "", [])


@pytest.mark.parametrize("content", ["<invoke a", "<tool_call a"])
def test_what_only_began_as_a_marker_is_not_cut_by_one_behind_the_next_word(content: str) -> None:
    for cut in (lambda text: [text], list):
        out, repair = streamed(stream_of(recut([{"content": content + "</think>"}], cut), "stop"), RequestFacts())

        assert assembled(out)[0]["content"] == content
        assert set(repair.repairs) == {"reasoning_tag_removed"}


@pytest.mark.parametrize("facts", [RequestFacts(), OFFERED])
def test_a_thought_that_two_sides_open_is_one(facts: RequestFacts) -> None:
    assert said("<th<|im_end|>ink>a</think>b", facts=facts) == ("b", "a", [])
    assert said("◁t<|im_end|>hink▷a◁/think▷b", facts=facts) == ("◁tb", "a", [])


@pytest.mark.parametrize("reasoning", ["`<|open|>", "Hm <"])
def test_a_thought_begins_afresh_behind_what_another_field_ends_in(reasoning: str) -> None:
    for cut in (lambda text: [text], list):
        deltas = [{"reasoning_content": reasoning}, {"content": "<think><think>a</think>b"}]
        out, _ = streamed(stream_of(recut(deltas, cut), "stop"), RequestFacts())
        message, _ = assembled(out)

        assert message["content"] == "b"
        assert "think" not in message["reasoning_content"]


def outcome(data: some.DataObject, content: str, offer: Any, off: tuple[str, ...]) -> tuple[dict[str, Any], set[str]]:
    """The message that goes out however the content is cut, and the names of the repairs."""
    results = []
    for cut in (lambda text: [text], list, lambda text: cuts_of(data, text)):
        out, repair = streamed(
            stream_of(recut([{"content": content}], cut), "stop"), RequestFacts(tools=offer), RepairSettings(off=off)
        )
        check_vendor_rules(out)
        message, finish = assembled(out)
        results.append((read(message, finish), message, set(repair.repairs)))
    assert results[0][0] == results[1][0] == results[2][0]
    return results[0][1], results[0][2]


def check_any_repairs_off(data: some.DataObject, content: str, offer: Any, off: tuple[str, ...]) -> set[str]:
    """With any repairs off: the same result for every cut, and all that goes out stands in its order."""
    message, repairs = outcome(data, content, offer, off)
    assert is_part(message["content"], content)
    assert is_part(message["reasoning_content"].replace("\n", ""), content)
    return repairs


def check_nothing_is_left(data: some.DataObject, content: str, offer: Any) -> set[str]:
    """With all repairs on: no marker leaks, and what goes out needs none of the repairs that take markers out."""
    message, repairs = outcome(data, content, offer, ())
    if offer != []:
        for text in (message["content"], message["reasoning_content"]):
            assert not LEAKS.search(QUOTED.sub("", text))
    again = [{"content": message["content"]}]
    thought = [{"reasoning_content": "x"}] if message["reasoning_content"] else []
    _, second = streamed(stream_of([*thought, *again], "stop"), RequestFacts(tools=offer))
    literal = {"turn_token_removed"} if "[EOS]" in message["content"] else set()  # a token only at an answer's end
    assert not (OF_MARKERS - literal) & set(second.repairs)
    return repairs


@settings(max_examples=300, deadline=None)
@given(some.data(), MIXED, OFFERS, OFF)
def test_with_any_repairs_off_everything_stands_in_its_order(
    data: some.DataObject, content: str, offer: Any, off: tuple[str, ...]
) -> None:
    check_any_repairs_off(data, content, offer, off)


@settings(max_examples=300, deadline=None)
@given(some.data(), MIXED, OFFERS)
def test_nothing_that_goes_out_needs_its_markers_taken_out(data: some.DataObject, content: str, offer: Any) -> None:
    check_nothing_is_left(data, UNQUOTED.sub("", content), offer)
