"""All of it, in order: the file, the defaults, the environment, the command line; then every check.

What is said later wins: defaults, file, environment, command line. Nothing here reads the process's
environment: the composition root hands it in.
"""

from __future__ import annotations

import os.path
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path as FilePath
from typing import Any

import msgspec

from shared.config.client_keys import ClientKeys, parse_client_keys
from shared.config.defaults import completed, expanded, with_providers
from shared.config.document import read_document
from shared.config.environment import CONFIG, read_environment
from shared.config.layers import COMMAND_LINE, Layer, Path, key_text, overlaid
from shared.config.references import files_named, resolved, with_absolute_files
from shared.config.rules import broken_rules
from shared.config.schema import Findings, as_settings, checked, shape
from shared.config.settings import Settings
from shared.config.sinks import address, is_webhook
from shared.config.traces import extra_rules
from shared.errors import ConfigError, Problem
from shared.secrets import Secrets, looks_secret, scrub

PASSWORD_IN_FILE = "a password must not stand here; set MOONTIDE_NATS_URL, or bus.credentials to file:/path"  # noqa: S105
PASSWORD_OF_SINK = "a password must not stand here; set `password: env:NAME` beside it, or the whole `url: env:NAME`"  # noqa: S105


@dataclass(frozen=True)
class Loaded:
    """Checked settings, with the secrets that the asking services need."""

    settings: Settings
    secrets: Secrets
    client_keys: ClientKeys | None  # None: clients are not asked for a key, or nobody here asks them
    dashboard_keys: ClientKeys | None  # likewise, of the dashboard
    layer: Layer  # the effective values as a tree, with the origin of each
    file: str | None  # the configuration file, as it was named

    def databases(self) -> list[str]:
        """The addresses of the sinks that can be read, the first one first, passwords included: to be opened, never to
        be shown. For who loaded with the secrets of `records`."""
        addresses = (address(sink, self.secrets) for sink in self.settings.records)
        return [url for url in addresses if not is_webhook(url)]


def load(
    *,
    environ: Mapping[str, str],
    file: str | FilePath | None = None,
    overrides: Mapping[str, Any] | None = None,
    services: Collection[str] | None = None,
) -> Loaded:
    """The settings; raises ConfigError with every problem.

    `file` wins over MOONTIDE_CONFIG; without either there are only defaults. `overrides` is what the command
    line says, as nested mappings; a None in it says nothing. `services` are those that this process runs:
    only their secrets are looked up (None: everybody's).
    """
    name = _name_of(file, environ)
    layer, problems = _layered(environ, name, overrides or {})
    return _checked(layer, problems, name, environ, services)


def files_of(
    *,
    environ: Mapping[str, str],
    file: str | FilePath | None = None,
    overrides: Mapping[str, Any] | None = None,
    services: Collection[str] | None = None,
) -> frozenset[str]:
    """The files that `load` would read, as far as they can be known: a change in one of them may be new settings."""
    name = _name_of(file, environ)
    found = {name} if name else set()
    try:
        layer, _ = _layered(environ, name, overrides or {})
    except ConfigError:
        return frozenset(found)
    return frozenset(found | files_named(layer.values, services, environ))


def _name_of(file: str | FilePath | None, environ: Mapping[str, str]) -> str | None:
    return str(file) if file else environ.get(CONFIG, "").strip() or None


def _layered(environ: Mapping[str, str], name: str | None, overrides: Mapping[str, Any]) -> tuple[Layer, list[Problem]]:
    """All that was said, the later over the earlier; raises ConfigError where the file can't be read at all."""
    layer, problems = _read_file(name)
    if problems and not layer.values:
        raise ConfigError(problems)
    layer, more = read_environment(environ, with_providers(layer, environ))
    layer = overlaid(layer, overrides, lambda _: COMMAND_LINE)
    layer = completed(layer, environ)
    layer = with_absolute_files(layer, lambda path: _folder_of(layer, name, path), environ)
    return layer, [*problems, *more]


def _read_file(name: str | None) -> tuple[Layer, list[Problem]]:
    if name is None:
        return Layer(), []
    try:
        text = FilePath(name).read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        return Layer(), [Problem(name, "", "not UTF-8 text")]
    except OSError as error:
        return Layer(), [Problem(name, "", f"cannot be read: {error.strerror}")]
    return read_document(text, name)


def _checked(
    layer: Layer,
    problems: list[Problem],
    name: str | None,
    environ: Mapping[str, str],
    services: Collection[str] | None,
) -> Loaded:
    findings = Findings()
    values = checked(layer.values, shape(), (), findings)
    settings = _tidied(as_settings(values), environ)
    if looks_secret(settings.bus.url or "") and layer.origin(("bus", "url")).source == name:
        findings.add(("bus", "url"), PASSWORD_IN_FILE)
    for at, sink in enumerate(settings.records):
        if looks_secret(sink.url) and layer.origin(("records", at, "url")).source == name:
            findings.add(("records", at, "url"), PASSWORD_OF_SINK)
    for path, what in (*broken_rules(settings, findings), *extra_rules(settings.traces, services)):
        if not findings.covers(path):
            findings.add(path, what)
    secrets = resolved(values, services, environ, findings)
    asks_clients = services is None or "ingress" in services
    keys, more = _keys(settings.ingress.keys if asks_clients else None, secrets)
    opening, others = _keys(settings.dashboard.keys or settings.ingress.keys, secrets)
    problems = [*problems, *_located(findings, layer), *more, *(one for one in others if one not in more)]
    if problems:
        raise ConfigError(sorted(problems, key=_place))
    return Loaded(settings, secrets, keys, opening, layer, name)


def _located(findings: Findings, layer: Layer) -> Iterator[Problem]:
    for path, what in findings.found.items():
        yield Problem(str(layer.origin(path)), key_text(path), scrub(what))


def _place(problem: Problem) -> tuple[str, int]:
    source, _, line = problem.where.rpartition(":")
    return (source, int(line)) if line.isdigit() else (problem.where, 0)


def _folder_of(layer: Layer, name: str | None, path: Path) -> str:
    """What a relative path is relative to: the file's folder for what stands in the file, else this one."""
    return os.path.dirname(name) if name and layer.origin(path).source == name else ""


def _tidied(settings: Settings, environ: Mapping[str, str]) -> Settings:
    """Addresses without a slash at the end, the database's path without `~`."""
    providers = {
        name: msgspec.structs.replace(provider, base_url=provider.base_url.rstrip("/"))
        for name, provider in settings.providers.items()
    }
    records = tuple(msgspec.structs.replace(sink, url=_sqlite_url(sink.url, environ)) for sink in settings.records)
    return msgspec.structs.replace(settings, providers=providers, records=records)


def _sqlite_url(url: str, environ: Mapping[str, str]) -> str:
    path = url.removeprefix("sqlite:///")
    return f"sqlite:///{expanded(path, environ)}" if path.startswith("~/") and path != url else url


def _keys(reference: str | None, secrets: Secrets) -> tuple[ClientKeys | None, list[Problem]]:
    if reference is None or reference not in secrets:
        return None, []
    try:
        return parse_client_keys(secrets.get(reference).reveal(), reference.removeprefix("file:")), []
    except ConfigError as error:
        return None, list(error.problems)
