"""Answers that come as one body."""

from __future__ import annotations

import json
from typing import Any

import msgspec

from services.normalizer.facts import RequestFacts
from services.normalizer.rules.answer import Engine
from services.normalizer.rules.arguments import encode
from services.normalizer.rules.catalog import Repairs
from services.normalizer.rules.fields import Delta
from services.normalizer.rules.surrogates import encoded
from shared.contracts import RepairSettings

DEFAULTS = RepairSettings()
_FIELDS = Delta.__struct_fields__


def repair_completion(
    body: bytes, facts: RequestFacts, settings: RepairSettings = DEFAULTS
) -> tuple[bytes, dict[str, int]]:
    """A chat completion repaired, and how often each repair was made.

    A body that needs no repair comes back as the same object, and so does one that is no completion (an
    error, HTML).
    """
    if not settings.enabled:
        return body, {}
    repairs = Repairs(settings.off)
    completion = _decoded(body, repairs)
    choices = completion.get("choices") if isinstance(completion, dict) else None
    choices = [c for c in choices if isinstance(c, dict)] if isinstance(choices, list) else []
    if not choices:
        return body, {}
    engine = Engine(facts, settings, repairs)
    changed = [_repair(choice, at, engine) for at, choice in enumerate(choices)]
    if "object" not in completion and repairs.make("object_added"):
        completion["object"] = "chat.completion"
        changed.append(True)
    if not any(changed) and not repairs.made.get("lone_surrogate_replaced"):
        return body, {}
    if not repairs.on("lone_surrogate_replaced"):
        return encoded(completion), dict(repairs.made)
    return encode(completion).encode(), dict(repairs.made)


def _decoded(body: bytes, repairs: Repairs) -> Any:
    """The body's JSON value, or None; text that Unicode does not allow is let through to be mended."""
    try:
        return msgspec.json.decode(body)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        pass
    try:
        text = body.decode("utf-8", "replace")
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if text.encode("utf-8", "replace") != body:
        repairs.make("lone_surrogate_replaced")
    return value


def _repair(choice: dict[str, Any], at: int, engine: Engine) -> bool:
    """Repair a choice in place; whether anything changed."""
    message = choice.get("message")
    if not isinstance(message, dict):
        return False
    state = engine.choice(choice.get("index", at), whole=True)
    delta = Delta(**{field: message.get(field) for field in _FIELDS})
    state.finish_reason = choice.get("finish_reason")
    deltas = state.feed(delta)
    last, reason = state.finish()
    made = _message(deltas + last)
    if not _differs(message, made, engine.repairs) and reason == choice.get("finish_reason"):
        return False
    _rewrite(message, made, engine.repairs)
    choice["finish_reason"] = reason
    return True


def _message(deltas: list[dict[str, Any]]) -> dict[str, Any]:
    """The message that deltas add up to."""
    texts = [delta["content"] for delta in deltas if isinstance(delta.get("content"), str)]
    content = "".join(texts)
    reasoning = "".join(delta.get("reasoning_content", "") for delta in deltas)
    calls: list[dict[str, Any]] = []
    for delta in deltas:
        for entry in delta.get("tool_calls", ()):
            if "id" in entry:
                calls.append({key: entry[key] for key in ("id", "type", "function")})
            else:
                calls[-1]["function"] = {**calls[-1]["function"], **entry["function"]}
    return {"content": content, "reasoning_content": reasoning, "tool_calls": calls}


def _differs(message: dict[str, Any], made: dict[str, Any], repairs: Repairs) -> bool:
    """Whether a message is not yet what it was made to be."""
    given = message.get("tool_calls") or []
    if not isinstance(given, list) or list(map(_told, given)) != list(map(_told, made["tool_calls"])):
        return True
    if message.get("function_call") or message.get("reasoning") or message.get("reasoning_details"):
        return True
    empty_beside_calls = message.get("content") == "" and bool(made["tool_calls"])
    nulled = empty_beside_calls and repairs.on("empty_content_nulled")
    return nulled or any((message.get(key) or "") != made[key] for key in ("content", "reasoning_content"))


def _told(call: Any) -> tuple[Any, ...]:
    """What a call says, apart from fields that only its provider knows."""
    function = call.get("function") if isinstance(call, dict) else None
    if not isinstance(function, dict):
        return ()
    return call.get("id"), call.get("type"), function.get("name"), function.get("arguments")


def _rewrite(message: dict[str, Any], made: dict[str, Any], repairs: Repairs) -> None:
    for field in ("reasoning", "reasoning_details") if repairs.on("reasoning_field_renamed") else ():
        message.pop(field, None)
    if repairs.on("legacy_function_call"):
        message.pop("function_call", None)
    message.setdefault("role", "assistant")
    if isinstance(message.get("content"), list) and not repairs.on("content_parts_joined"):
        made["content"] = message["content"]
    content = made["content"]
    if made["tool_calls"] and not content:
        content = "" if message.get("content") == "" and not repairs.make("empty_content_nulled") else None
    message["content"] = content
    if made["reasoning_content"] or "reasoning_content" in message:
        message["reasoning_content"] = made["reasoning_content"] or None
    message.pop("tool_calls", None)
    if made["tool_calls"]:
        message["tool_calls"] = made["tool_calls"]
