"""What is held back of a text, and for how long."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from services.enforcer.rules.gates import Echo, LoopGate
from shared.contracts import RepeatSettings
from shared.repeats.again import FARTHEST, SHORTEST, SaidAgain

RETRY = RepeatSettings(action="retry")
PROSE = (
    "The quick brown fox jumps over a lazy dog while seven wizards pack boxes of jugs. Nobody knows why the harbour "
    "was empty that morning, but fishermen told stories about lanterns under water and bells that rang without hands. "
)
UNIT = "and once more those very same words, "


def through(gate: LoopGate, text: str, step: int = 5) -> str:
    return "".join([gate.feed(text[at : at + step]) for at in range(0, len(text), step)])


# -- loops


def test_of_a_loop_hardly_more_than_its_first_round_passes() -> None:
    gate = LoopGate(RETRY)
    passed = through(gate, PROSE + UNIT * 40)

    assert gate.loop is not None
    assert gate.loop.start <= len(PROSE)
    assert passed.startswith(PROSE + UNIT)
    assert len(passed) < len(PROSE + UNIT) + SHORTEST + 5


def test_of_a_loop_that_varies_hardly_more_than_its_first_round_passes() -> None:
    rounds = [f"Attempt {number} to reach the server did not succeed so we try it again. " for number in range(40)]
    gate = LoopGate(RETRY)
    passed = through(gate, PROSE + "".join(rounds))

    assert gate.loop is not None
    assert gate.loop.kind == "varying"
    assert passed.startswith(PROSE + rounds[0])
    assert len(passed) < len(PROSE) + 1.5 * len(rounds[0])


def test_nothing_passes_behind_a_loop() -> None:
    gate = LoopGate(RETRY)
    through(gate, UNIT * 40)

    assert gate.feed(PROSE) == ""
    assert gate.finish() == ""


@given(text=st.text("ab \n", max_size=400), step=st.integers(1, 50))
def test_what_is_no_loop_passes_whole(text: str, step: int) -> None:
    gate = LoopGate(RETRY)
    passed = through(gate, text, step) + gate.finish()

    assert gate.loop is not None or passed == text


@given(places=st.lists(st.integers(0, len(PROSE)), max_size=20))
def test_what_is_said_again_waits_only_until_it_goes_on_otherwise(places: list[int]) -> None:
    text = "".join(PROSE[at : at + 40] + "|" for at in places)
    gate = LoopGate(RETRY)
    through(
        gate,
        PROSE + text + "Everything else remained unsaid until December, as thirty Portuguese sailors agreed ~",
    )

    assert gate.held < SHORTEST


def test_a_repetition_that_ends_is_let_go() -> None:
    gate = LoopGate(RETRY)
    passed = through(gate, PROSE + UNIT * 4)
    held = gate.held
    passed += through(gate, "But then it went on otherwise.")

    assert held >= 3 * len(UNIT) - SHORTEST - 5
    assert passed + gate.finish() == PROSE + UNIT * 4 + "But then it went on otherwise."


def test_a_loop_that_began_in_the_text_before_is_seen_at_once() -> None:
    gate = LoopGate(RETRY, before=PROSE + UNIT)
    passed = through(gate, UNIT * 40)

    assert gate.loop is not None
    assert gate.loop.start <= len(PROSE)
    assert len(passed) < SHORTEST + 5


def test_places_count_a_long_text_before_though_only_its_end_is_looked_at() -> None:
    before = "".join(f"{number * 7919 % 100_003} fish. " for number in range(3_000))
    gate = LoopGate(RETRY, before)
    through(gate, PROSE + UNIT * 40)

    assert gate.loop is not None
    assert abs(gate.loop.start - len(before + PROSE)) <= SHORTEST


# -- said again


@given(text=st.text("abc", max_size=300), step=st.integers(1, 40))
def test_what_is_said_again_was_said_before(text: str, step: int) -> None:
    again = SaidAgain()
    for at in range(0, len(text), step):
        so_far = text[: at + step]
        length = again.feed(text[at : at + step])
        said = so_far[len(so_far) - length :]

        assert length == 0 or length >= SHORTEST or step < SHORTEST
        assert said in so_far[:-1] or not said


def test_the_longest_of_several_earlier_places_counts() -> None:
    again = SaidAgain()
    again.feed("one two three four five six. ... four five six. ")

    assert again.feed("two three four five six. ") == len(" two three four five six. ")


def test_what_is_too_far_back_is_forgotten() -> None:
    again = SaidAgain()
    again.feed(UNIT + "".join(f"{number:05}" for number in range(FARTHEST // 5 + 10)))

    assert again.feed(UNIT) == 0


# -- echoes


def echoed(earlier: list[str], text: str, step: int = 3) -> tuple[str, str]:
    """What passes while it comes, and what is left at its end."""
    echo = Echo(earlier)
    return "".join([echo.feed(text[at : at + step]) for at in range(0, len(text), step)]), echo.finish()


@given(text=st.text(min_size=1), step=st.integers(1, 9))
def test_a_text_that_was_said_before_is_left_out(text: str, step: int) -> None:
    assert echoed([text], text, step) == ("", "") or not text.strip()
    assert echoed([f"\n{text} "], f" {text}\n", step) == ("", "") or not text.strip()


@given(earlier=st.lists(st.text("ab ")), text=st.text("ab "), step=st.integers(1, 9))
def test_any_other_text_passes_whole(earlier: list[str], text: str, step: int) -> None:
    known = {one.strip() for one in earlier} - {""}

    assert "".join(echoed(earlier, text, step)) == text or text.strip() in known


def test_what_only_begins_like_it_is_let_go() -> None:
    assert echoed(["I will look it up."], "I will not.") == ("I will not.", "")
    assert echoed(["I will look it up."], "I will") == ("", "I will")
    assert echoed([], "I will") == ("I will", "")
