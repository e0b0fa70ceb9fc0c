"""Fuzzes the repair engine for a number of minutes: `python -m tests.fuzz.fuzz_repair 10`.

Hypothesis generates answers out of markers, halves of markers, calls, quotes and ordinary text, and damaged copies of
every collected case. For each the engine must give the same result for every way to cut it, keep the vendor's stream
rules (every call valid JSON before the finish reason among them), and let no call marker out. Answers in JSON that are
no calls must come out with every character. Where markers are nested around what is taken out, and halves of them
stand beside whole ones, everything must stand in its order with any repairs off, and with all on nothing may go out
that would be taken out again. Stops at the first failure, with hypothesis's smallest example of it.
"""

from __future__ import annotations

import json
import sys
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as some

from services.normalizer import RepairSettings, RequestFacts
from tests.unit.normalizer.answers import GLOB, assembled, check_vendor_rules, load, read, recut, stream_of, streamed
from tests.unit.normalizer.test_properties_of_repair import (
    LEAKS,
    MARKERS,
    OFFERS,
    QUOTES,
    REASONS,
    TEXTS,
    THINKING,
    cuts_of,
    test_whatever_the_chunks_hold_the_output_keeps_the_rules,
)
from tests.unit.normalizer.test_two_sides import MIXED, OFF, UNQUOTED, check_any_repairs_off, check_nothing_is_left

EXAMPLES = 300  # per round: between rounds the clock is looked at
RUN = settings(
    max_examples=EXAMPLES,
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
    phases=[Phase.generate, Phase.shrink],
)
_CASES = [case for name in ("k2-output.jsonl", "more-output.jsonl") for case in load(name)]
_KNOWN = [text for case in _CASES if isinstance(text := case["input"].get("message", {}).get("content"), str)]
PIECES = some.sampled_from(MARKERS + TEXTS + QUOTES) | some.text(max_size=6)
SOUP = some.lists(PIECES, max_size=24).map("".join)


@some.composite
def damaged(draw: some.DrawFn) -> str:
    """A collected answer with a piece taken out, put in or repeated."""
    text = draw(some.sampled_from(_KNOWN)).encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    for _ in range(draw(some.integers(0, 3))):
        at = draw(some.integers(0, len(text)))
        end = draw(some.integers(at, min(len(text), at + 20)))
        text = text[:at] + draw(some.sampled_from(["", text[at:end] * 2]) | PIECES) + text[end:]
    return text


ANSWERS = SOUP | damaged()
COUNTS: Counter[str] = Counter()


@given(some.data(), ANSWERS, ANSWERS, OFFERS, THINKING, REASONS)
def any_cut(data: some.DataObject, content: str, reasoning: str, offer: Any, thinking: Any, reason: str | None) -> None:
    COUNTS["answers"] += 1
    facts, profile = RequestFacts(tools=offer), RepairSettings(thinking=thinking)
    deltas = [{"reasoning_content": reasoning}, {"content": content}]
    results = []
    for cut in (lambda text: [text], list, lambda text: cuts_of(data, text)):
        out, repair = streamed(stream_of(recut(deltas, cut), reason), facts, profile)
        COUNTS["streams"] += 1
        COUNTS.update(repair.repairs.keys())
        check_vendor_rules(out)
        message, finish = assembled(out)
        results.append(read(message, finish))
        if offer != [] and not any(mark in content + reasoning for mark in "`~\"'“‘«「『"):
            assert not LEAKS.search(message["content"])
            assert not LEAKS.search(message["reasoning_content"])
    assert results[0] == results[1] == results[2]


JSON_KEYS = some.sampled_from(["name", "tool", "function", "type", "arguments", "city", ""])
JSON_TEXTS = some.sampled_from(["Rome", "bash:0{", "x", '"', "{", "}", "\\", "\n", " ", "é😀"]) | some.text(
    "ab:{}0. ", max_size=5
)
JSON_VALUES = some.recursive(
    some.none() | some.integers() | JSON_TEXTS,
    lambda inner: some.lists(inner, max_size=3) | some.dictionaries(JSON_KEYS, inner, max_size=3),
    max_leaves=6,
)
SPACE = some.text(" \n\t", max_size=40)
JSON_ANSWERS = some.builds(
    lambda before, value, indent, cut, after: before + json.dumps(value, indent=indent)[: cut or None] + after,
    SPACE,
    some.dictionaries(JSON_KEYS, JSON_VALUES, max_size=4),
    some.sampled_from([None, 2]),
    some.integers(0, 60),
    SPACE | SPACE.map("glob:0{{".__add__) | SPACE.map("x glob:1 {".__add__),
)


@given(some.data(), MIXED, OFFERS, OFF)
def any_repairs_off(data: some.DataObject, content: str, offer: Any, off: tuple[str, ...]) -> None:
    COUNTS["answers with repairs off"] += 1
    COUNTS["streams"] += 3
    COUNTS.update(check_any_repairs_off(data, content, offer, off))


@given(some.data(), MIXED, OFFERS)
def taken_out(data: some.DataObject, content: str, offer: Any) -> None:
    COUNTS["answers with markers around others"] += 1
    COUNTS["streams"] += 4
    COUNTS.update(check_nothing_is_left(data, UNQUOTED.sub("", content), offer))


NO_TOOL = RequestFacts(tools=[{"type": "function", "function": {"name": "lookup", "parameters": {}}}, GLOB])


@given(some.data(), JSON_ANSWERS)
def given_back(data: some.DataObject, content: str) -> None:
    """What looks like a call by its shape alone and is none comes out with every character."""
    COUNTS["answers in JSON"] += 1
    for cut in (lambda text: [text], list, lambda text: cuts_of(data, text)):
        out, repair = streamed(stream_of(recut([{"content": content}], cut), "stop"), NO_TOOL)
        COUNTS["streams"] += 1
        assert assembled(out)[0]["content"] == content
        assert repair.repairs == {}


def odd_chunks() -> None:
    COUNTS["rounds of odd chunks"] += 1
    test_whatever_the_chunks_hold_the_output_keeps_the_rules()


def fuzz(minutes: float) -> None:
    """Run rounds until the time is over."""
    rounds: tuple[Callable[[], None], ...] = (RUN(any_cut), RUN(any_repairs_off), RUN(taken_out))
    rare: tuple[Callable[[], None], ...] = (RUN(given_back), odd_chunks)
    started = time.monotonic()
    number = 0
    while time.monotonic() - started < minutes * 60:
        seed(time.time_ns())(rounds[number % 3])()
        if number % 5 == 0:
            seed(time.time_ns())(rare[0])()
        if number % 20 == 0:
            rare[1]()
        number += 1
    print(f"{(time.monotonic() - started) / 60:.1f} minutes, no failure")
    for name, count in COUNTS.most_common():
        print(f"{count:9,} {name}")


if __name__ == "__main__":
    fuzz(float(sys.argv[1]) if len(sys.argv) > 1 else 10)
