"""Loops whose rounds are nearly the same, and texts that only look like them."""

from __future__ import annotations

from itertools import count
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.loops import looping
from benchmarks.loops.words import prose, sentence
from services.provider_sim.behaviours.loops import _torn
from shared.repeats.detector import RepeatDetector
from shared.repeats.loop import Loop, RepeatSettings

BASE = "the river carries light past a quiet town"
ABOUT = 1.1


def found(text: str) -> tuple[Loop | None, int]:
    detector = RepeatDetector(RepeatSettings())
    for at in range(0, len(text), 9):
        if loop := detector.feed(text[at : at + 9]):
            return loop, at + 9
    return None, len(text)


@pytest.mark.parametrize("one", looping.VARYING)
@pytest.mark.parametrize("before", [0, 13_000])
def test_what_varies_a_little_is_a_loop(one: looping.Rounds, before: int) -> None:
    pick = Random(1)
    rounds = [one(pick, BASE, number) for number in range(7, 60)]  # type: ignore[operator]

    loop, after = found(prose(pick, before) + "".join(rounds))

    assert loop is not None
    assert loop.kind == "varying"
    assert abs(loop.start - before) <= len(rounds[0])
    assert after - before <= ABOUT * max(600, 10 * len(rounds[0])) + 9


@pytest.mark.parametrize("script", ["arabic", "hebrew", "russian", "chinese", "japanese", "korean", "thai"])
def test_a_counter_is_seen_in_any_script(script: str) -> None:
    base = prose(Random(2), 50, script)

    loop, _ = found("".join(f"{base} {number}\n" for number in range(40)))

    assert loop is not None


@pytest.mark.parametrize("kind", ["counter", "time", "word"])
@pytest.mark.parametrize("period", [40, 200, 1_000])
def test_the_loops_of_the_simulated_provider_are_found(kind: str, period: int) -> None:
    text = "".join(_torn(3, kind, period, 3_000, 20_000, 12))  # type: ignore[arg-type]

    _, after = found(text)

    assert 3_000 < after <= 3_000 + ABOUT * max(600, 10 * period) + 9


def test_a_counter_that_goes_down_is_no_loop_because_it_ends() -> None:
    loop, _ = found(
        "".join(f"{n} bottles of beer on the wall, take one down and pass it around. " for n in range(99, 0, -1))
    )

    assert loop is None


@pytest.mark.parametrize(
    "line",
    [
        "Participant {n} scored {random} points.\n",
        "10:{minute:02}:00 worker {random} handled the request in {n} ms\n",
        "The guest {n} comes from {word} and brought a bottle of wine.\n",
        "    case {n}: return handle({n});\n",
        "    OPERATION_{n} = {n},\n",
        "assert add({n}, {n}) == {twice}\n",
        '<li class="item">Item {n}</li>\n',
        "| {n} | active | yes |\n",
        '{{"id": {n}, "name": "item {n}"}},\n',
        "{n}. hello\n",
        "{n}, ",
    ],
)
def test_rounds_that_say_something_are_no_loop(line: str) -> None:
    pick = Random(3)
    text = "".join(
        line.format(n=n, twice=2 * n, minute=n % 60, random=pick.randint(1, 99), word=sentence(pick).split()[0])
        for n in range(200)
    )

    loop, _ = found(text)

    assert loop is None


def test_verses_between_refrains_are_no_loop() -> None:
    pick = Random(4)
    refrain = "".join(sentence(pick) + "\n" for _ in range(4))

    loop, _ = found("".join(sentence(pick) + "\n" + sentence(pick) + "\n" + refrain for _ in range(30)))

    assert loop is None


def test_a_template_filled_with_one_new_word_in_several_places_is_no_loop() -> None:
    words = [a + b for a in ("ba", "du", "mi", "ko", "re") for b in ("la", "no", "pi", "ta", "ru")]
    verse = "And on that farm he had a friend, with a {0} {0} here and a {0} {0} there, as everybody could hear. "

    loop, _ = found("".join(map(verse.format, words)))

    assert loop is None


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    size=st.integers(25, 600),
    before=st.integers(0, 14_000),
    one=st.sampled_from([looping.counter, looping.clock, looping.two_counters, looping.uuid]),
)
def test_any_counter_or_time_in_prose_is_found_in_about_ten_rounds(
    seed: int, size: int, before: int, one: looping.Rounds
) -> None:
    pick = Random(seed)
    base = prose(pick, size).strip().replace("\n", " ")
    period = len(one(pick, base, 10))  # type: ignore[operator]
    allowed = max(10 * period, 600)
    rounds = (one(pick, base, number) for number in count(seed % 50))  # type: ignore[operator]
    text = prose(pick, before) + "".join(next(rounds) for _ in range(2 * allowed // period))

    _, after = found(text)

    assert before < after <= before + 1.25 * allowed + 64
