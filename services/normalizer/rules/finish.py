"""Why an answer ended, in the words that OpenAI's clients know: stop, length, tool_calls, content_filter."""

from __future__ import annotations

from typing import Any

from services.normalizer.rules.catalog import Repairs

_KNOWN = frozenset({"stop", "length", "tool_calls", "content_filter"})
_WORDS = {
    "max_tokens": "length",
    "max_output_tokens": "length",
    "model_length": "length",
    "max_length": "length",
    "context_length": "length",
    "model_context_window_exceeded": "length",
    "pause_turn": "length",
    "repeat": "length",  # Moonshot: a loop that was stopped
    "repetition": "length",
    "error": "length",  # OpenRouter, engines: the answer is not complete
    "abort": "length",
    "cancelled": "length",
    "insufficient_system_resource": "length",
    "tool_use": "tool_calls",
    "tool_call": "tool_calls",
    "function_call": "tool_calls",
    "function_calls": "tool_calls",
    "safety": "content_filter",
    "sensitive": "content_filter",
    "refusal": "content_filter",
    "recitation": "content_filter",
    "content_filtered": "content_filter",
}
_KEPT_BESIDE_CALLS = ("length", "content_filter")


def said_reason(given: object) -> str | None:
    """The provider's reason as one of the known words; None where there was none."""
    if not isinstance(given, str) or not given:
        return None
    word = given.strip().lower()
    return word if word in _KNOWN else _WORDS.get(word, "stop")


def final_reason(given: Any, called: bool, repairs: Repairs) -> Any:
    """The reason that goes out, by the provider's and by whether there are calls. It is one of the known words, or
    what the provider sent, of whatever type, where the repair is off that would change it."""
    right = _right(said_reason(given), called)
    if given is None or given == "":
        return right if repairs.make("finish_reason_added") else given
    if right != given and not repairs.make("finish_reason_mapped"):
        return given
    return right


def _right(said: str | None, called: bool) -> str:
    if called:
        return said if said in _KEPT_BESIDE_CALLS else "tool_calls"
    return "stop" if said in (None, "tool_calls") else str(said)
