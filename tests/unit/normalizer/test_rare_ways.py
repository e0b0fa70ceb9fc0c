"""Ways through the engine that nothing else goes."""

from __future__ import annotations

import json

import pytest

from services.normalizer import RepairSettings, RequestFacts
from services.normalizer.rules import structured
from services.normalizer.rules.arguments import Unreadable, read
from services.normalizer.rules.catalog import Repairs
from tests.unit.normalizer.answers import (
    BASH,
    LS,
    OFFERED,
    TICK,
    assembled,
    read_plain,
    read_stream,
    said,
    stream_of,
    streamed,
)

K3_CALL = '<|open|>call tool="clock" index="1"<|sep|><|close|>call<|sep|>'
HEAD = {"index": 0, "id": "call_1", "type": "function", "function": {"name": "bash", "arguments": ""}}


def fragments(*pieces: str) -> list[dict[str, object]]:
    rest = [{"index": 0, "function": {"arguments": piece}} for piece in pieces]
    return [{"tool_calls": [entry]} for entry in [HEAD, *rest]]


def test_arguments_nested_too_deeply_are_hopeless() -> None:
    deep = '{"a":' + "[" * 5000 + "]" * 5000 + ",}"

    assert read(deep, True, Repairs()) == Unreadable("hopeless_call_dropped")


def test_a_long_call_whose_end_contradicts_its_beginning_is_not_closed() -> None:
    out, _ = streamed(
        stream_of(fragments('{"command":"' + "x" * 1100, '","command":"ls"}'), "tool_calls"), RequestFacts(tools=[BASH])
    )

    message, finish = assembled(out)
    assert finish == "length"
    with pytest.raises(ValueError, match="Expecting"):
        json.loads(message["tool_calls"][0]["function"]["arguments"])


def test_a_call_that_is_passed_on_may_be_longer_than_one_that_is_held_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(structured, "MAX_CALL_CHARS", 2000)

    reading = read_stream(fragments('{"command":"', *["x" * 500] * 9, '"}'), "tool_calls", RequestFacts(tools=[BASH]))

    assert reading["tool_calls"] == [{"name": "bash", "arguments": {"command": "x" * 4500}}]


def test_calls_are_compared_with_the_last_256() -> None:
    made = [
        {
            "id": f"c{at}",
            "type": "function",
            "function": {"name": "bash", "arguments": json.dumps({"command": str(at)})},
        }
        for at in range(300)
    ]

    reading = read_plain({"role": "assistant", "content": None, "tool_calls": made}, "tool_calls", OFFERED)

    assert len(reading["tool_calls"]) == 300


def test_other_tags_between_the_calls_of_k3_are_passed_over() -> None:
    other = "<|open|>message<|sep|><|close|>message<|sep|>"
    second = K3_CALL.replace("1", "2")

    assert said(f"<|open|>tools<|sep|>{K3_CALL}{other}{second}<|close|>tools<|sep|> ok") == ("ok", "", [TICK, TICK])


def test_half_a_surrogate_pair_goes_on_escaped_where_mending_it_is_off() -> None:
    off = RepairSettings(off=("lone_surrogate_replaced",))

    out, _ = streamed(stream_of([{"content": "a \ud83d b"}], "stop"), RequestFacts(), off)

    assert b"a \\ud83d" in out


def test_a_call_behind_a_fence_of_the_other_kind_in_an_unclosed_one_is_text() -> None:
    text = f"```\n<|tool_calls_section_begin|>\n~~~\n{K3_CALL}"

    assert said(text) == (text, "", [])


def test_ids_and_open_braces_in_each_other_are_read_again_only_so_often() -> None:
    call = 'bash:9{"command":"ls"}'

    assert said("bash:0{ " + call) == ("bash:0{", "", [LS])
    assert said("bash:0{ " * 20 + call) == ("bash:0{ " * 20 + call, "", [])
