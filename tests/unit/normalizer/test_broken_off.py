"""What goes out of what waits when the provider breaks off: all that is text, and never a part of a call."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from services.normalizer import RepairSettings, RequestFacts, StreamRepair
from tests.unit.normalizer.answers import (
    BASH,
    LIST,
    OFFERED,
    ROLE,
    assembled,
    check_vendor_rules,
    chunk,
    events,
    recut,
)
from tests.unit.normalizer.test_properties_of_repair import OFFERS, QUOTED_ANSWER, THINKING, cuts_of
from tests.unit.normalizer.test_switched_off import INPUTS

HERMES = f'<tool_call>{{"name":"bash","arguments":{LIST}}}</tool_call>'
K2 = f"<|tool_call_begin|>functions.bash:0<|tool_call_argument_begin|>{LIST}<|tool_call_end|>"


Broken = tuple[dict[str, Any], dict[str, int]]
"""The message that went out, and the repairs."""


def broken_off(data: bytes, facts: RequestFacts = OFFERED, profile: RepairSettings | None = None) -> Broken:
    repair = StreamRepair(facts, profile or RepairSettings())
    out = repair.feed(data) + repair.break_off()
    check_vendor_rules(out, ended=False)
    message, finish = assembled(out)
    assert finish is None
    return message, repair.repairs


def content_of(text: str, **settings_: Any) -> tuple[str, dict[str, int]]:
    """The content that goes out of a text after which the provider breaks off."""
    message, repairs = broken_off(chunk(ROLE) + chunk({"content": text}), profile=RepairSettings(**settings_))
    return message["content"], repairs


@pytest.mark.parametrize(
    "text",
    [
        "```\n<tool_call>",
        f"```\n{HERMES}",
        f"```\n{HERMES}\n",
        f"~~~\n{K2}\nx",
        "One. \n\n",
        "One.\n" * 3 + " " * 40,
        "a <",
        "a <|to",
        "see functions.bash:0",
        'functions.bash:0{"comm',
        '{"type": "person", "na',
        "(no content",
        "◁",
    ],
)
def test_text_that_waits_goes_out(text: str) -> None:
    assert content_of(text) == (text, {})


@pytest.mark.parametrize(
    ("text", "repair"),
    [
        (HERMES[:40], "incomplete_call_dropped"),
        ("<tool_call>", "stray_marker_removed"),
        ("<function_calls>", "stray_marker_removed"),
        ("<|tool_call_begin|>", "stray_marker_removed"),
        (K2[:50], "incomplete_call_dropped"),
        (K2[:79], "incomplete_call_dropped"),
        ("<|tool_call_be", "cut_marker_removed"),
    ],
)
def test_what_is_left_of_a_call_is_dropped_by_name(text: str, repair: str) -> None:
    assert content_of(f"One.{text}") == ("One.", {repair: 1})


@pytest.mark.parametrize("off", ["tool_call_from_content", "tool_call_from_hermes", "tool_call_from_xml"])
def test_half_a_block_goes_out_as_text_where_its_repair_is_off(off: str) -> None:
    text = INPUTS[off][0][:-20]

    assert content_of(text, off=(off, "cut_marker_removed")) == (text, {})


def test_whole_calls_in_front_of_half_a_call_go_out_where_a_repair_is_off() -> None:
    """Blocks wait for their end then, whatever is whole in them."""
    facts, profile = RequestFacts(tools=[BASH]), RepairSettings(off=("arguments_repaired",))
    section = f"<|tool_calls_section_begin|>{K2}{K2[:60]}"

    message, _ = broken_off(chunk(ROLE) + chunk({"content": section}), facts, profile)

    assert [call["function"]["arguments"] for call in message["tool_calls"]] == [LIST]


def test_half_a_structured_call_is_dropped_by_name() -> None:
    call = {"index": 0, "id": "c1", "type": "function", "function": {"name": "bash", "arguments": LIST[:8]}}

    message, repairs = broken_off(chunk(ROLE) + chunk({"tool_calls": [call]}))

    assert message["tool_calls"] == []
    assert repairs == {"incomplete_call_dropped": 1}


def test_an_event_that_only_its_blank_line_is_missing_of_is_read() -> None:
    assert broken_off(chunk(ROLE) + chunk({"content": "One."}).rstrip())[0]["content"] == "One."


@pytest.mark.parametrize("rest", [chunk({"content": "One."})[:-9], b"data: 3", b'data: {"error": {"message": "x"}}'])
def test_an_event_that_was_cut_is_none(rest: bytes) -> None:
    assert broken_off(chunk(ROLE) + chunk({"content": "Hi"}) + rest)[0]["content"] == "Hi"


def test_half_a_surrogate_pair_that_waits_goes_out_replaced() -> None:
    assert content_of("a\ud83d") == ("a\ufffd", {"lone_surrogate_replaced": 1})


def is_what_is_left_of(left: str, text: str) -> bool:
    """Whether a text comes of another one by taking pieces out."""
    chars = iter(text)
    return all(char in chars for char in left)


def texts_of(out: bytes) -> str:
    """Every text of a stream, in its order."""
    deltas = [choice["delta"] for event in events(out) for choice in event["choices"]]
    return "".join([(delta.get("reasoning_content") or "") + (delta.get("content") or "") for delta in deltas])


@settings(max_examples=600, deadline=None)
@given(some.data(), QUOTED_ANSWER, OFFERS, THINKING, some.integers(0, 99))
def test_after_any_number_of_bytes_all_text_is_out_but_what_a_repair_names(
    data: some.DataObject, content: str, offer: Any, thinking: Any, percent: int
) -> None:
    raw = b"".join([chunk(ROLE), *map(chunk, recut([{"content": content}], lambda text: cuts_of(data, text)))])
    raw = raw[: len(raw) * percent // 100]
    whole, _, last = raw.rpartition(b"\n\n")
    came = texts_of(whole + b"\n\n") if whole else ""
    came += texts_of(last.rstrip() + b"\n\n") if last.rstrip().endswith(b"}]}") else ""
    repair = StreamRepair(RequestFacts(tools=offer), RepairSettings(thinking=thinking))

    out = repair.feed(raw) + repair.break_off()

    check_vendor_rules(out, ended=False)
    if repair.repairs:
        assert is_what_is_left_of(texts_of(out).replace("\n", ""), came)
    else:
        assert texts_of(out) == came
