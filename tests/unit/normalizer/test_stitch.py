"""One stream from several calls: not a character more or less, wherever the first one broke."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.normalizer import RequestFacts, StreamRepair
from services.normalizer.stitch import Stitch
from services.upstream.rules.continuation import TextSoFar
from shared.contracts import Usage
from shared.sse import OversizedEvent
from shared.usage import added

REASONING = ["Let", " me “think”\n\n", " 漢字 \U0001f600"]
CONTENT = ["The", ' {"error": "none"}', "\r\n", " answer is", " 42."]
USAGE = {"prompt_tokens": 7, "completion_tokens": 5, "total_tokens": 12, "prompt_tokens_details": {"cached_tokens": 2}}


def chunk(delta: dict[str, Any], id: str, finish: str | None = None, **more: Any) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    top = {"id": id, "created": len(id), "object": "chat.completion.chunk"}
    return b"data: " + json.dumps({**top, "choices": [choice], **more}).encode() + b"\n\n"


def stream(id: str, reasoning: list[str], content: list[str], newline: bytes = b"\n") -> bytes:
    events = [chunk({"role": "assistant", "content": ""}, id)]
    events += [chunk({"reasoning_content": text}, id) for text in reasoning]
    events += [chunk({"content": text}, id) for text in content]
    events += [chunk({}, id, "stop", usage=USAGE), b"data: [DONE]\n\n"]
    return b"".join(events).replace(b"\n", newline)


def read(stream: bytes) -> list[dict[str, Any]]:
    lines = stream.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
    return [json.loads(line[6:]) for line in lines if line.startswith(b"data: {")]


def text(chunks: list[dict[str, Any]], name: str) -> str:
    return "".join(choice["delta"].get(name) or "" for one in chunks for choice in one["choices"])


def rest_of(parts: list[str], said: str) -> list[str]:
    """What a provider that continues `said` still says, cut as it likes."""
    whole = "".join(parts)
    assert whole.startswith(said)
    rest = whole[len(said) :]
    return [piece for piece in (rest[: len(rest) // 2], rest[len(rest) // 2 :]) if piece]


def go_on(broken: bytes, newline: bytes = b"\n") -> bytes:
    """The continuation that a provider gives for the text of a broken stream."""
    so_far = TextSoFar(keep=True)
    so_far.feed(broken)
    prefix = so_far.prefix
    assert prefix is not None
    reasoning = [] if prefix.content else rest_of(REASONING, prefix.reasoning)
    return stream("second", reasoning, rest_of(CONTENT, prefix.content), newline)


def stitched(first: bytes, second: bytes, size: int) -> bytes:
    stitch = Stitch()
    out = b"".join(stitch.feed(first[at : at + size]) for at in range(0, len(first), size))
    stitch.go_on(None)
    out += b"".join(stitch.feed(second[at : at + size]) for at in range(0, len(second), size))
    return out + stitch.finish()


@pytest.mark.parametrize("newline", [b"\n", b"\r\n", b"\r"])
def test_a_cut_at_any_byte_leaves_no_seam(newline: bytes) -> None:
    whole = stream("first", REASONING, CONTENT, newline)
    for at in range(len(whole) - len(b"data: [DONE]") - 400):
        out = stitched(whole[:at], go_on(whole[:at], newline), size=7)
        chunks = read(out)

        assert text(chunks, "reasoning_content") == "".join(REASONING), at
        assert text(chunks, "content") == "".join(CONTENT), at
        assert len({(one["id"], one["created"]) for one in chunks}) == 1, at
        assert sum("role" in choice["delta"] for one in chunks for choice in one["choices"]) == 1, at
        assert out.count(b"[DONE]") == 1, at


def test_a_cut_anywhere_leaves_no_seam_behind_the_engine_either() -> None:
    whole = stream("first", REASONING, CONTENT)
    expected = StreamRepair(RequestFacts())
    uncut = read(expected.feed(whole) + expected.finish())
    for at in range(0, len(whole) - 400, 3):
        engine = StreamRepair(RequestFacts())
        out = engine.feed(stitched(whole[:at], go_on(whole[:at]), size=64)) + engine.finish()

        assert text(read(out), "reasoning_content") == text(uncut, "reasoning_content")
        assert text(read(out), "content") == text(uncut, "content")


@given(cuts=st.lists(st.floats(0, 1), max_size=4), size=st.integers(1, 200))
def test_any_number_of_cuts_leaves_no_seam(cuts: list[float], size: int) -> None:
    stitch, so_far = Stitch(), TextSoFar(keep=True)
    out, call = b"", stream("first", REASONING, CONTENT)
    for cut in cuts:
        broken = call[: int(cut * (len(call) - 400))] if len(call) > 400 else b""
        so_far.begin_call()
        so_far.feed(broken)
        out += b"".join(stitch.feed(broken[at : at + size]) for at in range(0, len(broken), size))
        prefix = so_far.prefix
        assert prefix is not None
        reasoning = [] if prefix.content else rest_of(REASONING, prefix.reasoning)
        call = stream("next", reasoning, rest_of(CONTENT, prefix.content))
        stitch.go_on(None)
    out += stitch.feed(call) + stitch.finish()

    assert text(read(out), "reasoning_content") == "".join(REASONING)
    assert text(read(out), "content") == "".join(CONTENT)
    assert len({one["id"] for one in read(out)}) == 1


def test_a_stream_that_does_not_break_passes_as_it_is() -> None:
    whole = stream("first", REASONING, CONTENT) + b": a comment\n\n"
    stitch = Stitch()

    assert stitch.feed(whole) + stitch.finish() == whole


def test_an_error_event_is_held_until_it_is_clear_whether_another_call_goes_on() -> None:
    error = b'data: {"error": {"message": "it broke"}}\n\n'
    whole = chunk({"content": "Hi"}, "first")
    stays, goes = Stitch(), Stitch()

    assert stays.feed(whole + error) == whole
    assert stays.feed(b": more\n\n") == b""
    assert stays.finish() == error + b": more\n\n"
    assert goes.feed(whole + error) == whole
    goes.go_on(None)
    assert b"it broke" not in goes.feed(stream("second", [], ["!"])) + goes.finish()


def test_an_error_in_the_call_that_goes_on_is_held_too() -> None:
    stitch = Stitch()
    stitch.feed(chunk({"content": "a"}, "first"))
    stitch.go_on(None)
    out = stitch.feed(chunk({"content": "b"}, "second") + b'data: {"error": "no"}\n\n')

    assert b"error" not in out
    assert b'"no"' in stitch.finish()


def test_tokens_of_all_calls_are_added_up_wherever_they_stand() -> None:
    stitch = Stitch()
    stitch.feed(chunk({"content": "a"}, "first"))
    stitch.go_on(Usage(prompt_tokens=1, completion_tokens=2, total_tokens=3, cached_tokens=4, reasoning_tokens=5))
    details = {"completion_tokens_details": {"reasoning_tokens": 1}, "prompt_tokens_details": None, "cached_tokens": 1}
    one = read(stitch.feed(chunk({}, "second", "stop", usage={**USAGE, **details})))[0]["usage"]
    choice = {"index": 0, "delta": {}, "finish_reason": "stop", "usage": USAGE}
    body = json.dumps({"id": "x", "choices": [choice]}).encode()
    two = read(stitch.feed(b"data: " + body + b"\n\n"))[0]["choices"][0]["usage"]

    assert (one["prompt_tokens"], one["completion_tokens"], one["total_tokens"], one["cached_tokens"]) == (8, 7, 15, 5)
    assert one["completion_tokens_details"] == {"reasoning_tokens": 6}
    assert two["prompt_tokens_details"] == {"cached_tokens": 6}
    assert added(Usage(prompt_tokens=1), Usage(prompt_tokens=2, cached_tokens=3)) == Usage(
        prompt_tokens=3, cached_tokens=3
    )


def test_where_the_first_call_said_nothing_the_second_speaks_for_itself() -> None:
    stitch = Stitch()
    stitch.feed(b": hello\n\ndata: not json\n\n" + b'data: {"choices": []}\n\n')
    stitch.go_on(None)
    second = stream("second", [], ["Hi"])
    chunks = read(stitch.feed(second) + stitch.finish())

    assert {one["id"] for one in chunks} == {"second"}
    assert chunks[0]["choices"][0]["delta"]["role"] == "assistant"


def test_an_event_without_end_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.normalizer.stitch.MAX_EVENT_BYTES", 10)

    with pytest.raises(OversizedEvent):
        Stitch().feed(b"data: " + b"x" * 100)


def test_what_can_not_be_read_passes() -> None:
    stitch = Stitch()
    stitch.go_on(None)

    assert stitch.feed(b"data: one\ndata: two\n\n") == b"data: one\ndata: two\n\n"
