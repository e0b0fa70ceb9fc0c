"""What holds for every text: how it is cut, how long it is, what is healthy."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.loops import healthy_code, healthy_data, healthy_prose
from benchmarks.loops.words import prose
from shared.repeats.detector import BLOCK, RepeatDetector
from shared.repeats.history import WINDOW, History
from shared.repeats.loop import Loop, RepeatSettings

HEALTHY = {
    **{kind.__name__: kind for kind in (*healthy_code.KINDS, *healthy_data.KINDS, *healthy_prose.KINDS)},
    **healthy_prose.SCRIPT_KINDS,
}


def fed(text: str, cuts: list[int], repeat: RepeatSettings | None = None) -> Loop | None:
    detector = RepeatDetector(repeat or RepeatSettings())
    found = None
    for begin, end in zip([0, *cuts], [*cuts, len(text)], strict=True):
        found = found or detector.feed(text[begin:end])
    return found


@settings(max_examples=60, deadline=None)
@given(
    before=st.text(max_size=300),
    unit=st.text(min_size=1, max_size=80),
    number=st.booleans(),
    data=st.data(),
)
def test_the_verdict_does_not_depend_on_how_the_text_is_cut(
    before: str, unit: str, number: bool, data: st.DataObject
) -> None:
    text = before + "".join(f"{unit}{n if number else ''} and so on. " for n in range(60))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=80)))

    assert fed(text, cuts) == fed(text, [])


@settings(max_examples=200, deadline=None)
@given(kind=st.sampled_from(sorted(HEALTHY)), seed=st.integers(0, 10**9), size=st.integers(200, 6_000))
def test_healthy_text_is_no_loop(kind: str, seed: int, size: int) -> None:
    assert fed(HEALTHY[kind](Random(seed), size), []) is None


def test_a_loop_is_told_once() -> None:
    detector = RepeatDetector(RepeatSettings())

    verdicts = [detector.feed("and again ") for _ in range(500)]

    assert sum(verdict is not None for verdict in verdicts) == 1


def test_the_good_prefix_ends_where_the_loop_begins() -> None:
    good = "This is what was asked for:\n"

    loop = fed(good + "once more, " * 100, [])

    assert loop is not None
    assert (good + "once more, " * 100)[: loop.start] == good


@pytest.mark.parametrize("text", [prose(Random(1), 200_000), "a" * 200_000, "0, " * 70_000])
def test_memory_does_not_grow(text: str) -> None:
    detector = RepeatDetector(RepeatSettings(threshold=1e-6))

    for at in range(0, len(text), 50):
        detector.feed(text[at : at + 50])

    assert len(detector._history.newest_first) <= WINDOW
    assert len(detector._ahead) <= BLOCK


def test_threshold_zero_tolerates_everything() -> None:
    assert fed("a" * 100_000, [], RepeatSettings(threshold=0)) is None
    assert RepeatSettings(threshold=0).enough(1) == float("inf")


@pytest.mark.parametrize(("threshold", "characters"), [(1.0, 300), (0.5, 600), (0.25, 1_200), (0.1, 3_000)])
def test_a_higher_threshold_tolerates_less(threshold: float, characters: int) -> None:
    repeat = RepeatSettings(threshold=threshold)

    assert fed("a" * (characters - 1), [], repeat) is None
    assert fed("a" * characters, [], repeat) is not None


@pytest.mark.parametrize(("min_length", "characters"), [(0, 64), (50, 300), (100, 600), (1_000, 6_000)])
def test_nothing_is_a_loop_before_min_length(min_length: int, characters: int) -> None:
    repeat = RepeatSettings(min_length=min_length)

    assert fed("a" * (characters - 1), [], repeat) is None
    assert fed("a" * characters, [], repeat) is not None


@pytest.mark.parametrize("wrong", [{"threshold": -0.1}, {"threshold": 1.1}, {"min_length": -1}])
def test_settings_out_of_range_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="is a number"):
        RepeatSettings(**wrong)  # type: ignore[arg-type]


@given(text=st.text(alphabet="ab", min_size=2, max_size=400), near=st.integers(0, 50), far=st.integers(51, 200))
def test_agreement_counts_what_is_the_same(text: str, near: int, far: int) -> None:
    history = History()
    history.append(text)
    newest = text[::-1]
    pairs = zip(newest[near:], newest[far:], strict=False)
    expected = next((at for at, (a, b) in enumerate(pairs) if a != b), max(0, len(newest) - far))

    assert history.agreement(near, far) == expected
