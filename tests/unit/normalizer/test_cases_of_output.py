"""Every collected case of broken output, in every way in which it can arrive."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

import pytest

from tests.unit.normalizer.answers import (
    assembled,
    check_vendor_rules,
    deltas_of,
    expected_of,
    facts_of_case,
    load,
    read,
    read_plain,
    recut,
    settings_of_case,
    stream_of,
    streamed,
)

CASES = load("k2-output.jsonl") + load("more-output.jsonl")
PLAIN = [case for case in CASES if "message" in case["input"]]
TEXT_ONLY = [
    case
    for case in CASES
    if all(set(delta) <= {"content", "role"} for delta in case["input"].get("deltas", [{"no": "deltas"}]))
]
STREAMED = [case for case in CASES if case.get("chunk_invariant", True)]


def by_name(case: dict[str, Any]) -> str:
    return str(case["name"])


def given(case: dict[str, Any]) -> list[dict[str, Any]]:
    return case["input"].get("deltas") or deltas_of(case["input"]["message"])


def check(case: dict[str, Any], deltas: list[dict[str, Any]], piece_bytes: int = 0) -> None:
    data = stream_of(deltas, case["input"]["finish_reason"])
    pieces = [data[at : at + piece_bytes] for at in range(0, len(data), piece_bytes)] if piece_bytes else data
    out, _ = streamed(pieces, facts_of_case(case), settings_of_case(case))

    check_vendor_rules(out)
    assert expected_of(case) == read(*assembled(out))


def random_pieces(text: str, chance: random.Random) -> Iterator[str]:
    while text:
        size = chance.choice((1, 2, 3, 5, 8, 13, 40))
        yield text[:size]
        text = text[size:]


@pytest.mark.parametrize("case", STREAMED, ids=by_name)
def test_a_stream_is_repaired_as_it_was_sent(case: dict[str, Any]) -> None:
    check(case, given(case))


@pytest.mark.parametrize("case", [case for case in CASES if case["input"].get("deltas")], ids=by_name)
def test_every_stream_is_repaired_as_it_was_sent_even_where_the_cuts_matter(case: dict[str, Any]) -> None:
    check(case, case["input"]["deltas"])


@pytest.mark.parametrize("case", STREAMED, ids=by_name)
def test_a_stream_is_repaired_one_character_at_a_time(case: dict[str, Any]) -> None:
    check(case, list(recut(given(case), list)))


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("case", STREAMED, ids=by_name)
def test_a_stream_is_repaired_however_it_was_cut(case: dict[str, Any], seed: int) -> None:
    chance = random.Random(f"{case['name']} {seed}")

    check(case, list(recut(given(case), lambda text: random_pieces(text, chance))))


@pytest.mark.parametrize("case", STREAMED, ids=by_name)
def test_a_stream_is_repaired_however_its_bytes_were_cut(case: dict[str, Any]) -> None:
    check(case, given(case), piece_bytes=7)


@pytest.mark.parametrize("case", PLAIN, ids=by_name)
def test_a_plain_answer_is_repaired(case: dict[str, Any]) -> None:
    message, finish = case["input"]["message"], case["input"]["finish_reason"]

    assert expected_of(case) == read_plain(message, finish, facts_of_case(case), settings_of_case(case))


@pytest.mark.parametrize("case", TEXT_ONLY, ids=by_name)
def test_the_text_of_a_stream_is_repaired_as_a_plain_answer(case: dict[str, Any]) -> None:
    deltas = case["input"]["deltas"]
    message = {"role": "assistant", "content": "".join(delta.get("content") or "" for delta in deltas)}
    finish = case["input"]["finish_reason"]

    assert expected_of(case) == read_plain(message, finish, facts_of_case(case), settings_of_case(case))
