"""What kimi-proxy's variables say, so that it can be replaced without a file: providers, where the configuration names
none, and how often a turn is asked."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

MOONSHOT_URL = "https://api.moonshot.ai/v1"
MOONSHOT_KEY = "MOONSHOT_API_KEY"
OPENAI_URL = "https://api.openai.com/v1"
GOOGLE_CREDENTIALS = "GOOGLE_APPLICATION_CREDENTIALS"
GOOGLE_PROJECTS = ("VERTEX_PROJECT_ID", "GOOGLE_CLOUD_PROJECT")
ENSURE_ATTEMPTS = "ENSURE_TOOL_CALL_MAX_ATTEMPTS"
MOST_ATTEMPTS = 5

Environ = Mapping[str, str]
Provider = dict[str, Any]


def providers_of(environ: Environ) -> dict[str, Provider]:
    """Moonshot always, with the client's own key where there is none; the others where a variable names them."""
    found = {name: provider for name, make in _MAKERS.items() if (provider := make(environ))}
    return {"moonshot": _moonshot(environ), **found}


def models_of(environ: Environ, providers: Mapping[str, Any]) -> dict[str, Any]:
    """Names that tell whose they are go there; every other name to the first that can have been meant for Kimi."""
    kimis = [name for name in ("openai", "openrouter", "vertex") if name in providers]
    if not _said(environ, "OPENAI_BASE_URL"):
        kimis = [name for name in kimis if name != "openai"]
    default = kimis[0] if kimis and not _said(environ, MOONSHOT_KEY) else "moonshot"
    named = {glob: name for glob, name in _GLOBS.items() if name in providers}
    return {glob: {"targets": [{"provider": name}]} for glob, name in {**named, "*": default}.items()}


_GLOBS = {"claude-*": "anthropic", "gpt-*": "openai", "*/*": "openrouter", "*-maas": "vertex"}


def _moonshot(environ: Environ) -> Provider:
    key = {"api_key": f"env:{MOONSHOT_KEY}"} if _said(environ, MOONSHOT_KEY) else {}
    return {"kind": "moonshot", "base_url": MOONSHOT_URL, **key}


def _openai(environ: Environ) -> Provider:
    url, key = _said(environ, "OPENAI_BASE_URL"), _reference(environ, "api_key", "OPENAI_API_KEY")
    return {"kind": "openai", "base_url": url or OPENAI_URL, **key} if url or key else {}


def _anthropic(environ: Environ) -> Provider:
    url, key = _said(environ, "ANTHROPIC_BASE_URL"), _reference(environ, "api_key", "ANTHROPIC_API_KEY")
    return {"kind": "anthropic", **({"base_url": url} if url else {}), **key} if url or key else {}


def _openrouter(environ: Environ) -> Provider:
    key = _reference(environ, "api_key", "OPENROUTER_API_KEY")
    lists = {"only": _list(environ, "OPENROUTER_PROVIDERS"), "order": _list(environ, "OPENROUTER_ORDER")}
    prefer = {name: values for name, values in lists.items() if values}
    return {"kind": "openrouter", **key, **({"prefer": prefer} if prefer else {})} if key else {}


def _vertex(environ: Environ) -> Provider:
    project, endpoint = _said(environ, "VERTEX_PROJECT_ID"), _said(environ, "VERTEX_CHAT_ENDPOINT")
    if not project and not endpoint:
        return {}
    said = {
        "project": project,
        "location": _said(environ, "VERTEX_LOCATION"),
        "base_url": endpoint.removesuffix("/").removesuffix("/chat/completions"),
    }
    return {
        "kind": "vertex",
        **{name: value for name, value in said.items() if value},
        **_reference(environ, "credentials", GOOGLE_CREDENTIALS),
    }


_MAKERS: dict[str, Callable[[Environ], Provider]] = {
    "openai": _openai,
    "openrouter": _openrouter,
    "vertex": _vertex,
    "anthropic": _anthropic,
}


def attempts_default(environ: Environ) -> str | int | None:
    """How often a turn is asked where the configuration leaves it out; more than allowed is as much as is allowed."""
    text = _said(environ, ENSURE_ATTEMPTS)
    return min(int(text), MOST_ATTEMPTS) if text.isdecimal() else text or None


def google_defaults(provider: Mapping[str, Any], environ: Environ) -> Iterator[tuple[str, str]]:
    """What Google's own variables say of a `vertex` provider that leaves it out."""
    project = next(filter(None, (_said(environ, name) for name in GOOGLE_PROJECTS)), None)
    if project and not {"project", "base_url"} & provider.keys():
        yield "project", project
    if not {"credentials", "api_key"} & provider.keys() and _said(environ, GOOGLE_CREDENTIALS):
        yield "credentials", f"env:{GOOGLE_CREDENTIALS}"


def _said(environ: Environ, name: str) -> str:
    return environ.get(name, "").strip()


def _reference(environ: Environ, key: str, name: str) -> Provider:
    return {key: f"env:{name}"} if _said(environ, name) else {}


def _list(environ: Environ, name: str) -> list[str]:
    return [part.strip() for part in environ.get(name, "").split(",") if part.strip()]
