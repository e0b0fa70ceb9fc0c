"""What stands where nothing was said."""

from __future__ import annotations

import os.path
from collections.abc import Iterator, Mapping
from typing import Any

from shared.config.layers import DEFAULT, Layer, Origin, at, with_value
from shared.config.proxy_environment import (
    ENSURE_ATTEMPTS,
    MOONSHOT_URL,
    attempts_default,
    google_defaults,
    models_of,
    providers_of,
)
from shared.config.traces import with_endpoint
from shared.config.vertex import vertex_url

BASE_URLS = {
    "moonshot": MOONSHOT_URL,
    "openrouter": "https://openrouter.ai/api/v1",
    "anthropic": "https://api.anthropic.com",
}
HOME = "~/.moontide"


def with_providers(layer: Layer, environ: Mapping[str, str]) -> Layer:
    """Without providers there are those that the environment names, and Moonshot."""
    if layer.values.get("providers") is not None:
        return layer
    providers = providers_of(environ)
    layer = _said(layer, ("providers",), providers)
    if layer.values.get("models") is None and len(providers) > 1:
        layer = _said(layer, ("models",), models_of(environ, providers))
    return layer


def completed(layer: Layer, environ: Mapping[str, str]) -> Layer:
    """The layer with all that depends on what was said: addresses, models, the place of the records."""
    layer = _with_home(layer, environ)
    for name, provider in _mapping(layer, "providers").items():
        if isinstance(provider, dict):
            for key, value in _provider_defaults(provider, environ):
                layer = _said(layer, ("providers", name, key), value)
    if layer.values.get("models") is None:
        first = next(iter(_mapping(layer, "providers")), "moonshot")
        layer = _said(layer, ("models",), {"*": {"targets": [{"provider": first}]}})
    layer = with_endpoint(_with_attempts(layer, environ), environ)
    if layer.values.get("records") is None:
        url = f"sqlite:///{layer.values['home']}/records.db"
        layer = _said(layer, ("records",), [{"url": url}])
    return layer


def _provider_defaults(provider: Mapping[str, Any], environ: Mapping[str, str]) -> Iterator[tuple[str, Any]]:
    """What a provider of its kind says, unless it says otherwise."""
    kind = provider.get("kind")
    if kind == "vertex":
        found = dict(google_defaults(provider, environ))
        yield from found.items()
        project, location = found.get("project", provider.get("project")), provider.get("location", "global")
        if "base_url" not in provider and isinstance(project, str) and isinstance(location, str):
            yield "base_url", vertex_url(project, location)
    elif "base_url" not in provider and isinstance(kind, str) and kind in BASE_URLS:
        yield "base_url", BASE_URLS[kind]


def _with_attempts(layer: Layer, environ: Mapping[str, str]) -> Layer:
    """kimi-proxy's variable, for models that end turns in a tool call and don't say how often they are asked."""
    attempts = attempts_default(environ)
    for name, model in _mapping(layer, "models").items() if attempts is not None else ():
        ensure = model.get("ensure_tool_call") if isinstance(model, dict) else None
        if isinstance(ensure, dict) and "max_attempts" not in ensure:
            path = ("models", name, "ensure_tool_call", "max_attempts")
            layer = with_value(layer, path, attempts, {path: Origin(ENSURE_ATTEMPTS)})
    return layer


def _with_home(layer: Layer, environ: Mapping[str, str]) -> Layer:
    home = layer.values.get("home")
    if isinstance(home, str) and home:
        return with_value(layer, ("home",), expanded(home, environ), {("home",): layer.origin(("home",))})
    return _said(layer, ("home",), expanded(HOME, environ)) if home is None else layer


def expanded(path: str, environ: Mapping[str, str]) -> str:
    """The path, absolute, with `~` replaced by the user's home directory."""
    if path == "~" or path.startswith("~/"):
        user_home = environ.get("HOME") or os.path.expanduser("~")
        path = user_home + path[1:]
    return os.path.abspath(path)


def _mapping(layer: Layer, key: str) -> dict[str, Any]:
    value = at(layer.values, (key,))
    return value if isinstance(value, dict) else {}


def _said(layer: Layer, path: tuple[str, ...], value: Any) -> Layer:
    return with_value(layer, path, value, {path: DEFAULT})
