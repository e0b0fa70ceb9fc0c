"""The normal leg: what becomes of the frames of one call, or of several that are one answer."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any, NamedTuple, cast

import msgspec
import pytest

from services.normalizer import RepairSettings, RequestFacts, mending
from services.normalizer.mending import Mending
from shared.bus.memory import MemoryBus
from shared.contracts import End, Event, Fault, Head, Struct, Usage, decode, encode
from shared.course import Course
from shared.legs import Frame
from shared.worker import Identity, Worker
from tests.fixtures.spine import SUBJECTS, a_job, memory
from tests.unit.normalizer.answers import BASH, DONE, ROLE, assembled, chunk, completion, stream_of

STREAM = Head(status=200, worker="up-1", at=1.0, content_type="text/event-stream; charset=utf-8")
PLAIN = Head(status=200, worker="up-1", at=1.0)
ERROR = Head(status=503, worker="up-1", at=1.0)
FAULT = Fault(status=502, code="provider_broke", message="It broke.")
LEAK = "Hi<|im_end|>"


CALL = '<tool_call>{"name":"bash","arguments":{"command":"ls"}}</tool_call>'


def ended(outcome: Any = "complete", **facts: Any) -> End:
    return End(outcome=outcome, worker="up-1", at=2.0, **facts)


class Frames(NamedTuple):
    """A course that has all its frames: those of each call at once."""

    calls: list[list[Frame]]

    async def frames(self) -> list[Frame]:
        return self.calls.pop(0)


class Leg(NamedTuple):
    """The normal leg of one call, as it was published."""

    heads: list[Head]
    data: bytes
    end: End


def call(*frames: Struct | bytes) -> list[Frame]:
    kinds = {Head: "head", End: "end"}
    return [Frame(kinds.get(type(f), "data"), f if isinstance(f, bytes) else encode(f)) for f in frames]


async def mended(calls: Iterable[list[Frame]], **settings: Any) -> tuple[dict[str, Leg], list[Event]]:
    """The normal legs by call, and the events beside them."""
    job = msgspec.structs.replace(a_job(), repair=RepairSettings(**settings))
    async with memory() as server:
        worker = Worker(MemoryBus(server), SUBJECTS, Identity(service="normalizer", instance="no-1", capacity=1))
        leg = worker.writer(job.id, job.call, "normal", job.to)
        await Mending(worker, job, RequestFacts(tools=[BASH]), leg).run(cast(Course, Frames(list(calls))))
    found: dict[str, list[tuple[str, bytes]]] = {}
    for captured in server.captured:
        where, _, kind = captured.subject.rpartition(".")
        found.setdefault(where, []).append((kind, captured.data))
    legs = {
        name: _leg(found[prefix])
        for name in ("c1", "c2")
        if (prefix := SUBJECTS.leg(job.id, name, "normal", job.to)) in found
    }
    repaired = SUBJECTS.event(job.id, "repaired")
    return legs, [decode(Event, c.data) for c in server.captured if c.subject == repaired]


def _leg(frames: list[tuple[str, bytes]]) -> Leg:
    heads = [decode(Head, data) for kind, data in frames if kind == "head"]
    (end,) = [decode(End, data) for kind, data in frames if kind == "end"]
    return Leg(heads, b"".join(data for kind, data in frames if kind == "data"), end)


async def test_a_stream_is_repaired_and_its_repairs_are_told() -> None:
    stream = stream_of([{"content": LEAK}], "stop")

    legs, events = await mended([call(STREAM, stream[:50], stream[50:], ended())])

    assert assembled(legs["c1"].data)[0]["content"] == "Hi"
    assert [head.worker for head in legs["c1"].heads] == ["no-1"]
    assert legs["c1"].end.repairs == {"turn_token_removed": 1}
    assert [event.facts for event in events] == [{"turn_token_removed": 1}]


async def test_a_stream_that_is_complete_ends_as_a_client_expects() -> None:
    legs, _ = await mended([call(STREAM, chunk(ROLE), chunk({"content": "Hi"}, "end_turn"), ended())])

    assert legs["c1"].data.endswith(DONE)
    assert (legs["c1"].end.finish_reason, legs["c1"].end.done_seen) == ("stop", True)


async def test_a_stream_that_broke_gets_what_was_held_back_and_no_end() -> None:
    end = ended("broken", fault=FAULT)

    legs, _ = await mended([call(STREAM, chunk(ROLE), chunk({"content": "a <"}), end)])

    assert assembled(legs["c1"].data) == ({"content": "a <", "reasoning_content": "", "tool_calls": []}, None)
    assert DONE not in legs["c1"].data
    assert (legs["c1"].end.outcome, legs["c1"].end.fault) == ("broken", FAULT)


async def test_text_in_an_open_fence_goes_out_before_the_end_of_a_stream_that_broke() -> None:
    text = f"```\n{CALL}"

    legs, events = await mended([call(STREAM, chunk(ROLE), chunk({"content": text}), ended("broken", fault=FAULT))])

    assert assembled(legs["c1"].data)[0]["content"] == text
    assert events == []


async def test_half_a_call_that_a_broken_stream_leaves_is_told_of() -> None:
    legs, events = await mended([call(STREAM, chunk(ROLE), chunk({"content": f"Hi {CALL[:40]}"}), ended("broken"))])

    assert assembled(legs["c1"].data)[0]["content"] == "Hi"
    assert [event.facts for event in events] == [{"incomplete_call_dropped": 1}]


@pytest.mark.parametrize("reason", ["stop", "length"])
async def test_a_stream_that_is_stopped_ends_in_an_orderly_way(reason: str) -> None:
    end = ended("stopped", finish_reason=reason)

    legs, _ = await mended([call(STREAM, chunk(ROLE), chunk({"content": "Hi <"}), end)])

    assert assembled(legs["c1"].data) == ({"content": "Hi <", "reasoning_content": "", "tool_calls": []}, reason)
    assert legs["c1"].data.endswith(DONE)
    assert legs["c1"].end.done_seen


async def test_a_plain_completion_is_repaired_as_a_whole() -> None:
    body = completion({"role": "assistant", "content": LEAK}, "stop")

    legs, _ = await mended([call(PLAIN, body[:20], body[20:], ended())])

    assert json.loads(legs["c1"].data)["choices"][0]["message"]["content"] == "Hi"
    assert legs["c1"].end.repairs == {"turn_token_removed": 1}


@pytest.mark.parametrize(
    ("head", "outcome", "enabled"), [(PLAIN, "broken", True), (ERROR, "refused", True), (PLAIN, "complete", False)]
)
async def test_a_body_that_is_no_whole_completion_passes_as_it_is(head: Head, outcome: str, enabled: bool) -> None:
    body = completion({"role": "assistant", "content": LEAK}, "stop")

    legs, events = await mended([call(head, body[:20], body[20:], ended(outcome))], enabled=enabled)

    assert legs["c1"].data == body
    assert events == []


async def test_a_plain_completion_past_the_limit_passes_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mending, "PLAIN_BODY_BYTES", 30)
    body = completion({"role": "assistant", "content": LEAK}, "stop")

    legs, _ = await mended([call(PLAIN, body[:20], body[20:60], body[60:], ended())])

    assert legs["c1"].data == body


async def test_a_void_call_ends_its_leg_and_the_next_ones_begins() -> None:
    first = call(ERROR, b"busy", ended("refused", next_call="c2", fault=FAULT))

    legs, _ = await mended([first, call(STREAM, stream_of([{"content": "Hi"}], "stop"), ended())])

    assert (legs["c1"].end.last_call, legs["c2"].end.last_call) == ("c1", "c2")
    assert (legs["c1"].data, legs["c1"].end.next_call) == (b"busy", "c2")
    assert assembled(legs["c2"].data)[0]["content"] == "Hi"
    assert legs["c2"].end.outcome == "complete"


async def test_a_call_that_goes_on_with_a_broken_one_is_the_same_answer() -> None:
    broke = ended("broken", next_call="c2", continued=True, first_byte_s=0.5, usage=Usage(completion_tokens=1))
    whole = ended(first_byte_s=9.0, usage=Usage(completion_tokens=2))
    second = call(STREAM, stream_of([{"content": "lo"}], "stop"), whole)

    legs, _ = await mended([call(STREAM, chunk(ROLE), chunk({"content": "Hel"}), broke), second])

    end = legs["c1"].end
    assert list(legs) == ["c1"]
    assert assembled(legs["c1"].data)[0]["content"] == "Hello"
    assert len(legs["c1"].heads) == 1
    assert (end.outcome, end.calls, end.last_call, end.first_byte_s) == ("complete", 2, "c2", 0.5)
    assert end.usage == Usage(completion_tokens=3)


async def test_the_words_of_a_call_that_was_refused_to_go_on_are_no_part_of_the_answer() -> None:
    broke = ended("broken", next_call="c2", continued=True)
    second = call(ERROR, b"busy", ended("refused", fault=FAULT, error_sent=True))

    legs, _ = await mended([call(STREAM, chunk(ROLE), chunk({"content": "Hel"}), broke), second])

    assert assembled(legs["c1"].data)[0]["content"] == "Hel"
    assert b"busy" not in legs["c1"].data
    assert (legs["c1"].end.outcome, legs["c1"].end.error_sent) == ("broken", False)


async def test_the_end_of_a_repaired_plain_answer_has_the_reason_that_the_client_was_told() -> None:
    body = completion({"role": "assistant", "content": CALL}, "stop")

    legs, _ = await mended([call(PLAIN, body, ended(finish_reason="stop"))])

    assert json.loads(legs["c1"].data)["choices"][0]["finish_reason"] == "tool_calls"
    assert legs["c1"].end.finish_reason == "tool_calls"
