"""When somebody is told that a sink is behind."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from services.recorder.rules.lag import CAUGHT_UP_S, Lagging
from shared.contracts import Lag


def lag(behind_s: float, messages: int = 7, sink: str = "records.db") -> Lag:
    return Lag(sink=sink, messages=messages, behind_s=behind_s)


def test_a_sink_that_is_too_far_behind_is_told_of_once_and_once_when_it_has_caught_up() -> None:
    lagging = Lagging(60)

    told = [lagging.heard(lag(behind_s)) for behind_s in (0, 59, 61, 600, 61, 30, 1, 0, 61)]

    assert [(at, note.is_over) for at, note in enumerate(told) if note] == [(2, False), (6, True), (8, False)]


def test_each_sink_is_told_of_for_itself() -> None:
    lagging = Lagging(60)

    assert lagging.heard(lag(61, sink="one")) is not None
    assert lagging.heard(lag(61, sink="two")) is not None
    assert lagging.heard(lag(61, sink="one")) is None


def test_a_limit_of_nothing_tells_nobody() -> None:
    assert Lagging(0).heard(lag(1e9)) is None


def test_the_note_says_what_an_operator_wants_to_know() -> None:
    lagging = Lagging(60)
    began, over = lagging.heard(lag(120, 5000)), lagging.heard(lag(0, 0))

    assert began is not None
    assert over is not None
    assert "records.db are 2.0 min behind (5000 messages)" in began.text
    assert began.facts == {"event": "sink.behind", "sink": "records.db", "messages": 5000, "behind_s": 120}
    assert "records.db have caught up" in over.text
    assert over.facts["event"] == "sink.caught_up"


@given(st.lists(st.floats(0, 1000)), st.floats(CAUGHT_UP_S, 500))
def test_beginnings_and_ends_take_turns(behind: list[float], limit_s: float) -> None:
    lagging = Lagging(limit_s)
    told = [note.is_over for behind_s in behind if (note := lagging.heard(lag(behind_s)))]

    assert told == [bool(at % 2) for at in range(len(told))]
