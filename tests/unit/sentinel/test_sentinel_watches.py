"""Frames to verdicts: which answers are watched, when all is lost, and what ends a watch."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.sentinel.rules.leg import EVENT_BYTES, LegWatch
from services.sentinel.rules.watches import QUIET_S, Seen, Watches
from shared.contracts import End, Watch, encode
from shared.contracts import RepeatSettings as Repeat
from shared.repeats.loop import RepeatSettings
from shared.subjects import FrameAddress

AGAIN = "and again "
LOOP = AGAIN * 80
STOP = Repeat(action="stop")


def event(content: Any, index: Any = 0, finish: str | None = None) -> bytes:
    chunk = {"choices": [{"index": index, "delta": {"content": content}, "finish_reason": finish}]}
    return b"data: " + json.dumps(chunk).encode() + b"\n\n"


def leg(choices: int = 1) -> LegWatch:
    return LegWatch(RepeatSettings(), choices)


# -- one leg


def test_an_answer_whose_only_choice_loops_is_hopeless() -> None:
    watch = leg()

    assert [found.loop.period for found in watch.feed(event(LOOP))] == [len(AGAIN)]
    assert watch.is_hopeless


def test_a_healthy_answer_is_not_hopeless() -> None:
    watch = leg()

    assert watch.feed(event("All is well.")) == []
    assert not watch.is_hopeless


def test_a_choice_that_has_not_begun_is_healthy() -> None:
    watch = leg(choices=2)
    watch.feed(event(LOOP, 0))

    assert not watch.is_hopeless
    assert [found.choice for found in watch.feed(event(LOOP, 1))] == [1]
    assert watch.is_hopeless


def test_an_answer_is_hopeless_once_the_healthy_choices_have_finished() -> None:
    watch = leg(choices=2)
    watch.feed(event(LOOP, 0) + event("Well.", 1))

    assert not watch.is_hopeless
    assert watch.feed(event("", 1, "stop")) == []
    assert watch.is_hopeless


def test_an_answer_that_has_finished_is_past_stopping() -> None:
    watch = leg()
    watch.feed(event(LOOP) + event("", finish="length"))

    assert not watch.is_hopeless


def test_a_choice_that_nobody_asked_for_counts() -> None:
    watch = leg()
    watch.feed(event("Well.", 1) + event(LOOP, 0))

    assert not watch.is_hopeless


def test_a_loop_goes_on_over_two_calls() -> None:
    watch = leg()
    first = watch.feed(event(AGAIN * 40) + b'data: {"choices": [{"torn')
    watch.go_on()

    assert first == []
    assert len(watch.feed(event(AGAIN * 40))) == 1


@pytest.mark.parametrize(
    "noise",
    [
        b"data: [DONE]\n\n",
        b": keep-alive\n\n",
        b"data: {broken\n\n",
        b"data: \xff\xfe\n\n",
        b'data: {"choices": null}\n\n',
        b'data: {"choices": [{"delta": null}]}\n\n',
        b'data: {"choices": [{"delta": {"tool_calls": [{"function": null}, {"index": "x"}]}}]}\n\n',
        event(["parts"]),
        event(7),
        event("Hm.", index="0"),
        b"data: " + b"[" * 5000 + b"\n\n",
    ],
)
def test_what_can_not_be_read_is_read_over(noise: bytes) -> None:
    watch = leg()

    assert watch.feed(noise) == []
    assert len(watch.feed(event(LOOP))) == 1


def test_an_event_without_an_end_ends_the_watch() -> None:
    watch = leg()

    assert watch.feed(b"data: " + b"x" * EVENT_BYTES) == []
    assert watch.feed(b"\n\n" + event(LOOP)) == []


@given(st.lists(st.integers(1, 400), max_size=30))
def test_the_verdict_does_not_depend_on_the_cuts(cuts: list[int]) -> None:
    stream = b"".join(event(AGAIN) for _ in range(80))
    watch, found = leg(), []
    for size in [*cuts, len(stream)]:
        found += watch.feed(stream[:size])
        stream = stream[size:]

    assert [one.loop.start for one in found] == [0]


# -- many answers


def address(kind: str = "data", id: str = "R1", call: str = "c1", to: str = "no-1") -> FrameAddress:
    return FrameAddress(id, call, "raw", to, kind)


def watching(repeat: Repeat = STOP, **fields: Any) -> Watches:
    watches = Watches()
    assert watches.begin(Watch(id="R1", repeat=repeat, **fields), 0.0)
    return watches


def said(watches: Watches, *frames: tuple[FrameAddress, bytes]) -> list[Seen]:
    seen = (watches.frame(address, data, 1.0) for address, data in frames)
    return [one for one in seen if one is not None]


def ended(**fields: Any) -> bytes:
    return encode(End(outcome="broken", worker="up-1", at=1.0, **fields))


def test_a_loop_is_to_be_stopped_once() -> None:
    (seen,) = said(watching(), (address(), event(LOOP)), (address(), event(LOOP)))

    assert (seen.id, seen.call, seen.stops, len(seen.found)) == ("R1", "c1", True, 1)


def test_with_retry_each_call_that_loops_is_stopped() -> None:
    frames = [(address(call=call), event(LOOP)) for call in ("c1", "c2")]
    seen = said(watching(Repeat(action="retry")), *frames)

    assert [(one.call, one.stops) for one in seen] == [("c1", True), ("c2", True)]


def test_with_warn_nothing_is_stopped() -> None:
    (seen,) = said(watching(Repeat(action="warn")), (address(), event(LOOP)))

    assert (seen.stops, len(seen.found)) == (False, 1)


def test_a_stop_may_come_after_the_loop_was_found() -> None:
    frames = [(address(), event(LOOP, 0)), (address(), event("Well.", 1, "stop"))]
    seen = said(watching(choices=2), *frames)

    assert [(len(one.found), one.stops) for one in seen] == [(1, False), (0, True)]


@pytest.mark.parametrize("repeat", [Repeat(), Repeat(action="stop", threshold=0)])
def test_what_is_off_is_not_watched(repeat: Repeat) -> None:
    watches = Watches()

    assert not watches.begin(Watch(id="R1", repeat=repeat), 0.0)
    assert "R1" not in watches


def test_a_watch_that_comes_twice_counts_once() -> None:
    assert not watching().begin(Watch(id="R1", repeat=STOP), 0.0)


def test_others_are_not_looked_at() -> None:
    assert said(watching(), (address(id="R2"), event(LOOP))) == []


def test_two_workers_at_one_call_are_looked_at_each_on_its_own() -> None:
    half = event(AGAIN * 40)

    assert said(watching(), (address(to="no-1"), half), (address(to="no-2"), half)) == []


def test_a_call_that_goes_on_with_the_text_is_the_same_answer() -> None:
    half = event(AGAIN * 40)
    frames = [(address(), half), (address("end"), ended(next_call="c2", continued=True)), (address(call="c2"), half)]
    (seen,) = said(watching(), *frames)

    assert seen.call == "c2"


@pytest.mark.parametrize("end", [ended(next_call="c2"), ended(), b"{broken"])
def test_a_call_that_begins_afresh_is_another_answer(end: bytes) -> None:
    half = event(AGAIN * 40)

    assert said(watching(), (address(), half), (address("end"), end), (address(call="c2"), half)) == []


def test_a_watch_ends_once() -> None:
    watches = watching()

    assert watches.end("R1")
    assert not watches.end("R1")
    assert said(watches, (address(), event(LOOP))) == []


def test_a_watch_that_nothing_is_heard_of_is_given_up() -> None:
    watches = watching()
    watches.frame(address("head"), b"{}", 10.0)

    assert watches.quiet(QUIET_S) == []
    assert watches.quiet(10.0 + QUIET_S) == ["R1"]
