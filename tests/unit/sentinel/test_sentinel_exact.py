"""Loops whose rounds are all the same."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from benchmarks.loops.words import EMOJI, prose
from shared.repeats.data import PATIENCE, is_data
from shared.repeats.detector import RepeatDetector
from shared.repeats.exact import MAX_PERIOD, ExactRun
from shared.repeats.history import History
from shared.repeats.loop import Loop, RepeatSettings

HEALTHY = prose(Random("healthy"), 50_000)


def found(text: str, step: int = 7) -> tuple[Loop | None, int]:
    """The loop, and after how many characters."""
    detector = RepeatDetector(RepeatSettings())
    for at in range(0, len(text), step):
        if loop := detector.feed(text[at : at + step]):
            return loop, min(at + step, len(text))
    return None, len(text)


@pytest.mark.parametrize("unit", ["a", " ", "\n", "\\n", "ha", "😀", "的", "שלום ", "مرحبا ", "</div>\n", "} ", "."])
def test_a_short_unit_is_a_loop_after_600_characters(unit: str) -> None:
    loop, after = found(HEALTHY[:333] + unit * 700, step=1)

    assert loop is not None
    assert (loop.kind, loop.period) == ("exact", len(unit))
    assert after - 333 <= 600


@pytest.mark.parametrize("period", [61, 100, 500, 1_000, MAX_PERIOD])
def test_a_long_unit_is_a_loop_after_ten_rounds(period: int) -> None:
    unit = prose(Random(period), period - 1) + "#"

    loop, after = found(HEALTHY[:100] + unit * 11, step=1)

    assert loop == Loop(period=period, start=100, repeats=10, kind="exact")
    assert after == 100 + 10 * period


@pytest.mark.parametrize("before", [0, 1, 1_000, 12_288, 50_000])
def test_the_delay_does_not_depend_on_the_healthy_text_before(before: int) -> None:
    loop, after = found(HEALTHY[:before] + "Wait, let me check that again: " * 50, step=1)

    assert loop is not None
    assert after - before == 600


def test_a_loop_is_found_where_rounds_hold_loops() -> None:
    row = "0 " * 100 + "x" + "-" * 200 + "\n"

    loop, _ = found("Here it is:\n" + row * 12)

    assert loop == Loop(period=len(row), start=len("Here it is:"), repeats=10, kind="exact")


@pytest.mark.parametrize(
    "text",
    ["hello " * 50, "=" * 200, "I will not talk in class.\n" * 20, "|  |  |  |\n" * 50, (HEALTHY[:900] + "\n") * 7],
)
def test_a_repetition_that_ends_in_time_is_no_loop(text: str) -> None:
    loop, _ = found("Sure:\n" + text + "\nThat was all." + HEALTHY[:500])

    assert loop is None


@pytest.mark.parametrize(
    "text",
    [
        str([[0] * 30] * 30),
        "[" + "null, " * 300 + "null]",
        "0,0,0,0\n" * 200,
        "AAAA" * 400,
        ("A" * 76 + "\n") * 30,
        "0x00, " * 256,
    ],
)
def test_a_unit_that_is_nothing_but_data_is_given_longer(text: str) -> None:
    assert found("x = " + text + "\n")[0] is None


@pytest.mark.parametrize("unit", ["a", "0", "0 ", "1. ", "item, ", "{}", "a\n", "==\n"])
def test_other_units_are_not(unit: str) -> None:
    assert not is_data(unit)


def test_a_run_is_found_in_a_history_that_is_nothing_else() -> None:
    history = History()
    history.append("ab" * 5_000)

    loop = ExactRun(RepeatSettings()).grown(history, history.length)

    assert loop is not None
    assert loop.period == 2


UNITS = st.one_of(
    st.text(min_size=1, max_size=40),
    st.text(alphabet="ab", min_size=1, max_size=300),
    st.integers(1, 1_000).map(lambda size: prose(Random(size), size)),
    st.text(alphabet="".join(EMOJI) + "的是", min_size=1, max_size=60),
)


@settings(max_examples=150, deadline=None)
@given(unit=UNITS, before=st.integers(0, 20_000), step=st.integers(1, 300))
def test_any_exact_loop_is_found_in_time_after_any_healthy_text(unit: str, before: int, step: int) -> None:
    assume(not is_data(unit))
    allowed = max(10 * len(unit), 600)

    _, after = found(HEALTHY[:before] + unit * (allowed // len(unit) + 301), step)

    assert before < after <= before + allowed + step


@settings(max_examples=30, deadline=None)
@given(unit=st.sampled_from(["0, ", "null,", "[0,0],\n", "A"]), before=st.integers(0, 5_000))
def test_any_loop_of_data_is_found_after_four_times_that(unit: str, before: int) -> None:
    _, after = found(HEALTHY[:before] + unit * 2_400)

    assert before < after <= before + PATIENCE * 600 + 7
