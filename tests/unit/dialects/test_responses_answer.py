"""Chat answers as OpenAI's responses and events."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.ingress.dialects import carriers
from services.ingress.dialects.responses import OpenAIResponses, ResponsesAnswering
from services.ingress.dialects.responses.unwrap import InputText
from shared.assembly import Assembly
from shared.contracts import End, Fault
from tests.fixtures.responses import response_of
from tests.fixtures.streams import BROKEN, COMPLETE, THINK_TEXT_CALLS, call, chunk, cuts, deltas, events, stream

Json = dict[str, Any]
RESPONSES = OpenAIResponses()


def answering(**fields: Any) -> ResponsesAnswering:
    return RESPONSES.answering_of(msgspec.json.encode({"model": "kimi", "input": "Hi", **fields}), "X1", 5.0)


def written(data: bytes, end: End = COMPLETE, **fields: Any) -> bytes:
    codec = answering(**fields).codec()
    return codec.feed(data) + codec.finish(end)


def streamed(said: list[Json], finish: str = "stop", **fields: Any) -> Json:
    return response_of(events(written(stream(said, finish), **fields)))


def plain(said: list[Json], finish: str = "stop", **fields: Any) -> Json:
    assembly = Assembly()
    assembly.feed(stream(said, finish))
    response: Json = msgspec.json.decode(answering(**fields).plain(assembly.completion(), COMPLETE))
    return response


def test_streamed_or_not_it_was_completed_when_its_answer_had_ended() -> None:
    end = msgspec.structs.replace(COMPLETE, at=7.9)
    assembly = Assembly()
    assembly.feed(stream([], "stop"))

    told = response_of(events(written(stream([], "stop"), end)))
    whole = msgspec.json.decode(answering().plain(assembly.completion(), end))

    assert (told["completed_at"], whole["completed_at"]) == (7, 7)


def test_thinking_text_and_calls_become_items_in_their_order() -> None:
    output = streamed(THINK_TEXT_CALLS, "tool_calls", include=["reasoning.encrypted_content"])["output"]

    reasoning, message, first, second = output
    assert reasoning["summary"] == [{"type": "summary_text", "text": "I need the shell."}]
    assert carriers.unpack(reasoning["encrypted_content"]) == "I need the shell."
    assert message["content"][0]["text"] == "Let me look."
    assert (first["call_id"], first["name"], first["arguments"]) == ("run_0", "run_shell", '{"command": "echo 42"}')
    assert second["call_id"] == "functions.get:1"
    assert len({item["id"] for item in output}) == 4


def test_the_order_of_events_is_openais() -> None:
    found = [event["type"].removeprefix("response.") for event in events(written(stream(THINK_TEXT_CALLS)))]

    assert found == [
        *("created", "in_progress"),
        *("output_item.added", "reasoning_summary_part.added"),
        *("reasoning_summary_text.delta", "reasoning_summary_text.delta"),
        *("reasoning_summary_text.done", "reasoning_summary_part.done", "output_item.done"),
        *("output_item.added", "content_part.added", "output_text.delta", "output_text.delta"),
        *("output_text.done", "content_part.done", "output_item.done"),
        *("output_item.added", "function_call_arguments.delta", "function_call_arguments.delta"),
        *("function_call_arguments.done", "output_item.done"),
        *("output_item.added", "function_call_arguments.delta", "function_call_arguments.done", "output_item.done"),
        "completed",
    ]


def test_usage_has_every_number() -> None:
    assert streamed([{"content": "Hi"}])["usage"] == {
        "input_tokens": 100,
        "input_tokens_details": {"cached_tokens": 60, "cache_write_tokens": 0},
        "output_tokens": 20,
        "output_tokens_details": {"reasoning_tokens": 5},
        "total_tokens": 120,
    }


@pytest.mark.parametrize(
    ("finish", "status", "reason"),
    [("stop", "completed", None), ("length", "incomplete", "max_output_tokens"), ("repeat", "completed", None)],
)
def test_how_it_ended(finish: str, status: str, reason: str | None) -> None:
    response = streamed([{"content": "Hi"}], finish)

    assert response["status"] == status
    assert (response["incomplete_details"] or {}).get("reason") == reason


STOPPED = msgspec.structs.replace(COMPLETE, outcome="stopped")


@pytest.mark.parametrize(
    ("finish", "status", "reason"),
    [
        ("repeat", "incomplete", "repeat"),
        ("length", "incomplete", "max_output_tokens"),
        ("stop", "completed", None),
    ],
)
def test_an_answer_that_we_ended_says_so(finish: str, status: str, reason: str | None) -> None:
    response = response_of(events(written(stream([{"content": "Hi"}], finish), STOPPED)))

    assert response["status"] == status
    assert (response["incomplete_details"] or {}).get("reason") == reason


def test_a_broken_stream_is_a_failed_response_with_what_came() -> None:
    last = events(written(chunk({"content": "Hi"}), BROKEN))[-1]

    assert last["type"] == "response.failed"
    assert last["response"]["error"] == {"code": "server_error", "message": "It broke off."}


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        (Fault(status=429, code="rate_limit_reached_error", message="m"), "rate_limit_exceeded"),
        (Fault(status=429, code="x", type="exceeded_current_quota_error", message="m"), "insufficient_quota"),
        (Fault(status=400, code="x", message="Your request exceeded model token limit: 1"), "context_length_exceeded"),
        (Fault(status=400, code="x", message="m"), "invalid_prompt"),
        (Fault(status=502, code="x", message="m"), "server_error"),
    ],
)
def test_failures_have_the_codes_that_codex_acts_upon(fault: Fault, code: str) -> None:
    end = End(outcome="broken", worker="u", at=0, fault=fault)

    assert events(written(b"", end))[-1]["response"]["error"]["code"] == code


def test_a_wait_is_told_in_the_words_that_codex_reads() -> None:
    fault = Fault(status=429, code="rate_limit_reached_error", message="Slow down.", retry_after_s=1.5)

    error = events(written(b"", End(outcome="refused", worker="u", at=0, fault=fault)))[-1]["response"]["error"]

    assert error["message"] == "Slow down. Please try again in 1.5s."


def test_a_custom_tools_text_is_unwrapped_while_it_comes() -> None:
    tools = [{"type": "custom", "name": "apply_patch"}]
    said = [
        call(0, "a", "apply_patch", '{"in'),
        call(0, arguments='put": "line\\n'),
        call(0, arguments='two \\ud83d\\ude00"}'),
    ]

    codec = answering(tools=tools).codec()
    early = codec.feed(chunk(said[0]) + chunk(said[1]))
    item = streamed(said, tools=tools)["output"][0]

    assert b'"delta":"line\\n"' in early
    assert item["type"] == "custom_tool_call"
    assert item["input"] == "line\ntwo \N{GRINNING FACE}"


def test_a_custom_tool_called_in_another_shape_gets_what_there_is() -> None:
    tools = [{"type": "custom", "name": "apply_patch"}]

    assert streamed([call(0, "a", "apply_patch", '{"patch": 1}')], tools=tools)["output"][0]["input"] == '{"patch": 1}'


def test_a_namespaces_tool_gets_its_name_back() -> None:
    inner = {"type": "function", "name": "run", "parameters": {}}
    tools = [{"type": "namespace", "name": "agents", "tools": [inner]}]

    item = streamed([call(0, "a", "agents__run", "{}")], tools=tools)["output"][0]

    assert (item["name"], item["namespace"]) == ("run", "agents")


@pytest.mark.parametrize(
    ("kind", "arguments", "field", "value"),
    [
        ("local_shell", '{"command": ["ls"]}', "action", {"type": "exec", "command": ["ls"], "env": {}}),
        (
            "shell",
            '{"commands": ["ls"]}',
            "action",
            {"commands": ["ls"], "timeout_ms": None, "max_output_length": None},
        ),
        (
            "apply_patch",
            '{"type": "delete_file", "path": "a"}',
            "operation",
            {"type": "delete_file", "path": "a"},
        ),
    ],
)
def test_tools_without_a_schema_of_their_own(kind: str, arguments: str, field: str, value: Json) -> None:
    item = streamed([call(0, "a", kind, arguments)], tools=[{"type": kind}])["output"][0]

    assert item["type"] == f"{kind}_call"
    assert item[field] == value


def test_a_keep_alive_is_an_event_that_takes_no_number() -> None:
    codec = answering().codec()

    begun = events(codec.keep_alive())
    again = events(codec.keep_alive())
    rest = events(codec.feed(stream([{"content": "Hi"}])) + codec.finish(COMPLETE))

    assert [event["type"] for event in begun] == ["response.created", "response.in_progress"]
    assert again[0]["type"] == "response.in_progress"
    assert response_of(begun + rest)["status"] == "completed"


def test_what_was_asked_for_is_said_back() -> None:
    response = streamed([], instructions="Be.", metadata={"a": "b"}, temperature=0.1, store=False)

    assert (response["instructions"], response["metadata"], response["store"]) == ("Be.", {"a": "b"}, False)
    assert response["id"] == "resp_X1"
    assert response["created_at"] == 5


@given(deltas(), st.data())
def test_the_same_bytes_in_other_pieces_give_the_same_events(said: list[Json], data: st.DataObject) -> None:
    whole = stream(said)
    codec = answering().codec()

    out = b"".join(codec.feed(piece) for piece in data.draw(cuts(whole))) + codec.finish(COMPLETE)

    assert out == written(whole)


@given(deltas(), st.integers(-1, 40))
def test_a_resumed_stream_goes_on_behind_the_given_event(said: list[Json], after: int) -> None:
    codec = answering().resumed(after)

    rest = events(codec.feed(stream(said)) + codec.finish(COMPLETE))

    assert rest == events(written(stream(said)))[after + 1 :]


@given(deltas())
def test_a_stream_builds_the_same_response_as_the_plain_answer(said: list[Json]) -> None:
    left, right = streamed(said), plain(said)

    assert left | {"completed_at": 0} == right | {"completed_at": 0}


@given(deltas())
def test_what_was_said_comes_back_with_the_next_request(said: list[Json]) -> None:
    assembly = Assembly()
    assembly.feed(stream(said))
    original: Json = msgspec.json.decode(assembly.completion())["choices"][0]["message"]
    items = streamed(said, include=["reasoning.encrypted_content"])["output"]

    body = msgspec.json.encode({"model": "m", "input": [{"role": "user", "content": "Hi"}, *items]})

    returned = next(
        (m for m in msgspec.json.decode(RESPONSES.read(body).body)["messages"] if m["role"] == "assistant"), {}
    )
    for name in ("content", "reasoning_content"):
        assert (returned.get(name) or "") == (original.get(name) or "")
    assert returned.get("tool_calls", []) == original.get("tool_calls", [])


@given(st.text(), st.data())
def test_a_text_is_unwrapped_wherever_it_is_cut(text: str, data: st.DataObject) -> None:
    import json

    wrapped = json.dumps({"input": text}, ensure_ascii=data.draw(st.booleans()))
    places = sorted(data.draw(st.lists(st.integers(0, len(wrapped)), max_size=6)))
    unwrapped = InputText()

    found = "".join(unwrapped.feed(wrapped[a:b]) for a, b in zip([0, *places], [*places, len(wrapped)], strict=True))

    assert found == text
