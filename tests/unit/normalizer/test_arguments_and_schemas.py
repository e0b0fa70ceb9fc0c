"""Arguments: broken text, odd schemas, and what must not be made of them."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as some

from services.normalizer.rules.arguments import Arguments, Unreadable, encode, read, unwrapped
from services.normalizer.rules.catalog import Repairs
from services.normalizer.rules.schema import coerced
from services.normalizer.rules.surrogates import holds_half
from shared.schemas import fits


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "nonsense"},
        {"properties": 3},
        {"$ref": "#/nowhere"},
        {"$ref": "https://example.invalid/schema.json"},
        {"type": "object", "properties": {"a": {"pattern": "("}}},
        {"type": ["object", 3]},
        {"required": "a"},
        {},
    ],
)
def test_a_schema_that_is_none_neither_fails_nor_changes_anything(schema: dict[str, Any]) -> None:
    value = {"a": "1"}

    fits(value, schema)

    assert coerced(value, schema) == value


@pytest.mark.parametrize(
    ("value", "schema", "expected"),
    [
        ("null", {"type": ["null", "integer"]}, None),
        ("TRUE", {"type": "boolean"}, True),
        ("1.0", {"type": "integer"}, 1),
        ("1.5", {"type": "integer"}, "1.5"),
        ("1.5", {"type": "number"}, 1.5),
        (True, {"type": "string"}, "true"),
        (True, {"type": "integer"}, True),
        (1.5, {"type": "string"}, "1.5"),
        (1.5, {"type": "integer"}, 1.5),
        ("5", {"anyOf": [{"type": "integer"}, {"type": "null"}]}, 5),
        ("5", {"anyOf": [{"type": "integer"}, {"type": "string"}]}, "5"),
        ("5", {"anyOf": [{"type": "integer"}, {}]}, "5"),
        ("5", {"oneOf": [{"type": "integer"}]}, 5),
        ("[1", {"type": "array"}, "[1"),
        (["1"], {"type": "array", "items": {"type": "integer"}}, [1]),
        (None, {"type": "string"}, None),
        ("x", {}, "x"),
        ("x", True, "x"),
    ],
)
def test_a_value_gets_the_wanted_type_where_that_is_certain(value: Any, schema: Any, expected: Any) -> None:
    assert coerced(value, schema) == expected


@pytest.mark.parametrize(
    "text",
    [
        "ls",
        "3",
        "true",
        "[1, 2]",
        '"text"',
        "{]",
        '{"command":"ls","path":"/tm',
        '{"command":"ls","path"',
        '{"command":"ls",',
        '{"command":',
        '{"a":["b","c',
        '{"command":"ls","timeout":tru',
        "{" * 2000,
        "[" * 2000,
        '{"a":' * 500,
    ],
)
def test_what_can_not_be_made_out_is_not_made_up(text: str) -> None:
    assert isinstance(read(text, closed=True, repairs=Repairs()), Unreadable)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{"a":"x\\n",}', {"a": "x\n"}),
        ('{"a":1,"b":[1,2', {"a": 1, "b": [1, 2]}),
        ('{"a":{"b":true', {"a": {"b": True}}),
        ('"{\\"a\\":1}"', {"a": 1}),
        ('"\\"{\\\\\\"a\\\\\\":1}\\""', {"a": 1}),
        ('""', {}),
        ("null", {}),
        ("", {}),
        ('{"a":9007199254740993,}', {"a": 9007199254740993}),
        ('{"a":"\\ud83d\\ude00\\ud83d"}', {"a": "😀\ufffd"}),
    ],
)
def test_what_is_meant_is_read(text: str, expected: dict[str, Any]) -> None:
    found = read(text, closed=True, repairs=Repairs())

    assert isinstance(found, Arguments)
    assert found.value == expected


@pytest.mark.parametrize("text", ["", '{"a":1', '{"a":"b"', '"{'])
def test_nothing_is_completed_that_nobody_said_was_over(text: str) -> None:
    assert isinstance(read(text, closed=False, repairs=Repairs()), Unreadable)


@given(some.text(some.sampled_from("{}[]\":,\\ ab1\n'<|`"), max_size=30), some.booleans())
def test_no_text_makes_it_fail(text: str, closed: bool) -> None:
    found = read(text, closed=closed, repairs=Repairs())

    assert isinstance(found, Arguments | Unreadable)


def test_a_lone_surrogate_is_encoded_as_its_replacement() -> None:
    assert json.loads(encode({"a": "\ud83d"})) == {"a": "\ufffd"}


@pytest.mark.parametrize("text", ['"{}"', "[{}]", '["a"]'])
def test_wrapped_arguments_stay_wrapped_where_that_is_switched_off(text: str) -> None:
    off = Repairs(("arguments_unwrapped",))

    assert read(text, closed=True, repairs=off) == Unreadable("arguments_unwrapped")


@pytest.mark.parametrize(
    ("value", "name", "expected"),
    [
        ({"name": "bash", "arguments": {"a": 1}}, "bash", {"a": 1}),
        ({"name": "bash", "arguments": '{"a":1}'}, "", {"a": 1}),
        ({"arguments": {"a": 1}}, "bash", {"a": 1}),
        ({"name": "bash", "arguments": "{"}, "bash", None),
        ({"name": "bash", "arguments": {"a": 1}}, "glob", None),
        ({"name": "bash", "arguments": {"a": 1}, "more": 2}, "bash", None),
        ({"arguments": {"b": 1}}, "bash", None),
        ({"a": {"b": 1}}, "bash", None),
    ],
)
def test_an_envelope_is_taken_off_where_it_can_be_nothing_else(
    value: dict[str, Any], name: str, expected: dict[str, Any] | None
) -> None:
    given = Arguments(value, "")

    assert unwrapped(given, name, {"a": {}}).value == (value if expected is None else expected)


@pytest.mark.parametrize("text", ['{"a":[{"b":1}],"c"', '{"a":{"b":[1]},"c":"d","e"'])
def test_a_key_without_a_value_is_never_completed(text: str) -> None:
    assert read(text, closed=True, repairs=Repairs()) == Unreadable("incomplete_call_dropped")


def test_a_whole_number_is_written_without_a_fraction_where_an_integer_is_wanted() -> None:
    assert encode(coerced({"a": 1.0}, {"properties": {"a": {"type": "integer"}}})) == '{"a":1}'


@pytest.mark.parametrize(
    "behind", ["<|tool_call_end|>", "<| tool_call_end |>\r\n</tool_call>", "\n<\n|tool_calls_section_end|> [EOS]"]
)
def test_tokens_behind_arguments_are_left_out_however_they_are_spelt(behind: str) -> None:
    assert read(f'{{"a":1}}{behind}', True, Repairs()) == Arguments({"a": 1}, '{"a":1}')


def test_text_that_is_broken_besides_holding_half_a_pair_is_not_whole_but_for_it() -> None:
    assert not holds_half('{"a": "\\ud800"')
