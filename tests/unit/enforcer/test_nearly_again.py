"""Rounds that vary, from the second one on: what is held back of them, and what shows that they are healthy."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.repeats.loop import RepeatSettings
from shared.repeats.nearly import KEPT, NearlyAgain
from shared.repeats.words import MaskedWords

PROSE = (
    "The quick brown fox jumps over a lazy dog while seven wizards pack boxes of jugs. Nobody knows why the harbour "
    "was empty that morning, but fishermen told stories about lanterns under water and bells that rang without hands. "
)
WORDS = ["fox", "river", "stone", "window", "paper", "garden", "engine", "summer"]
LEAD = 40
"""Characters of a round in which it is seen that it is one: three words, and a number before them."""

Line = Callable[[int], str]
LOOPS: dict[str, Line] = {
    "a counter": lambda number: f"Attempt {number} to reach the server did not succeed so we try it again. ",
    "a time": lambda number: f"[12:{number:02}:07] The server did not answer our call, waiting for it now.\n",
    "an id": lambda number: f"The request {number * 7919 % 9973:04x}f was lost on its way, so it is sent again.\n",
    "a word": lambda number: f"Then we looked behind the old {WORDS[number % 8]} for whatever might be hidden there.\n",
    "words put in": lambda number: (
        f"{('So', 'And then, after all,')[number % 2]} we looked behind the curtain in the hall for something small. "
    ),
    "Chinese": lambda number: f"第{number}次尝试:服务器没有回答我们的请求所以再试一次。",
    "Thai": lambda number: f"ครั้งที่ {number} เซิร์ฟเวอร์ไม่ตอบคำขอของเราจึงลองอีกครั้ง\n",
}


def wary(threshold: float = 0.5) -> NearlyAgain:
    return NearlyAgain(RepeatSettings(threshold=threshold))


def fed(nearly: NearlyAgain, text: str, step: int = 5) -> list[int]:
    """How much was held after each piece."""
    return [nearly.feed(text[at : at + step]) for at in range(0, len(text), step)]


@pytest.mark.parametrize("line", LOOPS.values(), ids=LOOPS)
def test_all_but_the_first_round_is_held(line: Line) -> None:
    rounds = [line(number) for number in range(11, 21)]
    nearly = wary()
    fed(nearly, PROSE + rounds[0])
    held = fed(nearly, "".join(rounds[1:]))

    assert held[-1] > sum(map(len, rounds[1:])) - LEAD
    assert all(after > before for before, after in zip(held[LEAD:], held[LEAD + 1 :], strict=False))


@pytest.mark.parametrize("line", LOOPS.values(), ids=LOOPS)
def test_it_is_let_go_as_soon_as_it_goes_on_otherwise(line: Line) -> None:
    nearly = wary()
    fed(nearly, "".join(line(number) for number in range(11, 14)))

    assert nearly.feed(PROSE[:100]) == 0


HEALTHY: dict[str, Line] = {
    "a record": lambda number: f"Participant {number} scored {number * 37 % 101} points in the final round.\n",
    "a countdown": lambda number: f"There are {90 - number} green bottles hanging on the wall of the house.\n",
    "a table": lambda number: f"| {number} | {number * 37 % 101} | {number * 53 % 89} |\n",
    "code": lambda number: f"    assert parse(tokens[{number}], depth={number}) == expected['{number}']\n",
    "a numbered list": lambda number: (
        f"{number}. The {WORDS[number % 8]} of {WORDS[number * 3 % 7]} {PROSE[number:][:30]}\n"
    ),
}


@pytest.mark.parametrize("line", HEALTHY.values(), ids=HEALTHY)
def test_healthy_rows_hardly_wait(line: Line) -> None:
    rows = [line(number) for number in range(11, 60)]

    assert max(fed(wary(), "".join(rows))) < 4 * len(rows[0])


def test_it_is_let_go_once_it_would_have_been_found() -> None:
    """At a length that the detector calls no loop it never will."""
    rounds = "".join(f"We add {number} spoons of sugar and then we stir it all once more. " for number in range(40))
    held = fed(wary(), rounds)

    assert 700 < max(held) < 900
    assert held[-1] == 0


def test_a_lower_threshold_is_wary_for_longer() -> None:
    rounds = "".join(f"We add {number} spoons of sugar and then we stir it all once more. " for number in range(25))

    assert fed(wary(0.25), rounds)[-1] > 1_000


def test_what_comes_back_too_soon_or_too_late_is_let_pass() -> None:
    far = "".join(f"{WORDS[number % 7]}{WORDS[number % 5]}{WORDS[number * number % 8]} " for number in range(200))

    assert fed(wary(), "ab cd ef " * 2)[-1] > 0
    assert max(fed(wary(), PROSE + far + PROSE[:60])[-12:]) == 0


@given(
    numbers=st.lists(st.integers(0, 120), max_size=12),
    kinds=st.lists(st.sampled_from(sorted({**LOOPS, **HEALTHY})), min_size=1, max_size=3),
    step=st.integers(1, 40),
)
def test_it_answers_alike_however_the_text_is_cut(numbers: list[int], kinds: list[str], step: int) -> None:
    lines = {**LOOPS, **HEALTHY}
    text = "".join(lines[kinds[at % len(kinds)]](number) for at, number in enumerate(numbers)) + "end"

    assert [0, *fed(wary(), text, step)][-1] == wary().feed(text)


@given(text=st.text("ab_ 1,.\n\u7b2c\u0e04", max_size=300), step=st.integers(1, 9))
def test_no_more_is_held_than_was_said(text: str, step: int) -> None:
    held = fed(wary(), text, step)

    assert all(0 <= one <= min(len(text), (at + 1) * step) for at, one in enumerate(held))


@pytest.mark.parametrize(
    "line", [lambda number: " " * 60, lambda number: "x" * 60, *LOOPS.values(), lambda number: f"{number} fish. "]
)
def test_memory_does_not_grow_with_the_text(line: Line) -> None:
    nearly = wary()
    for number in range(3_000):
        nearly.feed(line(number))

    assert nearly.kept < 3 * KEPT


# -- words


def words_of(text: str, step: int) -> list[str]:
    words = MaskedWords(100)
    found = []
    for at in range(0, len(text), step):
        words.append(text[at : at + step])
        while words.next():
            found.append(words[len(words) - 1])
    return found


def test_numbers_ids_and_times_look_alike() -> None:
    assert words_of("Try 17 at 12:30, id a3f9 ", 4) == ["Try", "0", "at", "0", ":", "0", ",", "id", "0"]


@given(text=st.text("ab_ 1,.\n\u7b2c\u0e04", max_size=400), step=st.integers(1, 9))
def test_words_are_the_same_however_the_text_is_cut(text: str, step: int) -> None:
    assert words_of(f"{text} ", step) == words_of(f"{text} ", 1_000)


def test_a_word_without_end_is_cut() -> None:
    assert words_of("x" * 130, 7) == ["x" * 64, "x" * 64]
