"""Repeat detection on the command line: MoonPalace's three flags, for every model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click
import msgspec

from shared.config import Model, Settings

Repeat = Mapping[str, Any]


def repeat_of(detect: bool, threshold: float | None, min_length: int | None) -> Repeat | None:
    """What the flags say of a model's `repeat`; None where they say nothing."""
    values = {"threshold": threshold, "min_length": min_length}
    if detect:
        return {"action": "stop", **values}
    for name, value in values.items():
        if value is not None:
            flag = f"--repeat-{name.replace('_', '-')}"
            click.echo(f"{flag} has no effect without --detect-repeat", err=True)
    return None


def with_repeat(overrides: Mapping[str, Any], settings: Settings, repeat: Repeat) -> dict[str, Any]:
    """The overrides, and `repeat` for every model that there is."""
    said = overrides.get("models", {})
    models = {
        name: {"targets": _targets(model), **said.get(name, {}), "repeat": repeat}
        for name, model in settings.models.items()
    }
    return {**overrides, "models": models}


def _targets(model: Model) -> list[dict[str, Any]]:
    """As they are: a model that only the defaults made is not made where anything is said of models."""
    found = (msgspec.to_builtins(target) for target in model.targets)
    return [{name: value for name, value in target.items() if value is not None} for target in found]
