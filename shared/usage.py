"""Tokens of several calls, as one account."""

from __future__ import annotations

from typing import Any

from shared.contracts import Usage

Json = dict[str, Any]


def add_to(usage: Json, more: Usage) -> None:
    """Adds to every count that the provider itself gives."""
    for name in ("prompt_tokens", "completion_tokens", "total_tokens", "cached_tokens"):
        if isinstance(usage.get(name), int):
            usage[name] += getattr(more, name)
    for group, name in (("prompt_tokens_details", "cached_tokens"), ("completion_tokens_details", "reasoning_tokens")):
        details = usage.get(group)
        if isinstance(details, dict) and isinstance(details.get(name), int):
            details[name] += getattr(more, name)


def usage_json(usage: Usage | None) -> Json | None:
    """Tokens as a provider would tell them."""
    if usage is None:
        return None
    counts: Json = {name: getattr(usage, name) for name in ("prompt_tokens", "completion_tokens", "total_tokens")}
    if usage.cached_tokens:
        counts["prompt_tokens_details"] = {"cached_tokens": usage.cached_tokens}
    if usage.reasoning_tokens:
        counts["completion_tokens_details"] = {"reasoning_tokens": usage.reasoning_tokens}
    return counts


def added(one: Usage, other: Usage | None) -> Usage:
    """The tokens of both."""
    if other is None:
        return one
    return Usage(**{name: getattr(one, name) + getattr(other, name) for name in Usage.__struct_fields__})
