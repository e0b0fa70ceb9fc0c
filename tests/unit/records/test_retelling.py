"""Rows to what it takes to tell a response again."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.recorder.rules.retelling import answering_part, is_told, recorded
from shared.contracts import Fault, Usage
from shared.records.queries import Part

Row = dict[str, Any]
ROW: Row = {
    **{"id": "01ARZ3NDEKTSV4RRFFQ69G5FAV", "at": 100.0, "state": "done", "dialect": "openai_responses"},
    **{"client": "max", "method": "POST", "path": "/v1/responses", "model": "k2", "streamed": True},
    **{
        "outcome": "complete",
        "latency_s": 2.5,
        "answered_at": 102.25,
        "finish_reason": "stop",
        "completion_id": "chatcmpl-1",
    },
    **dict.fromkeys(("prompt_tokens", "completion_tokens", "total_tokens", "cached_tokens", "reasoning_tokens")),
    **dict.fromkeys(("error_status", "error_code", "error_message", "error_type", "error_param")),
}


def part(data: bytes | None, content_type: str = "application/json") -> Part:
    return Part("", content_type, data, [], None)


def parts(asked: bytes = b'{"input":"Hi"}') -> dict[str, Part]:
    return {
        "client.request": part(asked),
        "c0.request": part(b'{"messages":[]}'),
        "c1.normal": part(b"data: [DONE]", "text/event-stream"),
    }


def test_its_own_client_is_told() -> None:
    assert is_told(ROW, "max", [{"name": "routed"}])


@pytest.mark.parametrize(
    ("row", "client", "events"),
    [
        (ROW, "another", []),
        (ROW, None, []),
        (ROW | {"client": None}, "max", []),
        (ROW | {"dialect": "openai_chat"}, "max", []),
        (ROW | {"state": "live"}, "max", []),
        (ROW, "max", [{"name": "deleted"}]),
    ],
)
def test_nobody_is_told_what_is_not_theirs_not_over_or_deleted(row: Row, client: str | None, events: list[Row]) -> None:
    assert not is_told(row, client, events)


def call(name: str, status: int | None = 200) -> Row:
    return {"call": name, "status": status}


@pytest.mark.parametrize(
    ("names", "calls", "expected"),
    [
        (["c1.raw", "c1.normal", "c0.out"], [call("c1")], "c0.out"),
        (["c1.raw", "c1.normal"], [call("c1")], "c1.normal"),
        (["c2.normal", "c10.normal"], [call("c2"), call("c10")], "c10.normal"),
        (["c1.raw", "c2.raw"], [call("c1", 503), call("c2")], "c2.raw"),
        (["c1.raw", "c2.raw"], [call("c1"), call("c2", 500)], "c1.raw"),
        (["c1.raw", "c1.normal"], [call("c1", 429)], None),
        (["client.request"], [call("c1", None)], None),
    ],
)
def test_the_answer_is_what_the_client_was_given(names: list[str], calls: list[Row], expected: str | None) -> None:
    assert answering_part(names, calls) == expected


def test_a_response_is_told_with_its_request_and_its_answer() -> None:
    told = recorded(ROW | {"prompt_tokens": 3}, "c1.normal", parts())

    assert told is not None
    assert told.request is not None
    assert told.request.body.data == b'{"input":"Hi"}'
    assert (told.canonical, told.answer) == (b'{"messages":[]}', b"data: [DONE]")
    assert told.content_type == "text/event-stream"
    assert told.end is not None
    assert (told.end.outcome, told.end.at, told.end.fault) == ("complete", 102.25, None)
    assert told.end.usage == Usage(prompt_tokens=3)


def test_of_older_records_an_answer_ended_when_its_client_had_it() -> None:
    told = recorded(ROW | {"answered_at": None}, "c1.normal", parts())

    assert told is not None
    assert told.end is not None
    assert told.end.at == 102.5


def test_an_error_is_told_as_it_was() -> None:
    row = ROW | {"outcome": "lost", "error_status": None, "error_code": "abandoned", "error_message": "Gone."}

    told = recorded(row, None, parts())

    assert told is not None
    end = told.end
    assert end is not None
    assert end.usage is None
    assert end.fault == Fault(status=502, code="abandoned", message="Gone.")


def test_what_has_no_outcome_has_no_end() -> None:
    told = recorded(ROW | {"outcome": None}, None, parts())

    assert told is not None
    assert told.end is None


@pytest.mark.parametrize("asked", [b'{"store":false}', b"no JSON", b"\xff", b""])
def test_what_was_not_to_be_stored_or_cannot_be_read_is_nothing(asked: bytes) -> None:
    assert recorded(ROW, "c1.normal", parts(asked)) is None


@pytest.mark.parametrize("gone", ["client.request", "c0.request"])
def test_without_its_whole_request_it_is_nothing(gone: str) -> None:
    assert recorded(ROW, "c1.normal", parts() | {gone: part(None)}) is None


@given(st.binary())
def test_whatever_was_asked_it_is_told_or_nothing(asked: bytes) -> None:
    told = recorded(ROW, "c1.normal", parts(asked))

    assert told is None or (told.request is not None and told.request.body.data == asked)
