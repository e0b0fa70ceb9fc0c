"""Where a request goes: the first rule of `routes` that fits it, else the entry of `models` that its model means.

Ingress and upstream workers both ask here, with the same settings and the same facts, and so agree.
"""

from __future__ import annotations

from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import NamedTuple

import msgspec

from shared.config.models import entry_of, is_served, model_for
from shared.config.settings import Model, Route, Settings, Target, When

PROVIDER_HEADER = "x-moontide-provider"
"""Names the provider that a request is for, whatever `models` and `routes` say. Whether a client may send it is the
ingress's affair (`ingress.clients_choose_provider`)."""


class Decision(NamedTuple):
    """Where a request goes, and because of what."""

    model: Model  # every target has its `model` filled in, and its provider serves that
    key: str  # what the turns of its strategy are counted by
    why: str  # `routes[0]`, `models.kimi-*`
    is_routed: bool  # by a rule of `routes`


def decide(settings: Settings, name: str, client: str | None, headers: Mapping[str, str]) -> Decision | None:
    """None where nobody serves the model. `headers` have lower-case names."""
    if PROVIDER_HEADER in headers:
        return _chosen(settings, name, headers[PROVIDER_HEADER])
    for number, route in enumerate(settings.routes):
        if _fits(route.when, name, client, headers):
            model = _routed(settings, route, name)
            if model is not None:
                return Decision(model, f"routes[{number}]", f"routes[{number}]", True)
    match = model_for(settings, name)
    return None if match is None else Decision(match.model, match.key, f"models.{match.key}", False)


def may_be_continued(settings: Settings, model: Model) -> bool:
    """Whether a stream of this model that breaks can go on at one of its targets."""
    return any(settings.providers[target.provider].continues_text for target in model.targets)


def provider_by_route(
    settings: Settings, name: str | None, client: str | None, headers: Mapping[str, str]
) -> str | None:
    """The provider of a request that is handed through, where a rule names one."""
    if headers.get(PROVIDER_HEADER) in settings.providers:
        return headers[PROVIDER_HEADER]
    fitting = (route.provider for route in settings.routes if _fits(route.when, name or "", client, headers))
    for provider in fitting:
        if provider and (name is None or is_served(settings, Target(provider=provider, model=name))):
            return provider
    return None


def _chosen(settings: Settings, name: str, provider: str) -> Decision | None:
    model = _routed(settings, Route(provider=provider), name) if provider in settings.providers else None
    return None if model is None else Decision(model, PROVIDER_HEADER, PROVIDER_HEADER, True)


def _fits(when: When, name: str, client: str | None, headers: Mapping[str, str]) -> bool:
    return (
        _matches(when.model, name)
        and _matches(when.client, client or "")
        and all(_matches(glob, headers.get(header.lower(), "")) for header, glob in when.header.items())
    )


def _matches(glob: str | None, text: str) -> bool:
    return glob is None or fnmatchcase(text.lower(), glob.lower())


def _routed(settings: Settings, route: Route, name: str) -> Model | None:
    """The model as the route has it; None where its provider doesn't serve that, so that other rules decide."""
    name = route.model or name
    if route.provider is None:
        match = model_for(settings, name)
        return None if match is None else match.model
    entry = entry_of(settings, name) or Model(targets=())
    own = tuple(target for target in entry.targets if target.provider == route.provider)
    named = (target if target.model else msgspec.structs.replace(target, model=name) for target in own)
    targets = tuple(named) or (Target(provider=route.provider, model=name),)
    served = tuple(target for target in targets if is_served(settings, target))
    return msgspec.structs.replace(entry, targets=served) if served else None
