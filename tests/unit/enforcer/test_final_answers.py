"""`final_answer` out of arguments that are still arriving."""

from __future__ import annotations

import json
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.enforcer.rules.final_answer import LONGEST_OPENING, MOST_CHARACTERS, FinalAnswer

TEXTS = st.text(st.characters(exclude_categories=["Cs"]))


def read(*pieces: str) -> str:
    final = FinalAnswer()
    return "".join([final.feed(piece) for piece in pieces]) + final.finish()


def cut(text: str, places: list[int]) -> list[str]:
    at = sorted({0, len(text), *(place % (len(text) + 1) for place in places)})
    return [text[start:end] for start, end in pairwise(at)]


@given(answer=TEXTS, escaped=st.booleans(), places=st.lists(st.integers(0, 500)))
def test_the_text_comes_out_whole_however_it_is_cut(answer: str, escaped: bool, places: list[int]) -> None:
    arguments = json.dumps({"final_answer": answer}, ensure_ascii=escaped)

    assert read(*cut(arguments, places)) == answer


@given(answer=TEXTS)
def test_the_text_comes_out_while_it_arrives(answer: str) -> None:
    arguments = json.dumps({"final_answer": answer}, ensure_ascii=False)
    final = FinalAnswer()
    said = "".join([final.feed(char) for char in arguments])

    assert (said, final.finish()) == (answer, "")


@pytest.mark.parametrize(
    ("arguments", "answer"),
    [
        ("{}", ""),
        ("", ""),
        ('{"final_answer": null}', ""),
        ('{"final_answer": {"city": "Lima"}}', '{"city": "Lima"}'),
        ('{"final_answer": 42}', "42"),
        ('{"answer": "Lima"}', "Lima"),
        ('{"answer": "Lima", "why": "so"}', ""),
        ('{"status": "ok", "final_answer": "Lima"}', "Lima"),
        ('"Lima"', "Lima"),
        ('{"final_answer": "Lima", "status": "ok"}', "Lima"),
        ('{"final_answer": "cut of', "cut of"),
        ('{"final_answer": "cut\\', "cut"),
        ('{"final_answer": "cut\\u00', "cut"),
        ('{"final_answer": "odd\\xescape"}', "oddxescape"),
        ('{"final_answer": "no \\uZZZZ hex"}', "no \ufffd hex"),
        ('{"answer": "half \\ud83d"}', "half ?"),
        ("{not json", ""),
        (' \n{ "final_answer" :\t"spaced"}', "spaced"),
        ("[" * 100_000, ""),
    ],
)
def test_whatever_the_arguments_are_there_is_an_answer_or_none(arguments: str, answer: str) -> None:
    assert read(*arguments) == read(arguments) == answer


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("\\ud83c\\udf24", "🌤"),
        ("\\ud83c!", "\ufffd!"),
        ("\\ud83c", "\ufffd"),
        ("\\udf24", "\ufffd"),
        ("\\ud83c\\ud83c\\udf24", "\ufffd🌤"),
        ("\\ud83c\\n", "\ufffd\n"),
        ("\\ud83c\\u0041", "\ufffdA"),
    ],
)
def test_halves_of_a_character_never_get_out(text: str, said: str) -> None:
    for arguments in ('{"final_answer": "' + text + '"}', '{"final_answer": "' + text):
        assert read(*arguments) == said


def test_another_key_in_front_is_read_at_the_end() -> None:
    arguments = json.dumps({"a" * LONGEST_OPENING: 1, "final_answer": "Lima"})

    assert read(*arguments) == "Lima"


def test_what_is_kept_is_bounded_but_not_what_streams() -> None:
    answer = "a" * (MOST_CHARACTERS + 10)
    pieces = [answer[at : at + 4096] for at in range(0, len(answer), 4096)]

    assert read('{"final_answer": "', *pieces, '"}') == answer
    assert read('{"other_key_here": "', *pieces, '"}') == ""
