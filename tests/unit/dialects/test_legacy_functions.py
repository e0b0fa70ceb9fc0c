"""Chat completions in the form before `tools`: in, and out again."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.ingress.dialects import CHAT
from services.ingress.dialects.base import Answering
from services.ingress.dialects.legacy_functions import LegacyAnswering
from shared.contracts import End, Fault
from shared.errors import Refused

Json = dict[str, Any]

LOOK: Json = {"name": "look", "description": "Looks.", "parameters": {"type": "object", "properties": {}}}
HELLO: Json = {"role": "user", "content": "Hi"}
CALL: Json = {"role": "assistant", "content": None, "function_call": {"name": "look", "arguments": '{"at": 1}'}}
RESULT: Json = {"role": "function", "name": "look", "content": "42"}
DONE = End(outcome="complete", worker="w", at=0, done_seen=True)


def body(messages: list[Json] | None = None, **fields: Any) -> bytes:
    return msgspec.json.encode({"model": "m", "messages": messages or [HELLO], **fields})


def canonical(messages: list[Json] | None = None, **fields: Any) -> Json:
    made: Json = msgspec.json.decode(CHAT.read(body(messages, **fields)).body)
    return made


def refusal(messages: list[Json] | None = None, **fields: Any) -> Fault:
    with pytest.raises(Refused) as caught:
        CHAT.read(body(messages, **fields))
    return caught.value.fault


# -- requests


def test_functions_become_tools_of_which_one_is_called_at_a_time() -> None:
    made = canonical(functions=[LOOK], temperature=0.5)

    assert made == {
        "model": "m",
        "messages": [HELLO],
        "temperature": 0.5,
        "tools": [{"type": "function", "function": LOOK}],
        "parallel_tool_calls": False,
    }


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        ("auto", "auto"),
        ("none", "none"),
        ({"name": "look"}, {"type": "function", "function": {"name": "look"}}),
    ],
)
def test_a_choice_of_a_function_becomes_one_of_a_tool(choice: Any, expected: Any) -> None:
    assert canonical(functions=[LOOK], function_call=choice)["tool_choice"] == expected


def test_what_is_said_of_parallel_calls_stays() -> None:
    assert canonical(functions=[LOOK], parallel_tool_calls=True)["parallel_tool_calls"] is True


def test_a_call_and_its_result_in_the_history_get_an_id() -> None:
    _, call, result = canonical([HELLO, CALL, RESULT], functions=[LOOK])["messages"]

    function = {"name": "look", "arguments": '{"at": 1}'}
    assert call == {
        "role": "assistant",
        "content": None,
        "tool_calls": [{"id": "look_0", "type": "function", "function": function}],
    }
    assert result == {"role": "tool", "tool_call_id": "look_0", "content": "42"}


def test_ids_are_counted_over_the_conversation_with_calls_of_the_new_form() -> None:
    tool = {"id": "x", "type": "function", "function": {"name": "look", "arguments": "{}"}}
    new = [{"role": "assistant", "tool_calls": [tool]}, {"role": "tool", "tool_call_id": "x", "content": "1"}]

    made = canonical([HELLO, CALL, RESULT, *new, CALL, RESULT], functions=[LOOK])["messages"]

    assert [message["tool_call_id"] for message in made if message["role"] == "tool"] == ["look_0", "x", "look_2"]


@pytest.mark.parametrize("after", [[], [HELLO]])
def test_a_call_without_a_result_gets_one_that_says_so(after: list[Json]) -> None:
    made = canonical([HELLO, CALL, *after], functions=[LOOK])["messages"]

    assert made[2] == {
        "role": "tool",
        "tool_call_id": "look_0",
        "content": "[no result: the call was interrupted]",
    }
    assert made[3:] == after


@pytest.mark.parametrize(
    ("content", "text"),
    [("42", "42"), (None, "null"), ([{"type": "text", "text": "42"}], '[{"type":"text","text":"42"}]')],
)
def test_a_result_that_nobody_asked_for_is_the_users_words(content: Any, text: str) -> None:
    made = canonical([HELLO, {**RESULT, "content": content}])["messages"]

    assert made[1] == {"role": "user", "content": f"[result of the function look]\n{text}"}


def test_a_result_without_anything_in_it_is_told_as_empty() -> None:
    orphan = canonical([{"role": "function"}])["messages"]
    made = canonical([CALL, {"role": "function", "name": "look"}])["messages"]

    assert orphan == [{"role": "user", "content": "[result of the function ]\nnull"}]
    assert made[1]["content"] == ""


def test_arguments_that_are_an_object_or_nothing_become_text() -> None:
    calls = [{**CALL, "function_call": {"name": "look", "arguments": given}} for given in ({"at": 1}, None, "")]

    made = canonical([HELLO, *calls])["messages"]

    arguments = [m["tool_calls"][0]["function"]["arguments"] for m in made if m.get("tool_calls")]
    assert arguments == ['{"at":1}', "{}", "{}"]


def test_a_history_of_the_old_form_with_tools_is_answered_in_the_new_form() -> None:
    asked = CHAT.read(body([HELLO, CALL, RESULT], tools=[{"type": "function", "function": LOOK}]))

    assert not asked.answering("id", 0.0).is_translated
    assert b"function_call" not in asked.body


def test_a_message_that_says_its_call_twice_keeps_the_new_form_and_says_so() -> None:
    tool = {"id": "x", "type": "function", "function": {"name": "look", "arguments": "{}"}}
    asked = CHAT.read(body([HELLO, {**CALL, "tool_calls": [tool]}]))

    assert "messages[].function_call" in asked.dropped
    assert msgspec.json.decode(asked.body)["messages"][1] == {
        "role": "assistant",
        "content": None,
        "tool_calls": [tool],
    }


def test_a_choice_without_functions_is_dropped_and_listed() -> None:
    asked = CHAT.read(body(function_call="auto"))

    assert asked.dropped == {"function_call": "there are no functions to choose from"}
    assert "function_call" not in msgspec.json.decode(asked.body)


def test_an_empty_list_of_functions_is_no_list_of_tools() -> None:
    assert "tools" not in canonical(functions=[])


@pytest.mark.parametrize("nothing", [{"functions": None}, {"function_call": None}, {}])
def test_a_request_with_nothing_of_the_old_form_keeps_its_bytes(nothing: Json) -> None:
    raw = body([HELLO, {"role": "assistant", "content": "Hm", "function_call": None}, HELLO], **nothing)

    assert CHAT.read(raw).body is raw


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"functions": [LOOK], "tools": [{"type": "function", "function": LOOK}]}, "functions"),
        ({"functions": [{"description": "nameless"}]}, "functions[0].name"),
        ({"functions": "look"}, "functions"),
        ({"functions": [LOOK], "function_call": "required"}, "function_call"),
        ({"functions": [LOOK], "function_call": {}}, "function_call.name"),
        ({"messages": [HELLO, {**CALL, "function_call": {"arguments": "{}"}}]}, "messages[1].function_call"),
    ],
)
def test_what_is_wrong_is_named(fields: Json, param: str) -> None:
    fault = refusal(**fields)

    assert (fault.status, fault.param) == (400, param)
    assert param in fault.message


# -- answers


def delta(**fields: Any) -> Json:
    return {"id": "1", "object": "chat.completion.chunk", "choices": [{"index": 0, "finish_reason": None, **fields}]}


def begun(index: int, name: str) -> Json:
    function = {"name": name, "arguments": ""}
    return {"index": index, "id": f"{name}_{index}", "type": "function", "function": function}


def more(index: int, text: str) -> Json:
    return {"index": index, "function": {"arguments": text}}


STREAM = [
    delta(delta={"role": "assistant", "content": None, "reasoning_content": "Hm."}),
    delta(delta={"tool_calls": [begun(0, "look")]}),
    delta(delta={"tool_calls": [more(0, '{"at"')]}),
    delta(delta={"tool_calls": [more(0, ": 1}")]}),
]
FINISHED = [delta(delta={}, finish_reason="tool_calls"), {"id": "1", "choices": [], "usage": {"total_tokens": 3}}]


def stream_of(chunks: list[Json]) -> bytes:
    return b"".join(b"data: %b\n\n" % msgspec.json.encode(chunk) for chunk in chunks) + b"data: [DONE]\n\n"


def told(data: bytes, answering: Answering, cut: int | None = None, end: End = DONE) -> list[Any]:
    codec = answering.codec()
    pieces = [data[:cut], data[cut:]] if cut is not None else [data]
    out = b"".join(codec.feed(piece) for piece in pieces) + codec.finish(end)
    texts = [block.removeprefix(b"data: ") for block in out.split(b"\n\n") if block]
    return [text.decode() if text == b"[DONE]" else msgspec.json.decode(text) for text in texts]


def test_a_streamed_call_is_told_as_a_function_call() -> None:
    *chunks, done = told(stream_of(STREAM + FINISHED), LegacyAnswering("id"))

    deltas = [choice["delta"] for chunk in chunks for choice in chunk["choices"]]
    assert deltas == [
        {"role": "assistant", "content": None, "reasoning_content": "Hm."},
        {"function_call": {"name": "look", "arguments": ""}},
        {"function_call": {"arguments": '{"at"'}},
        {"function_call": {"arguments": ": 1}"}},
        {},
    ]
    assert chunks[4]["choices"][0]["finish_reason"] == "function_call"
    assert chunks[5]["usage"] == {"total_tokens": 3}
    assert done == "[DONE]"


@given(st.integers(0, len(stream_of(STREAM + FINISHED))))
def test_a_stream_says_the_same_wherever_it_is_cut(cut: int) -> None:
    data = stream_of(STREAM + FINISHED)

    assert told(data, LegacyAnswering("id"), cut) == told(data, LegacyAnswering("id"))


def test_of_several_calls_the_first_is_told_and_the_record_is_told_of_the_others() -> None:
    answering = LegacyAnswering("id")
    others = [delta(delta={"tool_calls": [begun(1, "hear")]}), delta(delta={"tool_calls": [more(1, "{}")]})]

    *chunks, _ = told(stream_of(STREAM + others + FINISHED), answering)

    calls = [c["delta"]["function_call"] for chunk in chunks for c in chunk["choices"] if "function_call" in c["delta"]]
    assert "".join(call["arguments"] for call in calls) == '{"at": 1}'
    assert list(answering.left_out) == ["tool_calls"]


def test_another_call_of_the_provider_begins_anew() -> None:
    answering = LegacyAnswering("id")
    codec = answering.codec()
    codec.feed(stream_of([*STREAM, delta(delta={"tool_calls": [begun(1, "hear")]})]))
    codec.restart()

    assert b'"name":"look"' in codec.feed(stream_of(STREAM))
    assert answering.left_out == {}


def test_a_stream_that_breaks_ends_in_an_error_event() -> None:
    fault = Fault(status=502, code="provider_broke_off", message="It broke off.")
    broken = End(outcome="broken", worker="w", at=0, fault=fault)
    *_, last = told(stream_of(STREAM)[: -len(b"data: [DONE]\n\n")], LegacyAnswering("id"), end=broken)

    assert last["error"]["code"] == "provider_broke_off"


def test_a_keep_alive_is_a_comment() -> None:
    assert LegacyAnswering("id").codec().keep_alive().startswith(b":")


def test_words_that_speak_of_tool_calls_stay_as_they_are() -> None:
    chunk = delta(delta={"content": 'Say "tool_calls".', "tool_calls": None})

    assert told(stream_of([chunk]), LegacyAnswering("id"))[0]["choices"][0]["delta"] == {"content": 'Say "tool_calls".'}


def completion(*calls: Json, **message: Any) -> bytes:
    made = {"role": "assistant", "content": None, "tool_calls": list(calls), **message}
    return msgspec.json.encode({"choices": [{"index": 0, "message": made, "finish_reason": "tool_calls"}]})


def test_a_plain_call_is_told_as_a_function_call() -> None:
    call = {"id": "look_0", "type": "function", "function": {"name": "look", "arguments": "{}"}}
    choice = msgspec.json.decode(LegacyAnswering("id").plain(completion(call), DONE))["choices"][0]

    function_call = {"name": "look", "arguments": "{}"}
    assert choice["message"] == {"role": "assistant", "content": None, "function_call": function_call}
    assert choice["finish_reason"] == "function_call"


def test_of_several_plain_calls_the_first_is_told() -> None:
    answering = LegacyAnswering("id")
    calls = [{"id": n, "type": "function", "function": {"name": n, "arguments": "{}"}} for n in ("look", "hear")]
    choice = msgspec.json.decode(answering.plain(completion(*calls), DONE))["choices"][0]

    assert choice["message"]["function_call"]["name"] == "look"
    assert list(answering.left_out) == ["tool_calls"]


def test_a_plain_answer_without_calls_keeps_its_bytes() -> None:
    raw = b'{"choices": [{"message": {"content": "Hi"}, "finish_reason": "stop"}]}'

    assert LegacyAnswering("id").plain(raw, DONE) is raw


def test_a_broken_choice_is_left_to_its_reader() -> None:
    raw = b'{"choices": [{"index": 0, "finish_reason": "tool_calls"}]}'

    assert msgspec.json.decode(LegacyAnswering("id").plain(raw, DONE))["choices"][0]["finish_reason"] == "function_call"
