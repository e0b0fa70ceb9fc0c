"""A request's place in its trace, out of its id and headers."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.ids import new_id
from shared.traces import (
    STATE_CHARACTERS,
    call_headers,
    context_of,
    is_kept,
    parsed,
    request_id_of,
    span_id,
    trace_id_of,
    valid_state,
)

ID = "01KAJ1V2Q8Z6W3E9R5T7Y1B2C4"
PARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
ids = st.builds(new_id, st.floats(1, 2**47 / 1000), st.binary(min_size=10, max_size=10))


@given(id=ids)
def test_a_request_and_the_trace_that_it_begins_lead_to_each_other(id: str) -> None:
    assert request_id_of(f"{trace_id_of(id):032x}") == id


@pytest.mark.parametrize("text", ["", "01KAJ1V2Q8Z6W3E9R5T7Y1B2C4", "4bf92f3577b34da6a3ce929d0e0e473", "g" * 32])
def test_what_is_no_trace_id_leads_to_no_request(text: str) -> None:
    assert request_id_of(text) is None


def test_an_id_of_another_form_begins_a_trace_too() -> None:
    assert trace_id_of("ID1") == trace_id_of("ID1") != trace_id_of("ID2")
    assert 0 < trace_id_of("ID1") < 2**128


def test_a_request_without_a_caller_begins_a_trace() -> None:
    context = context_of(ID, {}, 1.0)

    assert (context.trace_id, context.parent_id, context.sampled) == (trace_id_of(ID), None, True)


def test_a_callers_trace_goes_on() -> None:
    context = context_of(ID, {"traceparent": PARENT, "tracestate": "a=1, b=2"}, 0.0)

    assert context.trace_id == 0x4BF92F3577B34DA6A3CE929D0E0E4736
    assert context.parent_id == 0x00F067AA0BA902B7
    assert context.sampled
    assert context.state == "a=1,b=2"


def test_a_caller_may_decide_that_its_trace_is_not_kept() -> None:
    assert not context_of(ID, {"traceparent": PARENT[:-1] + "0"}, 1.0).sampled


@pytest.mark.parametrize(
    "text",
    [
        "",
        "nonsense",
        PARENT.upper(),
        PARENT.replace("00-", "ff-", 1),
        PARENT + "-more",  # version 00 has no more
        PARENT.replace("4bf92f3577b34da6a3ce929d0e0e4736", "0" * 32),
        PARENT.replace("00f067aa0ba902b7", "0" * 16),
        PARENT[:-1],
    ],
)
def test_a_traceparent_that_is_none_is_passed_over(text: str) -> None:
    assert parsed(text) is None
    assert context_of(ID, {"traceparent": text, "tracestate": "a=1"}, 1.0) == context_of(ID, {}, 1.0)


def test_a_later_version_may_say_more() -> None:
    assert parsed(PARENT.replace("00-", "01-", 1) + "-more") == parsed(PARENT)


@given(text=st.text() | st.from_regex(r"[0-9a-f-]{50,60}"))
def test_any_text_is_a_traceparent_or_none(text: str) -> None:
    found = parsed(text)

    assert found is None or (found[0] and found[1] and 0 <= found[2] < 256)


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("", ""),
        ("rojo=00f067aa0ba902b7, congo=t61rcWkgMzE ,", "rojo=00f067aa0ba902b7,congo=t61rcWkgMzE"),
        ("a=1,a=2", ""),
        ("A=1", ""),
        ("a=1\n", "a=1"),
        ("a=b=c", ""),
        ("a=" + "x" * STATE_CHARACTERS, ""),
    ],
)
def test_a_tracestate_is_handed_on_whole_or_not_at_all(text: str, kept: str) -> None:
    assert valid_state(text) == kept


@given(text=st.text())
def test_what_is_handed_on_is_printable_and_short(text: str) -> None:
    state = valid_state(text)

    assert len(state) <= STATE_CHARACTERS
    assert state.isascii()
    assert state.isprintable()


@given(id=ids, call=st.sampled_from(["c1", "c2", "c17"]), ratio=st.floats(0, 1))
def test_a_provider_is_told_the_span_of_its_call(id: str, call: str, ratio: float) -> None:
    told = call_headers(id, call, {}, ratio)["traceparent"]

    assert re.fullmatch(r"00-[0-9a-f]{32}-[0-9a-f]{16}-0[01]", told)
    assert parsed(told) == (trace_id_of(id), span_id(id, call), int(context_of(id, {}, ratio).sampled))


def test_a_provider_is_told_the_callers_state() -> None:
    told = call_headers(ID, "c1", {"traceparent": PARENT, "tracestate": "a=1"}, 1.0)

    assert told["tracestate"] == "a=1"
    assert told["traceparent"].startswith("00-4bf92f3577b34da6a3ce929d0e0e4736-")
    assert "00f067aa0ba902b7" not in told["traceparent"]


def test_spans_have_ids_of_their_own() -> None:
    assert len({span_id(ID), span_id(ID, "c1"), span_id(ID, "c2"), span_id(ID, "c1", "normal")}) == 4


@given(id=ids, ratio=st.floats(0, 1), more=st.floats(0, 1))
def test_a_larger_share_keeps_what_a_smaller_one_keeps(id: str, ratio: float, more: float) -> None:
    trace_id = trace_id_of(id)

    assert is_kept(trace_id, 1.0)
    assert not is_kept(trace_id, 0.0)
    assert is_kept(trace_id, max(ratio, more)) or not is_kept(trace_id, min(ratio, more))


def test_the_share_that_is_kept_is_the_one_that_was_asked_for() -> None:
    kept = sum(is_kept(trace_id_of(new_id()), 0.25) for _ in range(4000))

    assert 800 < kept < 1200
