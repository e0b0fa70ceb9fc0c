"""An answer that is nothing but a call in JSON."""

from __future__ import annotations

import json

import pytest

from services.normalizer import RequestFacts, repair_completion
from services.normalizer.rules.grammars import bare_json
from tests.unit.normalizer.answers import LIST, LS, said

CALL = f'{{"name": "bash", "arguments": {LIST}}}'


@pytest.mark.parametrize(
    "text",
    [
        CALL,
        f"\n{CALL}\n",
        CALL.replace("arguments", "parameters"),
        f'{{"tool":"bash","input":{LIST}}}',
        f'{{"tool_name":"bash","args":{LIST}}}',
        f'{{"arguments":{LIST},"name":"bash"}}',
        f'{{"type":"function","name":"bash","parameters":{LIST}}}',
        f'{{"type":"function","function":{CALL}}}',
        f'{{"function":{CALL}}}',
        CALL.replace("name", "n\\u0061me").replace("{", '{"type":"call",', 1),
    ],
)
def test_an_object_that_names_an_offered_tool_is_a_call(text: str) -> None:
    assert said(text) == ("", "", [LS])


@pytest.mark.parametrize(
    "text",
    [
        f"{CALL} is the call",
        f"The call: {CALL}",
        f"```json\n{CALL}\n```",
        f"[{CALL}]",
        CALL + CALL,
        CALL.replace("bash", "unknown"),
        CALL.replace('"bash"', "5"),
        '{"arguments":{},"name":"unknown"}',
        '{"name":"bash"}',
        '{"name":"bash","age":3}',
        '{"function":{"name":"bash"}}',
        '{"type":"x","arguments":{},}',
        '{"type":"call","n\\u0061me":5,"arguments":{}}',
        '{"name" 5}',
        '{"a":1}',
        "{name}",
        "{}",
        "{",
    ],
)
def test_what_only_looks_like_a_call_is_text(text: str) -> None:
    assert said(text) == (text, "", [])


@pytest.mark.parametrize("tools", [None, []])
def test_an_object_is_text_where_no_tools_are_known(tools: list[dict[str, object]] | None) -> None:
    assert said(CALL, facts=RequestFacts(tools=tools)) == (CALL, "", [])


def test_an_object_in_the_reasoning_is_text() -> None:
    assert said(CALL, field="reasoning_content") == ("", CALL, [])


@pytest.mark.parametrize("end", range(1, len(CALL)))
def test_a_call_that_is_cut_is_text(end: int) -> None:
    text, thoughts, calls = said(CALL[:end])

    assert text.rstrip() == CALL[:end].rstrip()
    assert (thoughts, calls) == ("", [])


def test_an_object_past_the_limit_is_text(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bare_json, "MAX_CALL_CHARS", 30)

    assert said(CALL) == (CALL, "", [])


def test_the_call_is_text_where_its_repair_is_switched_off() -> None:
    assert said(CALL, off=("tool_call_from_json",)) == (CALL, "", [])


@pytest.mark.parametrize(
    "text", ['  {"a": 1}\n', "{ ", ' {"name": "x" } ', '{\n  "result": [1, 2]\n}\n', '\n\n{"name": 1}', " { \n"]
)
def test_json_that_is_no_call_is_given_back_with_its_white_space(text: str) -> None:
    body = json.dumps(
        {"object": "chat.completion", "choices": [{"index": 0, "message": {"content": text}, "finish_reason": "stop"}]}
    ).encode()

    assert repair_completion(body, RequestFacts(tools=[TOOL]))[0] is body


TOOL = {"type": "function", "function": {"name": "bash", "parameters": {"type": "object", "properties": {}}}}


@pytest.mark.parametrize("behind", ["<|im_end|>", " \n[EOS]", "<|tool_call_end|> <|im_end|>\n", " " * 300])
def test_tokens_behind_a_call_are_taken_out(behind: str) -> None:
    assert said(CALL + behind) == ("", "", [LS])


@pytest.mark.parametrize("behind", ["<b>", "[1]", " x", "<|im_end|>x", "<|im_end|>" * 30])
def test_an_object_with_anything_else_behind_it_is_text(behind: str) -> None:
    assert said(CALL + behind) == ((CALL + behind).replace("<|im_end|>", ""), "", [])
