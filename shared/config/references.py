"""The secret references in the settings: where they stand, who needs them, and what they give."""

from __future__ import annotations

import os.path
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path as FilePath
from typing import Any

from shared.config.defaults import expanded
from shared.config.layers import Layer, Path, at, with_value
from shared.config.schema import Findings
from shared.errors import SecretError
from shared.secrets import Secret, Secrets, is_reference, resolve_all

LONGEST_PATH = 4096  # characters; anything longer is the key itself

RECORDS = "records"  # no service: whoever reads the records
NEEDED_BY: tuple[tuple[Path, frozenset[str] | None], ...] = (  # None = every service
    (("bus", "credentials"), None),
    (("ingress", "keys"), frozenset({"ingress", "dashboard"})),
    (("dashboard", "keys"), frozenset({"dashboard"})),
    (("upstream", "seal_key"), frozenset({"upstream"})),
    (("providers", "*", "api_key"), frozenset({"upstream"})),
    (("providers", "*", "credentials"), frozenset({"upstream"})),
    (("alerts", "*", "url"), frozenset({"upstream", "recorder"})),
    (("records", "*", "url"), frozenset({"recorder", "dashboard", RECORDS})),
    (("records", "*", "password"), frozenset({"recorder", "dashboard", RECORDS})),
    (("records", "*", "secret"), frozenset({"recorder"})),
    (("traces", "headers", "*"), frozenset({"recorder"})),
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


def files_named(values: Any, services: Collection[str] | None, environ: Mapping[str, str]) -> set[str]:
    """The files that secrets come from, those included whose path is the secret (a service account's key)."""
    found: set[str] = set()
    for path, reference in references(values, services):
        name = reference.removeprefix("file:") if reference.startswith("file:") else None
        if name is not None:
            found.add(name)
        if path[-1] == "credentials" and path[0] == "providers":
            found |= _behind(reference, name, environ)
    return found


def _behind(reference: str, name: str | None, environ: Mapping[str, str]) -> set[str]:
    """The file whose path a variable or another file holds."""
    if name is not None:
        try:
            text = FilePath(name).read_text(encoding="utf-8")
        except (OSError, ValueError):
            return set()
    else:
        text = environ.get(reference.removeprefix("env:"), "")
    text = text.strip()
    return {os.path.expanduser(text)} if text and len(text) < LONGEST_PATH and not text.startswith("{") else set()


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
    names: list[str | int] = [pattern[0]]
    if pattern[0] == "*":
        names = (
            list(values) if isinstance(values, dict) else list(range(len(values if isinstance(values, list) else ())))
        )
    for name in names:
        below = at(values, (name,))
        if below is not None:
            yield from _below(below, pattern[1:], (*path, name))


def _names(values: Any) -> list[str | int]:
    """What stands below: the keys of a mapping, the places of a list."""
    if isinstance(values, list):
        return list(range(len(values)))
    return list(values) if isinstance(values, dict) else []
