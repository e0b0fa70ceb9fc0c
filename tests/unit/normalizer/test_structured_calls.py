"""Which fragment belongs to which structured call."""

from __future__ import annotations

from typing import Any

import pytest

from services.normalizer import RequestFacts
from services.normalizer.rules import structured
from services.normalizer.rules.catalog import Repairs
from services.normalizer.rules.offer import ToolOffer
from services.normalizer.rules.structured import StructuredCalls
from tests.unit.normalizer.answers import BASH, LIST, read_stream


def calls(*off: str) -> StructuredCalls:
    return StructuredCalls(ToolOffer(RequestFacts(tools=[BASH])), Repairs(off), lambda _name, _id: True)


def entry(arguments: Any = "", name: str = "", **fields: Any) -> dict[str, Any]:
    return {**fields, "function": {"name": name, "arguments": arguments}}


def heads(found: StructuredCalls, *entries: Any) -> list[tuple[str, str]]:
    steps = [*found.feed(list(entries)), *found.finish(closed=True)]
    return [(step.raw.head, step.raw.arguments) for step in steps]


def test_a_fragment_under_a_new_index_goes_on_with_the_last_call_that_is_open() -> None:
    found = heads(calls(), entry('{"command":', "bash", index=0, id="a"), entry('"ls"}', index=1))

    assert found == [("bash", LIST)]


def test_a_fragment_under_a_new_index_is_a_call_where_joining_is_switched_off() -> None:
    off = calls("tool_call_fragments_joined")

    found = heads(off, entry('{"command":', "bash", index=0, id="a"), entry('"ls"}', index=1))

    assert found == [("bash", '{"command":'), ("", '"ls"}')]


def test_a_call_without_a_name_waits_for_one_that_its_id_does_not_tell() -> None:
    found = calls()

    assert found.feed([entry(LIST, index=0, id="call_1")]) == []
    assert [step.raw.head for step in found.feed([entry("", "bash", index=0)])] == ["bash"]


def test_fragments_past_the_limit_of_open_calls_are_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(structured, "MAX_OPEN_CALLS", 2)
    entries = [entry('{"command":', "bash", index=at, id=f"call_{at}") for at in range(4)]

    assert len(heads(calls(), *entries)) == 2


@pytest.mark.parametrize("nothing", [None, 3, {}, {"index": 0}, {"function": {"name": " "}}])
def test_a_fragment_that_says_nothing_is_none(nothing: Any) -> None:
    assert heads(calls(), nothing) == []


def test_everything_so_far_may_end_where_a_value_is_due() -> None:
    pieces = ['{"command"', '{"command":', '{"command": "', '{"command": "ls"}']
    head = {"index": 0, "id": "call_1", "type": "function", "function": {"name": "bash", "arguments": ""}}
    rest = [{"index": 0, "function": {"arguments": piece}} for piece in pieces]

    assert read_stream([{"tool_calls": [entry]} for entry in [head, *rest]])["tool_calls"] == [
        {"name": "bash", "arguments": {"command": "ls"}}
    ]


@pytest.mark.parametrize(
    ("first", "whole"),
    [
        ("{", '{"command":"ls"}'),
        ('{"command"', '{"command":"ls"}'),
        ('{"command":', '{"command":"ls"}'),
        ('{"command":"a:', '{"command":"a:b"}'),
        ('{"command":"a:b",', '{"command":"a:b","timeout":3}'),
        ('{"command":"ls","more":[', '{"command":"ls","more":[2]}'),
    ],
)
def test_everything_so_far_is_known_when_it_first_comes_again(first: str, whole: str) -> None:
    found = heads(calls(), entry(first, "bash", index=0, id="a"), entry(whole, index=0))

    assert found == [("bash", whole)]


@pytest.mark.parametrize(("first", "whole"), [('{"any":', '{"any":1}'), ('{"any":[', '{"any":[2]}'), ("[", "[1]")])
def test_an_object_that_begins_as_the_outer_one_does_goes_on_with_it(first: str, whole: str) -> None:
    closes = {"{": "}", "[": "]"}
    end = "".join(closes[mark] for mark in reversed(first) if mark in closes)

    found = heads(calls(), entry(first, "bash", index=0, id="a"), entry(whole + end, index=0))

    assert found == [("bash", first + whole + end)]


@pytest.mark.parametrize("properties", [None, [], {"command": None}, {"command": {"type": ["string", "object"]}}, {}])
def test_what_a_schema_does_not_say_is_not_taken_for_a_scalar(properties: Any) -> None:
    tool = {"type": "function", "function": {"name": "bash", "parameters": {"properties": properties}}}
    found = StructuredCalls(ToolOffer(RequestFacts(tools=[tool])), Repairs(()), lambda _name, _id: True)

    first = '{"command":'
    assert heads(found, entry(first, "bash", index=0), entry('{"command":1}}', index=0)) == [
        ("bash", first + '{"command":1}}')
    ]
