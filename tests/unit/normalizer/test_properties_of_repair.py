"""What must hold for any answer, however it was cut."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from services.normalizer import RepairSettings, RequestFacts, StreamRepair, repair_completion
from tests.unit.normalizer.answers import (
    BASH,
    CLOCK,
    GLOB,
    assembled,
    check_vendor_rules,
    completion,
    read,
    recut,
    repaired,
    stream_of,
    streamed,
)

MARKERS = [
    "<|tool_calls_section_begin|>",
    "<|tool_call_begin|>",
    "<|tool_call_argument_begin|>",
    "<|tool_call_end|>",
    "<|tool_calls_section_end|>",
    "<tool_call_begin>",
    "<| tool_call_end |>",
    "<think>",
    "</think>",
    "◁think▷",
    "◁/think▷",
    "<|im_end|>",
    "<|im_user|>",
    "<|im_assistant|>assistant<|im_middle|>",
    "[EOS]",
    "<tool_call>",
    "</tool_call>",
    "<function_calls>",
    '<invoke name="bash">',
    '<invoke name="clock"/>',
    '<parameter name="command">',
    "</parameter>",
    "</invoke>",
    "</function_calls>",
    "<|open|>",
    "<|close|>",
    "<|sep|>",
    "tools",
    "think",
    '<|open|>call tool="bash" index="1"<|sep|>',
]
QUOTES = ["`", "```", "```\n", '"', "~~~"]
TEXTS = [
    "functions.bash:0",
    "bash:1",
    "glob",
    "0",
    '{"command":"ls"}',
    '{"command":"l',
    's"}',
    '{"name": "bash", "arguments": {"command": "ls"}}',
    "{",
    "}",
    "<",
    "|",
    " ",
    "\n",
    "\n\n",
    "(no content)",
    "Hello",
    "a",
    ".",
    "é",
    "😀",
    "\\",
    ":",
]
PIECES = some.sampled_from(MARKERS + TEXTS)
QUOTED_PIECES = some.sampled_from(MARKERS + TEXTS + QUOTES)
ANSWER = some.lists(PIECES, max_size=14).map("".join)
QUOTED_ANSWER = some.lists(QUOTED_PIECES, max_size=14).map("".join)
OFFERS = some.sampled_from([None, [], [BASH], [BASH, GLOB, CLOCK]])
THINKING = some.sampled_from(["auto", "forced_open", "disabled"])
REASONS = some.sampled_from(["stop", "length", "tool_calls", None])
LEAKS = re.compile(r"<\s?[|｜]?\s?tool_calls?_(?:section_|argument_)?(?:begin|end)\s?[|｜]?\s?>")


def cuts_of(data: some.DataObject, text: str) -> list[str]:
    """The text in pieces whose sizes are drawn."""
    pieces = []
    while text:
        size = data.draw(some.integers(1, 9))
        pieces.append(text[:size])
        text = text[size:]
    return pieces


@settings(max_examples=400, deadline=None)
@given(some.data(), QUOTED_ANSWER, ANSWER, OFFERS, THINKING, REASONS)
def test_any_way_to_cut_an_answer_gives_the_same_result(
    data: some.DataObject, content: str, reasoning: str, offer: Any, thinking: Any, reason: str | None
) -> None:
    facts, profile = RequestFacts(tools=offer), RepairSettings(thinking=thinking)
    deltas = [{"reasoning_content": reasoning}, {"content": content}]
    results = []
    for cut in (lambda text: [text], list, lambda text: cuts_of(data, text)):
        out, _ = streamed(stream_of(recut(deltas, cut), reason), facts, profile)
        check_vendor_rules(out)
        results.append(read(*assembled(out)))

    assert results[0] == results[1]
    assert results[0] == results[2]


@settings(max_examples=200, deadline=None)
@given(some.data(), QUOTED_ANSWER, OFFERS)
def test_any_way_to_cut_the_bytes_gives_the_same_bytes(data: some.DataObject, content: str, offer: Any) -> None:
    raw = stream_of([{"content": content}], "stop")
    size = data.draw(some.integers(1, 40))
    pieces = [raw[at : at + size] for at in range(0, len(raw), size)]

    assert streamed(raw, RequestFacts(tools=offer))[0] == streamed(pieces, RequestFacts(tools=offer))[0]


@settings(max_examples=300, deadline=None)
@given(ANSWER, OFFERS, REASONS)
def test_a_plain_answer_is_repaired_as_a_stream_that_knows_how_it_begins(
    content: str, offer: Any, reason: str | None
) -> None:
    if any(closer in content for closer in ("</think>", "◁/think▷", "think<|sep|>")):
        return  # a stream can't know how far a thought goes that nothing opened
    out, _ = streamed(stream_of([{"content": content}], reason), RequestFacts(tools=offer))
    message, finish, _ = repaired({"role": "assistant", "content": content}, reason, RequestFacts(tools=offer))

    assert read(*assembled(out)) == read(message, finish)


@settings(max_examples=400, deadline=None)
@given(ANSWER, ANSWER, some.sampled_from([None, [BASH], [BASH, GLOB, CLOCK]]), THINKING)
def test_no_delta_holds_a_call_marker(content: str, reasoning: str, offer: Any, thinking: Any) -> None:
    deltas = recut([{"reasoning_content": reasoning}, {"content": content}], list)
    out, _ = streamed(stream_of(deltas, "stop"), RequestFacts(tools=offer), RepairSettings(thinking=thinking))

    message, _ = assembled(out)
    assert not LEAKS.search(message["content"])
    assert not LEAKS.search(message["reasoning_content"])


LONGEST_MARKER = 48
LONGEST_ID = 100
LONGEST_SPACE = 32


@settings(max_examples=300, deadline=None)
@given(some.text(some.sampled_from("abcfhnostu<|>:._-{}[]()`\"' \n◁0")), OFFERS)
def test_ordinary_text_is_held_back_by_a_marker_an_id_and_their_white_space_at_most(text: str, offer: Any) -> None:
    repair = StreamRepair(RequestFacts(tools=offer), RepairSettings())
    sent = 0
    for at, delta in enumerate([{"role": "assistant"}, *({"content": char} for char in text)]):
        out = repair.feed(stream_of([delta], None).split(b"\n\n")[1] + b"\n\n")
        sent += len(assembled(out)[0]["content"]) if out else 0
        if repair.repairs.keys() <= {"role_added"}:
            assert at - sent <= LONGEST_MARKER + LONGEST_ID + LONGEST_SPACE


@settings(max_examples=200, deadline=None)
@given(some.text(), OFFERS)
def test_text_without_anything_special_is_not_touched(text: str, offer: Any) -> None:
    text = re.sub(r"[<◁\[{(\ud800-\udfff]", "", text)
    body = completion({"role": "assistant", "content": text}, "stop")

    assert repair_completion(body, RequestFacts(tools=offer))[0] is body
    out, _ = streamed(stream_of(recut([{"content": text}], list), "stop"), RequestFacts(tools=offer))
    assert assembled(out)[0]["content"] == text


JSON = some.recursive(
    some.none() | some.booleans() | some.integers() | some.text(max_size=4) | PIECES,
    lambda inner: some.lists(inner, max_size=3) | some.dictionaries(some.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)
FUNCTION = some.fixed_dictionaries(
    {}, optional={"name": some.sampled_from(["bash", "glob", "", "x"]) | JSON, "arguments": PIECES | JSON}
)
ENTRY = some.fixed_dictionaries(
    {}, optional={"index": some.integers(0, 2) | JSON, "id": some.text(max_size=3) | JSON, "function": FUNCTION}
)
FIELDS = ["role", "content", "reasoning_content", "reasoning", "reasoning_details", "function_call"]
ODD_DELTA = some.fixed_dictionaries(
    {}, optional={**dict.fromkeys(FIELDS, PIECES | JSON), "tool_calls": some.lists(ENTRY, max_size=2) | JSON}
)
ODD_CHOICE = some.fixed_dictionaries(
    {}, optional={"index": some.integers(0, 1) | JSON, "delta": ODD_DELTA | JSON, "finish_reason": REASONS | JSON}
)
ODD_CHUNK = some.fixed_dictionaries(
    {}, optional={"choices": some.lists(ODD_CHOICE, max_size=2) | JSON, "usage": JSON, "id": JSON}
)


@settings(max_examples=400, deadline=None)
@given(some.lists(ODD_CHUNK, max_size=6), OFFERS, THINKING, some.booleans())
def test_whatever_the_chunks_hold_the_output_keeps_the_rules(
    chunks: list[Any], offer: Any, thinking: Any, ends: bool
) -> None:
    repair = StreamRepair(RequestFacts(tools=offer), RepairSettings(thinking=thinking))
    out = b"".join(repair.feed(b"data: " + json.dumps(chunk).encode() + b"\n\n") for chunk in chunks)
    out += repair.finish() if ends else repair.break_off()

    check_vendor_rules(out, ended=ends)


@settings(max_examples=200, deadline=None)
@given(some.lists(some.binary(max_size=30) | some.just(b"data: ") | some.just(b"\n\n"), max_size=8))
def test_no_bytes_make_it_fail(pieces: list[bytes]) -> None:
    repair = StreamRepair(RequestFacts(), RepairSettings())

    for piece in pieces:
        repair.feed(piece)
    repair.finish()


@settings(max_examples=200, deadline=None)
@given(some.dictionaries(some.sampled_from([*FIELDS, "tool_calls"]), PIECES | JSON | some.lists(ENTRY, max_size=2)))
def test_no_message_makes_it_fail(message: Any) -> None:
    made, _, _ = repaired(message, "stop", RequestFacts(tools=[BASH]))

    calls = made.get("tool_calls") if isinstance(made, dict) else None
    for call in calls or []:
        assert isinstance(json.loads(call["function"]["arguments"]), dict)


@pytest.mark.parametrize("data", [b"", b"[]", b"null", b"<html>", b'{"error":{}}', b'{"choices":[3]}'])
def test_what_is_no_completion_is_handed_back(data: bytes) -> None:
    assert repair_completion(data, RequestFacts())[0] is data


@settings(max_examples=150, deadline=None)
@given(QUOTED_ANSWER, ANSWER, OFFERS)
def test_what_was_repaired_once_needs_no_repair(content: str, reasoning: str, offer: Any) -> None:
    message = {"role": "assistant", "content": content, "reasoning_content": reasoning}
    once, finish, _ = repaired(message, "stop", RequestFacts(tools=offer))
    if once.get("tool_calls"):
        return  # their text may name markers as data
    body, _ = repair_completion(completion(once, finish), RequestFacts(tools=offer))

    again = json.loads(body)["choices"][0]["message"]
    assert len(again.get("content") or "") <= len(once.get("content") or "")


RAW_ARGUMENTS = some.lists(some.sampled_from([*TEXTS, *MARKERS[:5], '"', ",", "}", "'", "<", "[", "]"]), max_size=10)


@settings(max_examples=400, deadline=2000)
@given(some.data(), RAW_ARGUMENTS.map("".join), OFFERS, REASONS)
def test_any_way_to_cut_the_arguments_of_a_structured_call_gives_the_same_result(
    data: some.DataObject, text: str, offer: Any, reason: str | None
) -> None:
    head = {"index": 0, "id": "call_1", "type": "function", "function": {"name": "bash", "arguments": ""}}
    results = []
    for pieces in ([text], cuts_of(data, text)):
        rest = [{"index": 0, "function": {"arguments": piece}} for piece in pieces]
        out, _ = streamed(
            stream_of([{"tool_calls": [entry]} for entry in [head, *rest]], reason), RequestFacts(tools=offer)
        )
        check_vendor_rules(out)
        results.append(read(*assembled(out)))

    assert results[0] == results[1]
