"""The secret references in the settings: where they stand, who needs them, and what they give."""

from __future__ import annotations

import os.path
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any

from shared.config.defaults import expanded
from shared.config.layers import Layer, Path, at, with_value
from shared.config.schema import Findings
from shared.errors import SecretError
from shared.secrets import Secret, Secrets, is_reference, resolve_all

NEEDED_BY: tuple[tuple[Path, frozenset[str] | None], ...] = (  # None = every service
    (("bus", "credentials"), None),
    (("ingress", "keys"), frozenset({"ingress", "dashboard"})),
    (("dashboard", "keys"), frozenset({"dashboard"})),
    (("upstream", "seal_key"), frozenset({"upstream"})),
    (("providers", "*", "api_key"), frozenset({"upstream"})),
    (("providers", "*", "credentials"), frozenset({"upstream"})),
    (("alerts", "*", "url"), frozenset({"upstream"})),
    (("providers", "*", "headers", "*"), frozenset({"upstream"})),
)


def references(values: Any, services: Collection[str] | None = None) -> Iterator[tuple[Path, str]]:
    """Every reference that one of the services needs (None: all services), with its place."""
    for pattern, needed_by in NEEDED_BY:
        if services is None or needed_by is None or needed_by.intersection(services):
            for path, value in _below(values, pattern, ()):
                if isinstance(value, str) and is_reference(value):
                    yield path, value


def with_absolute_files(layer: Layer, folder_of: Callable[[Path], str], environ: Mapping[str, str]) -> Layer:
    """The layer with every `file:` reference absolute; each is relative to where it was written."""
    for path, reference in list(references(layer.values)):
        name = reference.removeprefix("file:")
        if name != reference and name.strip():
            place = name if name.startswith("~") else os.path.join(folder_of(path), name)
            value = f"file:{expanded(place, environ)}"
            layer = with_value(layer, path, value, {path: layer.origin(path)})
    return layer


def resolved(values: Any, services: Collection[str] | None, environ: Mapping[str, str], findings: Findings) -> Secrets:
    """The secrets that the services need; those that cannot be had become findings."""
    wanted = list(references(values, services))
    results = resolve_all((reference for _, reference in wanted), environ)
    for path, reference in wanted:
        result = results[reference]
        if isinstance(result, SecretError):
            findings.add(path, f"{reference}: {result}")
    return Secrets({name: secret for name, secret in results.items() if isinstance(secret, Secret)})


def _below(values: Any, pattern: Path, path: Path) -> Iterator[tuple[Path, Any]]:
    if not pattern:
        yield path, values
        return
    names = list(values) if pattern[0] == "*" and isinstance(values, dict) else [pattern[0]]
    for name in names:
        below = at(values, (name,))
        if below is not None:
            yield from _below(below, pattern[1:], (*path, name))
