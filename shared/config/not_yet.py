"""What is planned and not there: each entry goes when its feature comes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from shared.config.layers import Path
from shared.version import version


def _anything(value: object) -> bool:
    return True


@dataclass(frozen=True)
class NotYet:
    """A key, or some values of it, that this version refuses. In the path, `*` is any name."""

    path: str
    when: Callable[[Any], bool] = _anything
    note: str = ""  # what to do until then


NOT_YET: tuple[NotYet, ...] = ()


def refusal(path: Path, value: object, table: tuple[NotYet, ...] = NOT_YET) -> str | None:
    """Why a value is refused, where it belongs to a feature that has not come."""
    for entry in table:
        if _matches(entry.path, path) and entry.when(value):
            what = "" if entry.when is _anything or not isinstance(value, str) else f"{_short(value)} is "
            note = f"; {entry.note}" if entry.note else ""
            return f"{what}not available in this version ({version()}){note}"
    return None


def variables(table: tuple[NotYet, ...] = NOT_YET) -> tuple[str, ...]:
    """Patterns (fnmatch) of the environment variables that whole refused keys would have."""
    keys = (entry.path for entry in table if entry.when is _anything)
    return tuple(f"MOONTIDE_{key.upper().replace('.', '_')}" for key in keys)


def _matches(pattern: str, path: Path) -> bool:
    parts = pattern.split(".")
    return len(parts) == len(path) and all(part in ("*", place) for part, place in zip(parts, path, strict=True))


def _short(value: str) -> str:
    """A value's kind: all of a word, the scheme of an address."""
    scheme, separator, _ = value.partition("://")
    return scheme + separator
