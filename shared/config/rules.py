"""What no type can say: rules that look at several keys, or at a text's form."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator
from fnmatch import fnmatchcase

import msgspec

from shared.config.addresses import HEADER, is_url
from shared.config.kinds import kind_rules, missing_url
from shared.config.layers import Path
from shared.config.models import entry_of
from shared.config.schema import Findings, closest, literal_refused
from shared.config.settings import Model, Provider, Route, Settings, Target
from shared.config.sinks import recorder_rules, sink_rules
from shared.config.traces import traces_rules
from shared.secrets import is_reference, is_secret_name

ROOT = re.compile(r"[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*")
NAME = re.compile(r"[A-Za-z0-9_-]+")  # a provider's name is a token of a subject
FINISH_REASON = re.compile(r"[A-Za-z0-9_-]{1,64}")
HOST_NAME = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_.-]{0,252}[A-Za-z0-9_])?")
TOOL = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,47}")  # `moontide_` and a number still fit before and behind it
BUS_SCHEMES = ("nats", "tls", "ws", "wss")

Finding = tuple[Path, str]


def broken_rules(settings: Settings, known: Findings) -> Iterator[Finding]:
    """Everything else that is wrong, with its place; `known` is what the types found."""
    yield from _bus(settings)
    yield from sink_rules(settings.records)
    yield from recorder_rules(settings.recorder)
    yield from _ingress(settings)
    yield from _dashboard(settings)
    yield from traces_rules(settings.traces)
    if not settings.providers:
        yield ("providers",), "at least one is needed"
    for name, provider in settings.providers.items():
        yield from _provider(("providers", name), provider, known)
    yield from _models(settings)
    yield from _routes(settings)


def is_loopback(host: str) -> bool:
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def _bus(settings: Settings) -> Iterator[Finding]:
    if not ROOT.fullmatch(settings.bus.root):
        yield ("bus", "root"), "must be letters, digits, - and _, in parts separated by dots"
    for url in (settings.bus.url or "").split(",") if settings.bus.url is not None else ():
        if not is_url(url.strip(), BUS_SCHEMES):
            yield ("bus", "url"), "must be nats://host:port (or tls, ws, wss), several separated by commas"


def _ingress(settings: Settings) -> Iterator[Finding]:
    host = settings.ingress.host
    if not host:
        yield ("ingress", "host"), "has no value; 127.0.0.1 for this machine, 0.0.0.0 for others too"
    elif settings.ingress.keys is None and not is_loopback(host):
        yield (
            ("ingress", "host"),
            f"{host} can be reached from other machines, so clients must have keys: "
            "set ingress.keys (keys: file:/run/secrets/client-keys.yaml), or host to 127.0.0.1",
        )


def _dashboard(settings: Settings) -> Iterator[Finding]:
    """Whoever reaches it reads every exchange."""
    host = settings.dashboard.host
    if not host:
        yield ("dashboard", "host"), "has no value; 127.0.0.1 for this machine, 0.0.0.0 for others too"
    elif settings.dashboard.keys is None and settings.ingress.keys is None and not is_loopback(host):
        yield (
            ("dashboard", "host"),
            f"{host} can be reached from other machines, so whoever looks must have a key: "
            "set dashboard.keys (keys: file:/run/secrets/operator-keys.yaml), or host to 127.0.0.1",
        )
    for at, name in enumerate(settings.dashboard.hosts):
        if not HOST_NAME.fullmatch(name):
            yield ("dashboard", "hosts", at), "a host's name, without a scheme and a port: moontide.example"


def _provider(path: Path, provider: Provider, known: Findings) -> Iterator[Finding]:
    if not NAME.fullmatch(str(path[-1])):
        yield path, "a provider's name is letters, digits, - and _"
    if not provider.base_url and not known.covers((*path, "kind")):
        yield (
            (*path, "base_url"),
            missing_url(provider),
        )
    elif provider.base_url and not is_url(provider.base_url, ("http", "https")):
        yield (*path, "base_url"), "must be http://host/path or https://host/path, without a query"
    for name, value in msgspec.structs.asdict(provider.timeouts).items():
        if value <= 0:
            yield (*path, "timeouts", name), "must be a number above 0"
    yield from kind_rules(path, provider)
    yield from _headers(path, provider)
    yield from _globs((*path, "serves"), provider.serves)


def _headers(path: Path, provider: Provider) -> Iterator[Finding]:
    for name, value in provider.headers.items():
        place = (*path, "headers", name)
        if not HEADER.fullmatch(name):
            yield place, "not a header's name"
        elif is_secret_name(name) and not is_reference(value):
            yield place, literal_refused(place)
        elif not value.isprintable():
            yield place, "a header's value has no line ends and no control characters"


def _globs(path: Path, globs: tuple[str, ...]) -> Iterator[Finding]:
    for at, glob in enumerate(globs):
        if not glob.strip():
            yield (*path, at), "is empty; * is everything"


def _models(settings: Settings) -> Iterator[Finding]:
    if not settings.models:
        yield ("models",), 'at least one is needed; "*" is every model'
    first: dict[str, str] = {}
    for name, model in settings.models.items():
        path = ("models", name)
        if not name.strip():
            yield path, "a model's name or glob is empty; * is everything"
        if not FINISH_REASON.fullmatch(model.repeat.finish_reason):
            yield (*path, "repeat", "finish_reason"), "must be a word of letters, digits, - and _"
        if model.ensure_tool_call and not TOOL.fullmatch(model.ensure_tool_call.termination_tool):
            yield (*path, "ensure_tool_call", "termination_tool"), "must be a tool's name: letters, digits, - and _"
        if first.setdefault(name.lower(), name) != name:
            yield path, f"means the same as {first[name.lower()]}: capitals make no difference"
        yield from _model(path, model, settings)


def _model(path: Path, model: Model, settings: Settings) -> Iterator[Finding]:
    if not model.targets:
        yield (*path, "targets"), "at least one is needed: [{provider: name}]"
    for at, target in enumerate(model.targets):
        yield from _target((*path, "targets", at), target, settings)
    for name in model.force.keys() & set(model.drop):
        yield (*path, "drop"), f"{name} is also in force; it can be one of them"


def _routes(settings: Settings) -> Iterator[Finding]:
    for at, route in enumerate(settings.routes):
        yield from _route(("routes", at), route, settings)


def _route(path: Path, route: Route, settings: Settings) -> Iterator[Finding]:
    if route.provider is None and route.model is None:
        yield path, "must name a provider, a model, or both"
    if route.provider is not None and route.provider not in settings.providers:
        hint = closest(route.provider, settings.providers) or f"; there are: {', '.join(settings.providers) or 'none'}"
        yield (*path, "provider"), f"no provider is called {route.provider}{hint}"
    elif route.provider is None and route.model is not None and entry_of(settings, route.model) is None:
        yield (*path, "model"), f"no entry of models matches {route.model}"
    for name in route.when.header:
        if is_secret_name(name):
            yield (*path, "when", "header", name), "may hold a secret and is not looked at; use ingress.keys and client"


def _target(path: Path, target: Target, settings: Settings) -> Iterator[Finding]:
    provider = settings.providers.get(target.provider)
    if provider is None:
        known = ", ".join(settings.providers) or "none"
        hint = closest(target.provider, settings.providers) or f"; there are: {known}"
        yield (*path, "provider"), f"no provider is called {target.provider}{hint}"
    elif target.model and provider.serves and not _is_served(target.model, provider):
        yield (*path, "model"), f"provider {target.provider} serves only {', '.join(provider.serves)}"


def _is_served(model: str, provider: Provider) -> bool:
    return any(fnmatchcase(model.lower(), glob.lower()) for glob in provider.serves)
