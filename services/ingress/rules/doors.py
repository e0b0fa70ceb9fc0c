"""Which dialect a caller speaks, by path and headers."""

from __future__ import annotations

from collections.abc import Mapping

CHAT_PATH = "/v1/chat/completions"
RESPONSES_PATH = "/v1/responses"
ANTHROPIC_VERSION = "anthropic-version"
ANTHROPIC_PATHS = "/v1/messages"
SHARED_PATHS = "/v1/models"


def speaks_anthropic(path: str, headers: Mapping[str, str]) -> bool:
    """Whether errors and lists have Anthropic's shape; both kinds of client ask `/v1/models`."""
    if path == ANTHROPIC_PATHS or path.startswith(f"{ANTHROPIC_PATHS}/"):
        return True
    asks_models = path == SHARED_PATHS or path.startswith(f"{SHARED_PATHS}/")
    names = {name.lower() for name in headers}
    return asks_models and (ANTHROPIC_VERSION in names or "x-api-key" in names)


def canonical_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """Those that are true of another body too. `routes` go by headers, so that the others stay as they are."""
    return {name: value for name, value in headers.items() if name not in ("content-length", "content-encoding")}
