"""The block of a finished request: MoonPalace's facts, on a terminal that nothing can trick."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.ingress.rules.account import account, printable
from shared.contracts import Done, Fault, Head, HttpRequest, Usage

USAGE = Usage(prompt_tokens=10, completion_tokens=21, total_tokens=31)


def request(**more: Any) -> HttpRequest:
    fields: dict[str, Any] = {"method": "POST", "path": "/v1/chat/completions", "model": "kimi", **more}
    return HttpRequest(id="R1", at=0.0, **fields)


def head(**headers: str) -> Head:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Head(status=200, worker="up-1", at=0.0, provider="moonshot", model="kimi-k2", headers=named)


def done(**more: Any) -> Done:
    fields: dict[str, Any] = {"status": 200, "outcome": "complete", "total_s": 1.5, **more}
    return Done(at=1_700_000_000.0, worker="in-1", **fields)


def lines(asked: HttpRequest, answered: Head | None, ended: Done) -> list[str]:
    return account(asked, answered, ended).split("\n")


def fact(name: str, asked: HttpRequest, answered: Head | None, ended: Done) -> list[str]:
    return [line[12:] for line in lines(asked, answered, ended) if line.startswith(f"  {name:<9} ")]


def test_the_first_line_says_when_what_how_and_how_long() -> None:
    first = lines(request(), None, done())[0]

    assert re.fullmatch(r"\d{4}/\d\d/\d\d \d\d:\d\d:\d\d POST /v1/chat/completions 200 1\.50s", first)


def test_an_answer_that_is_not_complete_says_so() -> None:
    first = lines(request(), None, done(outcome="broken"))[0]

    assert first.endswith(" 200 (broken) 1.50s")


def test_the_request_id_is_there() -> None:
    assert fact("request", request(), None, done()) == ["R1"]


@pytest.mark.parametrize(
    ("stream", "answered", "shown"),
    [
        (True, head(), "kimi -> moonshot/kimi-k2 (stream)"),
        (False, head(), "kimi -> moonshot/kimi-k2 (plain)"),
        (True, None, "kimi (stream)"),
        (True, Head(status=200, worker="up-1", at=0.0), "kimi (stream)"),
    ],
)
def test_the_model_is_shown_with_where_it_went(stream: bool, answered: Head | None, shown: str) -> None:
    assert fact("model", request(stream=stream), answered, done()) == [shown]


def test_a_request_without_a_model_shows_none() -> None:
    assert fact("model", request(model=None), head(), done()) == []


def test_the_providers_telling_headers_are_shown_and_no_others() -> None:
    answered = head(msh_request_id="req-1", server_timing="inner; dur=5", x_request_id="other", retry_after="3")

    assert fact("header", request(), answered, done()) == [
        "Msh-Request-Id: req-1",
        "Server-Timing: inner; dur=5",
        "Retry-After: 3",
    ]


def test_the_completions_id_is_shown() -> None:
    assert fact("answer", request(), None, done(completion_id="chatcmpl-7")) == ["chatcmpl-7"]


def test_tokens_are_counted() -> None:
    assert fact("tokens", request(), None, done(usage=USAGE)) == ["prompt 10, completion 21, total 31"]


def test_cached_and_reasoning_tokens_are_shown_where_there_are_any() -> None:
    usage = Usage(prompt_tokens=1, completion_tokens=2, total_tokens=3, cached_tokens=4, reasoning_tokens=5)

    assert fact("tokens", request(), None, done(usage=usage)) == [
        "prompt 1, completion 2, total 3, cached 4, reasoning 5"
    ]


def test_a_stream_shows_its_first_byte_and_its_speed() -> None:
    ended = done(usage=USAGE, streamed=True, first_byte_s=0.5)

    assert fact("speed", request(), None, ended) == ["ttft 0.500s, tpot 50.0ms, 20.0 tokens/s"]


def test_an_answer_that_came_at_once_shows_its_first_byte_alone() -> None:
    assert fact("speed", request(), None, done(usage=USAGE, first_byte_s=1.495)) == ["ttft 1.495s"]


@pytest.mark.parametrize("usage", [USAGE, Usage(prompt_tokens=10)])
def test_without_a_first_byte_or_tokens_only_the_whole_time_is_shown(usage: Usage) -> None:
    first_byte_s = None if usage.completion_tokens else 0.5

    assert fact("speed", request(), None, done(usage=usage, first_byte_s=first_byte_s)) == ["total 1.500s"]


def test_one_token_has_no_time_per_token() -> None:
    ended = done(usage=Usage(completion_tokens=1), streamed=True, first_byte_s=0.5)

    assert fact("speed", request(), None, ended) == ["ttft 0.500s"]


def test_repairs_are_listed_by_name() -> None:
    assert fact("repaired", request(), None, done(repairs={"think": 1, "markers": 2})) == ["markers 2, think 1"]


def test_an_error_is_shown_with_its_code() -> None:
    fault = Fault(status=429, code="rate_limit", message="Slow down.")

    assert fact("error", request(), None, done(status=429, outcome="refused", fault=fault)) == [
        "rate_limit: Slow down."
    ]


def test_a_long_error_is_cut() -> None:
    fault = Fault(status=502, code="x", message="y" * 10_000)

    assert len(fact("error", request(), None, done(outcome="refused", fault=fault))[0]) == 2000


def test_an_answer_cut_by_max_tokens_is_warned_about() -> None:
    with_usage = done(finish_reason="length", usage=USAGE)

    assert fact("warning", request(), None, with_usage) == [
        "finish_reason=length: max_tokens is too small, set more than 21"
    ]
    assert fact("warning", request(), None, done(finish_reason="length")) == [
        "finish_reason=length: max_tokens is too small"
    ]
    assert fact("warning", request(), None, done(finish_reason="stop")) == []


@given(text=st.text(max_size=60))
def test_whatever_a_client_writes_stays_on_its_line_without_control_characters(text: str) -> None:
    fault = Fault(status=500, code=text, message=text)
    asked = request(path="/v1/" + text, model=text)
    shown = lines(asked, head(msh_request_id=text), done(outcome="refused", fault=fault, completion_id=text))

    assert len(shown) == 6
    assert all(line.isprintable() for line in shown)


def test_control_characters_show_as_escapes() -> None:
    assert printable("a\x1b[2Jb\r\n\x00\u202eé") == "a\\x1b[2Jb\\x0d\\x0a\\x00\\x202eé"


def test_an_answer_that_was_stopped_says_why() -> None:
    ended = done(outcome="stopped", finish_reason="repeat")

    assert lines(request(), None, ended)[0].endswith(" 200 (stopped) 1.50s")
    assert fact("warning", request(), None, ended) == ["finish_reason=repeat: the answer ran in a loop and was stopped"]


def test_an_answer_that_was_asked_for_again_says_how_often_and_whether_in_vain() -> None:
    ended = done(attempts=3, unmet="ensure_tool_call")

    assert fact("attempts", request(), None, ended) == ["3"]
    assert fact("warning", request(), None, ended) == ["ensure_tool_call: asked for in vain"]
    assert fact("attempts", request(), None, done()) == []
