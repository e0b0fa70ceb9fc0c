"""What is kept of the tool calls in an answer, and of what was said."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.recorder.rules.asking import Asking
from services.recorder.rules.exchange import Records, assemble
from services.recorder.rules.messages import read
from services.recorder.rules.said import SAID_CHARACTERS, said_in
from services.recorder.rules.tool_calls import checked
from shared.contracts import Body
from tests.fixtures.exchanges import NORMALIZER, Script, captured

TOOL = {"name": "lookup", "parameters": {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}}
ASKED = {
    "messages": [
        {"role": "user", "content": "old question"},
        {"role": "assistant", "content": "old answer"},
        {"role": "tool", "content": "a tool's result"},
        {"role": "user", "content": [{"type": "text", "text": "new question"}, {"type": "image_url"}]},
    ],
    "tools": [{"type": "function", "function": TOOL}, {"type": "function", "function": {"name": "bare"}}, 5],
}


def body(value: Any) -> Body:
    data = json.dumps(value).encode()
    return Body(json=msgspec.Raw(data), size=len(data))


def call(name: Any, arguments: Any, id: str = "call-1") -> dict[str, Any]:
    return {"id": id, "type": "function", "function": {"name": name, "arguments": arguments}}


def answer(*calls: dict[str, Any], **message: Any) -> bytes:
    return json.dumps({"choices": [{"index": 0, "message": {**message, "tool_calls": list(calls)}}]}).encode()


def records(raw: bytes, normal: bytes | None = None, asked: Any = ASKED) -> Records:
    script = Script("A").request(body=body(asked)).sent()
    if normal is None:
        script.head().data(raw).end().done()
    else:
        script.head(to=NORMALIZER).data(raw, to=NORMALIZER).end(to=NORMALIZER)
        script.head(leg="normal", by=NORMALIZER).data(normal, leg="normal", by=NORMALIZER)
        script.end(leg="normal", by=NORMALIZER).done(leg="c1.normal")
    return assemble("A", [read(message, "moontide")[1] for message in captured([script])])


def test_a_call_is_kept_as_the_client_got_it_with_its_validity() -> None:
    (row,) = records(answer(call("lookup", '{"n": 1}'))).tool_calls

    assert row == {
        "exchange_id": "A",
        "call": "c1",
        "choice": 0,
        "number": 0,
        "tool_call_id": "call-1",
        "name": "lookup",
        "arguments": '{"n": 1}',
        "offered": True,
        "valid": True,
        "problem": None,
        "repaired": False,
    }


def test_a_tool_that_only_the_provider_was_offered_is_offered() -> None:
    done = {"name": "done", "parameters": {"type": "object", "properties": {"final_answer": {"type": "string"}}}}
    sent = body({**ASKED, "tools": [{"type": "function", "function": done}]})
    calls = answer(call("done", '{"final_answer": 1}'), call("lookup", '{"n": 1}'), call("other", "{}"))
    script = Script("A").request(body=body(ASKED)).sent(same_body=False, body=sent).head().data(calls).end().done()
    found = assemble("A", [read(message, "moontide")[1] for message in captured([script])]).tool_calls

    assert [(row["name"], row["offered"], row["valid"]) for row in found] == [
        ("done", True, False),
        ("lookup", True, True),
        ("other", False, None),
    ]


@pytest.mark.parametrize(
    ("made", "offered", "valid", "problem"),
    [
        (call("lookup", '{"n": "x"}'), True, False, 'n: "x" is not of type "integer"'),
        (call("lookup", "{}"), True, False, '"n" is a required property'),
        (call("lookup", "{broken"), True, False, "no JSON: "),
        (call("lookup", {"n": 2}), True, True, None),
        (call("bare", "{}"), True, None, None),
        (call("bare", "nonsense"), True, False, "no JSON: "),
        (call("unknown", "{}"), False, None, None),
        (call(None, None), False, None, None),
        (call(7, "{}"), False, None, None),
    ],
)
def test_arguments_are_held_against_the_offered_schema(
    made: dict[str, Any], offered: bool, valid: bool | None, problem: str | None
) -> None:
    (row,) = records(answer(made)).tool_calls

    assert (row["offered"], row["valid"]) == (offered, valid)
    assert (row["problem"] or "").startswith(problem or "")
    assert (row["problem"] is None) == (problem is None)


def test_a_call_that_was_mended_says_so_and_an_id_alone_is_no_repair() -> None:
    raw = answer(call("lookup", '{"n": 1', "x"), call("lookup", '{"n": 2}', "x"))
    normal = answer(call("lookup", '{"n": 1}', "lookup_0"), call("lookup", '{"n": 2}', "lookup_1"))

    rows = records(raw, normal).tool_calls

    assert [(row["number"], row["tool_call_id"], row["repaired"]) for row in rows] == [
        (0, "lookup_0", True),
        (1, "lookup_1", False),
    ]


def test_a_call_that_was_found_in_text_was_mended() -> None:
    (row,) = records(answer(content="<tool_call>lookup"), answer(call("lookup", '{"n": 1}'))).tool_calls

    assert (row["repaired"], row["valid"]) == (True, True)


def test_an_answer_that_passed_unchanged_was_not_mended() -> None:
    same = answer(call("lookup", '{"n": 1}'))

    assert [row["repaired"] for row in records(same, same).tool_calls] == [False]


def test_a_repeated_choice_and_a_name_without_end_are_kept_as_far_as_they_fit() -> None:
    choice = {"index": 0, "message": {"tool_calls": [call("x" * 5000, "{}")]}}
    odd = {"index": 2**70, "message": {"tool_calls": [call("bare", "{}")]}}
    data = json.dumps({"choices": [choice, choice, odd]}).encode()

    rows = records(data).tool_calls

    assert [(row["choice"], len(row["name"])) for row in rows] == [(0, 500), (2, 4)]


@pytest.mark.parametrize("schema", [{"type": "nonsense"}, {"$ref": "http://127.0.0.1:1/x"}, {"pattern": "("}])
def test_a_schema_that_can_not_be_used_says_so_and_nothing_is_fetched(schema: dict[str, Any]) -> None:
    valid, problem = checked("{}", schema)

    assert valid is None
    assert problem is not None
    assert problem.startswith("the offered schema can't be used")


def test_arguments_without_end_are_kept_and_not_checked() -> None:
    assert checked("[" + "0," * 600_000 + "0]", {"type": "array"}) == (None, None)


def test_what_is_new_in_the_request_and_the_answer_was_said() -> None:
    made = answer(call("lookup", '{"n": 1}'), content="the answer", reasoning_content="the thought")

    (row,) = records(made).said

    assert row["text"].split("\n\n") == [
        "a tool's result",
        "new question",
        "the answer",
        "the thought",
        'lookup {"n": 1}',
    ]


def test_an_exchange_in_which_nothing_was_said_has_no_row() -> None:
    assert records(b"\xff\x00", asked={"input": [1]}).said == []


def test_what_is_no_message_is_passed_over() -> None:
    odd = {"choices": [{"message": {"content": "hi", "tool_calls": [{"function": 5}]}}]}
    made = records(json.dumps(odd).encode(), asked={"messages": [5, {"role": "user", "content": "new"}]})

    assert [row["text"] for row in made.said] == ["new\n\nhi"]


def test_a_plain_completion_has_its_prompt_and_its_text() -> None:
    said = records(b'{"choices": [{"text": "there was"}]}', asked={"prompt": "Once"}).said

    assert [row["text"] for row in said] == ["Once\n\nthere was"]


def test_where_not_all_has_room_the_answer_and_the_newest_message_stay() -> None:
    asked = ["o" * SAID_CHARACTERS, "newest"]
    text = said_in(asked, {"choices": [{"message": {"content": "answer" + "a" * 30_000}}]})

    assert len(text) <= SAID_CHARACTERS + 4
    assert "newest" in text
    assert "answer" in text


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda x: (
            st.lists(x)
            | st.dictionaries(
                st.sampled_from(
                    ["messages", "tools", "function", "name", "parameters", "content", "text", "role", "prompt"]
                ),
                x,
            )
        ),
    )
)
def test_any_request_is_read_without_a_fault(value: Any) -> None:
    asking = Asking(json.dumps(value).encode())

    assert all(isinstance(text, str) for text in asking.new_texts())
    assert all(isinstance(schema, dict) for schema in asking.schemas().values())
    assert len(asking.schemas()) <= (asking.tools() or 0)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda x: (
            st.lists(x)
            | st.dictionaries(
                st.sampled_from(
                    ["choices", "index", "message", "tool_calls", "function", "name", "arguments", "content"]
                ),
                x,
            )
        ),
    )
)
def test_any_answer_is_read_without_a_fault(value: Any) -> None:
    found = records(json.dumps(value).encode())

    keys = [(row["choice"], row["number"]) for row in found.tool_calls]
    assert len(keys) == len(set(keys))
    assert all(isinstance(row["text"], str) for row in found.said)


@pytest.mark.parametrize(
    ("body", "tools"),
    [
        (b'{"tools": [{"type": "function"}, {"type": "function"}]}', 2),
        (b'{"messages": []}', 0),
        (b"no JSON", None),
        (b"", None),
        (None, None),
    ],
)
def test_the_tools_of_a_request_are_counted_where_it_can_be_read(body: bytes | None, tools: int | None) -> None:
    assert Asking(body).tools() == tools
