"""With one repair off, the fields that it would have touched go out as they came: plain and in a stream."""

from __future__ import annotations

import json
from typing import Any

import pytest

from services.normalizer import RepairSettings, repair_completion
from tests.unit.normalizer.answers import (
    DONE,
    LIST,
    OFFERED,
    ROLE,
    assembled,
    chunk,
    completion,
    events,
    stream_of,
    streamed,
)

PARTS = [{"type": "text", "text": "a"}, {"type": "text", "text": "<think>"}]
HALF = "a\ud83d"
ESCAPED = '{"command":"\\ud83d"}'
LONG = f'{{"command":"{"x" * 2000}\\ud83d"}}'


def call(arguments: str = LIST) -> dict[str, Any]:
    return {"id": "call_1", "type": "function", "function": {"name": "bash", "arguments": arguments}}


def message(**fields: Any) -> dict[str, Any]:
    return {"role": "assistant", **fields}


PLAIN: list[tuple[str, dict[str, Any], Any]] = [
    ("content_parts_joined", message(content=PARTS), "stop"),
    ("content_parts_joined", message(content=PARTS, tool_calls=[call()]), "tool_calls"),
    ("content_parts_joined", message(content=[]), "stop"),
    ("lone_surrogate_replaced", message(content=HALF), "stop"),
    ("lone_surrogate_replaced", message(content="a", reasoning_content="\udc00x"), "stop"),
    ("lone_surrogate_replaced", message(content=None, tool_calls=[call(ESCAPED)]), "tool_calls"),
    ("lone_surrogate_replaced", message(content=None, tool_calls=[call('{"command":"\ud83d"}')]), "tool_calls"),
    ("empty_content_nulled", message(content="", tool_calls=[call()]), "tool_calls"),
    ("finish_reason_mapped", message(content="a"), "end_turn"),
    ("finish_reason_mapped", message(content="a"), "STOP"),
    ("finish_reason_mapped", message(content="a"), 3),
    ("finish_reason_mapped", message(content="a"), False),
    ("finish_reason_mapped", message(content="a"), {"type": "stop"}),
    ("finish_reason_mapped", message(content="a"), "tool_calls"),
    ("finish_reason_mapped", message(content=None, tool_calls=[call()]), "stop"),
    ("finish_reason_added", message(content="a"), None),
    ("finish_reason_added", message(content="a"), ""),
    ("finish_reason_added", message(content=None, tool_calls=[call()]), None),
]


@pytest.mark.parametrize(("off", "given", "finish"), PLAIN)
def test_a_plain_answer_keeps_the_field(off: str, given: dict[str, Any], finish: Any) -> None:
    body, repairs = repair_completion(completion(given, finish), OFFERED, RepairSettings(off=(off,)))

    assert json.loads(body)["choices"][0] == {"index": 0, "message": given, "finish_reason": finish}
    assert repairs == {}


@pytest.mark.parametrize(("off", "given", "finish"), [(o, g, f) for o, g, f in PLAIN if "tool_calls" not in g])
def test_a_stream_keeps_the_field(off: str, given: dict[str, Any], finish: Any) -> None:
    deltas = [{key: given[key]} for key in ("reasoning_content", "content") if given.get(key)]

    out, repair = streamed(stream_of(deltas, finish), OFFERED, RepairSettings(off=(off,)))

    sent = [(choice["delta"], choice["finish_reason"]) for event in events(out) for choice in event["choices"]]
    assert sent == [(ROLE, None), *((delta, None) for delta in deltas), *_ends(finish)]
    assert repair.repairs == {}


def _ends(finish: Any) -> list[tuple[dict[str, Any], Any]]:
    """The finish frame; without a reason there is none."""
    return [] if finish is None else [({}, finish)]


@pytest.mark.parametrize("arguments", [ESCAPED, '{"command":"\ud83d"}', LONG])
def test_half_a_surrogate_pair_stays_in_a_streamed_call(arguments: str) -> None:
    entries = [{**call(""), "index": 0}, {"index": 0, "function": {"arguments": arguments}}]
    deltas = [{"tool_calls": [entry]} for entry in entries]

    out, repair = streamed(stream_of(deltas, "tool_calls"), OFFERED, RepairSettings(off=("lone_surrogate_replaced",)))

    assert assembled(out)[0]["tool_calls"] == [call(arguments)]
    assert repair.repairs == {}


def test_a_call_in_a_text_that_holds_half_a_surrogate_pair_stays_text() -> None:
    text = f'<tool_call>{{"name":"bash","arguments":{ESCAPED}}}</tool_call>'

    out, _ = streamed(stream_of([{"content": text}], "stop"), OFFERED, RepairSettings(off=("lone_surrogate_replaced",)))

    assert assembled(out)[0]["content"] == text


def test_half_a_surrogate_pair_stays_where_something_else_is_repaired() -> None:
    given = message(content=HALF, tool_calls=[{**call(), "id": "functions.bash:0"}])

    body, repairs = repair_completion(
        completion(given, "tool_calls"), OFFERED, RepairSettings(off=("lone_surrogate_replaced",))
    )

    assert json.loads(body)["choices"][0]["message"]["content"] == HALF
    assert repairs == {"tool_call_id_rewritten": 1}


def test_no_finish_frame_is_made_where_none_came() -> None:
    raw = chunk(ROLE) + chunk({"content": "a"}) + DONE

    out, _ = streamed(raw, OFFERED, RepairSettings(off=("finish_reason_added",)))

    assert [event["choices"][0]["delta"] for event in events(out)] == [ROLE, {"content": "a"}]


@pytest.mark.parametrize("text", ["one<tool_call> two", "one<function_calls> two", "one<|tool_call_begin|> two words"])
def test_a_marker_that_begins_nothing_stays(text: str) -> None:
    out, repair = streamed(
        stream_of([{"content": text}], "stop"), OFFERED, RepairSettings(off=("stray_marker_removed",))
    )

    assert assembled(out)[0]["content"] == text
    assert repair.repairs == {}
