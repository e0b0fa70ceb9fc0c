"""Dialects: what is read of a request, and how answers and errors end."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from services.ingress.dialects.openai_chat import OpenAIChat
from services.ingress.dialects.passthrough import Passthrough
from shared.contracts import End, Fault
from shared.errors import Refused

CHAT, PASSTHROUGH = OpenAIChat(), Passthrough()
MESSAGES = [{"role": "user", "content": "Hi"}]
FAULT = Fault(status=502, code="provider_broke_off", type="server_error", message="It broke off.")


def body(**fields: Any) -> bytes:
    return msgspec.json.encode({"model": "kimi", "messages": MESSAGES, **fields})


def refusal(raw: bytes) -> Fault:
    with pytest.raises(Refused) as caught:
        CHAT.read(raw)
    return caught.value.fault


def end(outcome: Any = "complete", **more: Any) -> End:
    return End(outcome=outcome, worker="up-1", at=1.0, **more)


# -- requests


def test_a_request_is_understood_and_its_bytes_are_kept() -> None:
    raw = b'{"messages":[{"role":"user","content":"Hi"}],\n "model" : "kimi", "stream":true,"seed":1.50}'
    asked = CHAT.read(raw)

    assert (asked.model, asked.stream, asked.is_json) == ("kimi", True, True)
    assert asked.body is raw


@pytest.mark.parametrize(("given", "stream"), [({}, False), ({"stream": None}, False), ({"stream": False}, False)])
def test_a_request_that_does_not_ask_for_a_stream_is_plain(given: dict[str, Any], stream: bool) -> None:
    assert CHAT.read(body(**given)).stream is stream


def test_fields_that_are_the_providers_affair_are_not_looked_at() -> None:
    assert CHAT.read(body(temperature="hot", tool_choice=7, thinking=[], n=-1)).model == "kimi"


@pytest.mark.parametrize(
    ("raw", "param", "says"),
    [
        (b'{"messages":[{}]}', "model", "model: is required"),
        (b'{"model":"kimi"}', "messages", "messages: is required"),
        (body(model=3), "model", "Expected `str`, got `int`"),
        (body(model=""), "model", "length >= 1"),
        (body(messages=[]), "messages", "length >= 1"),
        (body(messages="Hi"), "messages", "Expected `array`, got `str`"),
        (body(messages=["Hi"]), "messages[0]", "Expected `object`, got `str`"),
        (body(stream="yes"), "stream", "Expected `bool | null`, got `str`"),
        (body(stream_options=[]), "stream_options", "Expected `object | null`, got `array`"),
        (body(tools={}), "tools", "Expected `array | null`, got `object`"),
        (b"[]", None, "the body: Expected `object`, got `array`"),
        (b'{"model":"\xff","messages":[{}]}', None, "the body"),
    ],
)
def test_a_wrong_request_is_refused_with_the_field_and_what_is_right(raw: bytes, param: str | None, says: str) -> None:
    fault = refusal(raw)

    assert (fault.status, fault.code, fault.type) == (400, "invalid_request", "invalid_request_error")
    assert fault.param == param
    assert says in fault.message


DEEP = b"[" * 5000 + b"]" * 5000


@pytest.mark.parametrize("raw", [b"", b"{", b"model=kimi", b'{"model":}', b'{"x":' + DEEP + b"}"])
def test_what_is_no_json_is_refused_with_what_to_send(raw: bytes) -> None:
    fault = refusal(raw)

    assert (fault.status, fault.code) == (400, "invalid_json")
    assert "Send a JSON object with `model` and `messages`" in fault.message


# -- errors


def test_an_error_of_ours_has_openais_shape() -> None:
    fault = Fault(status=404, code="model_not_found", type="invalid_request_error", message="No.", param="model")

    assert msgspec.json.decode(CHAT.refusal(fault).body) == {
        "error": {"message": "No.", "type": "invalid_request_error", "param": "model", "code": "model_not_found"}
    }


def test_a_providers_own_error_is_handed_on_as_it_is() -> None:
    own = '{"error": {"message":"slow down" ,"type":"rate_limit_reached_error"}}'

    assert CHAT.refusal(Fault(status=429, code="x", message="y", body=own)).body == own.encode()


# -- streams


def test_a_stream_is_written_through_in_whole_events() -> None:
    codec = CHAT.answering("X1").codec()

    assert [codec.feed(piece) for piece in (b"data: a", b"\n\ndata: b\n", b"\ndata:")] == [
        b"",
        b"data: a\n\n",
        b"data: b\n\n",
    ]


def test_a_whole_stream_that_said_done_gets_nothing_more() -> None:
    codec = CHAT.answering("X1").codec()
    codec.feed(b"data: {}\n\ndata: [DONE]\n\n")

    assert codec.finish(end(done_seen=True)) == b""


def test_a_done_without_its_empty_line_gets_it() -> None:
    codec = CHAT.answering("X1").codec()
    codec.feed(b"data: {}\n\ndata: [DONE]")

    assert codec.finish(end(done_seen=True)) == b"data: [DONE]\n\n"


def test_a_stream_without_done_gets_one() -> None:
    codec = CHAT.answering("X1").codec()
    codec.feed(b"data: {}\n\n")

    assert codec.finish(end()) == b"data: [DONE]\n\n"


def test_a_last_event_without_its_end_comes_before_done() -> None:
    codec = CHAT.answering("X1").codec()
    codec.feed(b"data: {}")

    assert codec.finish(end()) == b"data: {}\n\ndata: [DONE]\n\n"


@pytest.mark.parametrize("outcome", ["truncated", "broken", "lost", "cancelled"])
def test_a_stream_that_breaks_ends_in_an_error_event(outcome: str) -> None:
    codec = CHAT.answering("X1").codec()
    codec.feed(b'data: {"half')
    tail = codec.finish(end(outcome, fault=FAULT))

    assert (tail[:6], tail[-2:]) == (b"data: ", b"\n\n")
    assert msgspec.json.decode(tail[6:]) == {
        "error": {"message": "It broke off.", "type": "server_error", "param": None, "code": "provider_broke_off"}
    }


def test_an_error_that_the_provider_sent_in_the_stream_is_not_said_twice() -> None:
    codec = CHAT.answering("X1").codec()
    sent = codec.feed(b'data: {"error":"x"}\n\n')

    assert (sent, codec.finish(end("broken", fault=FAULT, error_sent=True))) == (b'data: {"error":"x"}\n\n', b"")


def test_a_break_without_a_fault_lets_go_what_is_held() -> None:
    codec = CHAT.answering("X1").codec()
    codec.feed(b"data: {}")

    assert codec.finish(end("broken")) == b"data: {}\n\n"


def test_a_plain_answer_is_the_canonical_one() -> None:
    assert CHAT.answering("X1").plain(b"{}", end()) == b"{}"


# -- everything else


@pytest.mark.parametrize(
    ("raw", "model", "is_json"),
    [
        (b'{"model":"kimi","input":"x"}', "kimi", True),
        (b'{"input":"x"}', None, True),
        (b'{"model":7}', None, False),
        (b"--boundary\r\n", None, False),
        (b"", None, False),
        (b"\xff\xfe", None, False),
        (b"[1]", None, False),
        (b'{"x":' + DEEP + b"}", None, False),
    ],
)
def test_any_other_body_is_handed_on_as_it_is(raw: bytes, model: str | None, is_json: bool) -> None:
    asked = PASSTHROUGH.read(raw)

    assert (asked.model, asked.stream, asked.is_json) == (model, False, is_json)
    assert asked.body is raw


def test_every_dialect_has_its_name() -> None:
    assert (CHAT.name, PASSTHROUGH.name) == ("openai_chat", "passthrough")
