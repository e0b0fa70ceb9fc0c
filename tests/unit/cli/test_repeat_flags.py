"""MoonPalace's flags for repeat detection."""

from __future__ import annotations

import pytest

from services.cli.repeat import repeat_of, with_repeat
from shared.config import Settings, load


def settings(overrides: dict[str, object]) -> Settings:
    return load(environ={}, overrides=overrides).settings


def is_watched(found: Settings) -> bool:
    return any(model.repeat.is_on for model in found.models.values())


def switched_on(threshold: float | None = None, min_length: int | None = None) -> Settings:
    targets = [{"provider": "moonshot"}]
    models = {"kimi.k2": {"targets": targets}, "*": {"targets": targets, "repeat": {"finish_reason": "loop"}}}
    repeat = repeat_of(True, threshold, min_length)
    assert repeat is not None
    before = settings({"models": models})
    assert not is_watched(before)
    return settings(with_repeat({"models": models}, before, repeat))


def test_detection_is_switched_on_for_every_model() -> None:
    found = switched_on()

    assert is_watched(found)
    assert [model.repeat.action for model in found.models.values()] == ["stop", "stop"]
    assert [model.targets[0].provider for model in found.models.values()] == ["moonshot", "moonshot"]


def test_what_is_not_said_stays_as_it_is() -> None:
    repeat = switched_on().models["kimi.k2"].repeat

    assert (repeat.threshold, repeat.min_length) == (0.5, 100)


def test_the_flags_win() -> None:
    repeat = switched_on(0.25, 400).models["*"].repeat

    assert (repeat.threshold, repeat.min_length) == (0.25, 400)


def test_a_threshold_alone_switches_nothing_on_and_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    assert repeat_of(False, 0.25, None) is None
    assert capsys.readouterr().err == "--repeat-threshold has no effect without --detect-repeat\n"


def test_threshold_zero_is_off() -> None:
    assert not is_watched(switched_on(0.0))
