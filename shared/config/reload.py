"""New settings for a running process: what of them can come into force, and what has to wait for a restart.

What can't change while it runs keeps its old value, and the mixture is checked again: an ingress that listens for
everybody must not lose its client keys because the file would have it listen on loopback from the next start on.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Any

import msgspec

from shared.config.layers import Path, key_text
from shared.config.loader import Loaded
from shared.config.rules import broken_rules
from shared.config.schema import Findings
from shared.config.settings import Settings
from shared.errors import ConfigError, Problem

DIGEST_CHARACTERS = 8

NEEDS_RESTART: tuple[Path, ...] = (
    ("home",),
    ("bus",),
    ("records",),
    ("recorder",),
    ("ingress", "host"),
    ("ingress", "port"),
    ("ingress", "max_body_bytes"),
    ("ingress", "max_header_bytes"),
    ("ingress", "keepalive_s"),
    ("dashboard", "host"),
    ("dashboard", "port"),
    ("upstream", "seal_key"),
    ("log",),
    ("metrics",),
    ("traces",),
)
"""Sections and keys that were built into connections, sockets and files when the process started."""


@dataclass(frozen=True)
class Stamp:
    """Which settings a worker has, as its heartbeats show it."""

    digest: str  # the same for all workers that took the same file
    generation: int  # 1 when the process starts; one more with each reload
    at: float  # Unix seconds, when they came into force


def merged(running: Loaded, fresh: Loaded) -> tuple[Loaded, tuple[str, ...]]:
    """The fresh settings with the running values of what can't change, and the keys that are meant.

    Raises ConfigError where the two don't go together.
    """
    waiting = tuple(path for path in NEEDS_RESTART if _at(running.settings, path) != _at(fresh.settings, path))
    settings = fresh.settings
    for path in waiting:
        settings = _with(settings, path, _at(running.settings, path))
    keys = tuple(map(key_text, waiting))
    problems = [_problem(fresh, path, what, keys) for path, what in broken_rules(settings, Findings())]
    if problems:
        raise ConfigError(problems)
    return replace(fresh, settings=settings), keys


def _problem(fresh: Loaded, path: Path, what: str, waiting: tuple[str, ...]) -> Problem:
    told = f"{what}; {' and '.join(waiting)} can't change while Moontide runs, so this needs a restart"
    return Problem(str(fresh.layer.origin(path)), key_text(path), told)


def _at(settings: Settings, path: Path) -> Any:
    value: Any = settings
    for name in path:
        value = getattr(value, str(name), None)
    return value


def _with(struct: Any, path: Path, value: Any) -> Any:
    name, rest = str(path[0]), path[1:]
    return msgspec.structs.replace(struct, **{name: _with(getattr(struct, name), rest, value) if rest else value})


def digest(loaded: Loaded) -> str:
    """Of what the file says and a reload can change. No secret goes into it, only references to them."""
    said = {key_text(path): value for path, value in _leaves(loaded.layer.values, ()) if _counts(loaded, path)}
    text = json.dumps(said, sort_keys=True, default=str)
    return sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:DIGEST_CHARACTERS]


def _counts(loaded: Loaded, path: Path) -> bool:
    is_fixed = any(path[: len(place)] == place for place in NEEDS_RESTART)
    return not is_fixed and loaded.file is not None and loaded.layer.origin(path).source == loaded.file


def _leaves(value: Any, path: Path) -> Iterator[tuple[Path, Any]]:
    below = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    if not below:
        yield path, value
    for key, one in below:
        yield from _leaves(one, (*path, key))
