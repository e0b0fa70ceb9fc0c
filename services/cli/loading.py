"""The settings of a command: loaded and checked, or every problem on a line of stderr and exit status 2."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Mapping
from typing import Any

import click

from services.normalizer import REPAIR_NAMES
from shared.config import Loaded, load
from shared.config.layers import key_text
from shared.config.schema import closest
from shared.errors import ConfigError, Problem

WRONG = 2  # the exit status of a configuration with problems


def load_or_exit(
    file: str | None,
    services: Collection[str] | None = None,
    overrides: Mapping[str, Any] | None = None,
    environ: Mapping[str, str] | None = None,
) -> Loaded:
    try:
        return load_checked(file, services, overrides, environ)
    except ConfigError as error:
        click.echo(str(error), err=True)
        raise SystemExit(WRONG) from None


def load_checked(
    file: str | None,
    services: Collection[str] | None = None,
    overrides: Mapping[str, Any] | None = None,
    environ: Mapping[str, str] | None = None,
) -> Loaded:
    """The settings; raises ConfigError with every problem."""
    environ = os.environ if environ is None else environ
    loaded = load(environ=environ, file=file, overrides=overrides, services=services)
    if problems := list(_unknown_repairs(loaded)):
        raise ConfigError(problems)
    return loaded


def _unknown_repairs(loaded: Loaded) -> Iterator[Problem]:
    """Names in `repair.off` that are no repair: the settings can't know them, the engine does."""
    for name, model in loaded.settings.models.items():
        for place, repair in enumerate(model.repair.off):
            if repair not in REPAIR_NAMES:
                path = ("models", name, "repair", "off", place)
                hint = closest(repair, REPAIR_NAMES) or "; docs/repairs.md lists them"
                yield Problem(str(loaded.layer.origin(path)), key_text(path), f"{repair!r} is no repair{hint}")
