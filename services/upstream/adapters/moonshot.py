"""Moonshot's own platform, international and mainland: OpenAI's protocol, with refusals of its own."""

from __future__ import annotations

from functools import lru_cache, partial
from typing import Any

import msgspec

from services.upstream.adapters.base import Recalled, Replays
from services.upstream.adapters.fields import Fields, Raws, objects
from services.upstream.adapters.kimi_models import EFFORTS, Family, family_of
from services.upstream.adapters.openai import OpenAI
from services.upstream.adapters.tool_schemas import acceptable
from services.upstream.history import Ids
from services.upstream.rules.sessions import is_named, session_of
from shared.config import Model
from shared.contracts import HttpRequest

FIXED = ("temperature", "top_p", "n", "presence_penalty", "frequency_penalty")
UNKNOWN = ("parallel_tool_calls", "seed", "top_k", "logit_bias", "functions", "function_call")
REMEMBERED_TOOLS = 512
INVENTED = " "
"""Stands in for reasoning that is lost for good: Moonshot wants some, and the least that it takes is a blank."""


CACHE_KEY = "prompt_cache_key"
CACHE_KEY_CHARACTERS = 32

NULL = msgspec.Raw(b"null")


class _Message(msgspec.Struct):
    """What decides whether a message has to change; most of it unread, for histories are long."""

    role: Any = None
    content: msgspec.Raw = NULL
    tool_calls: msgspec.Raw = NULL
    reasoning_content: msgspec.Raw = NULL
    reasoning: msgspec.Raw = NULL

    @property
    def makes_calls(self) -> bool:
        return self.role == "assistant" and bytes(self.tool_calls) not in (b"null", b"[]")


_decode_message = msgspec.json.Decoder(_Message).decode
_decode_raws = msgspec.json.Decoder(Raws).decode


class Moonshot(OpenAI):
    """OpenAI's protocol with headers of its own."""

    kept_headers = frozenset({"msh-request-id", "server-timing", "msh-cache", "x-msh-trace-id", "msh-context-cache-id"})
    hidden_headers = frozenset({"msh-uid", "msh-gid", "msh-org-id", "msh-project-id"})
    needs_key = True
    replays: Replays = "reasoning"

    def history_ids(self, model: str) -> Ids:
        """Its ids come back to it as it made them."""
        return "keep"

    def name_session(self, fields: Fields, request: HttpRequest, body: bytes, model: Model) -> None:
        """A hint for Moonshot's router, so that one conversation meets the same prefix cache. The client's own wins."""
        if CACHE_KEY in fields or CACHE_KEY in model.drop:
            return
        if model.strategy == "sticky" or is_named(request.headers):
            session = session_of(request.headers, body).hex()[:CACHE_KEY_CHARACTERS]
            fields.put(CACHE_KEY, session, "the conversation, for the prefix cache")

    def fit(self, fields: Fields, model: str, recalled: Recalled) -> None:
        family = family_of(model)
        fields.rename("max_tokens", "max_completion_tokens", "its older name here")
        if family.sampling_is_fixed:
            for name in FIXED:
                fields.drop(name, "fixed by the model")
        for name in UNKNOWN:
            fields.drop(name, "not known to Moonshot")
        thinks = _thinking(fields, family)
        _tool_choice(fields, family, thinks)
        fields.each("tools", _tool, "references put in place, types filled in")
        fields.each("messages", partial(_message, thinks=thinks, recalled=recalled), "made fit for Moonshot")


def _thinking(fields: Fields, family: Family) -> bool:
    """Says how much to think in the family's own words; whether the model is going to think."""
    effort = _effort(fields)
    if family.takes_effort:
        if effort is not None:
            fields.drop("reasoning", "said by reasoning_effort")
            fields.put("reasoning_effort", EFFORTS.get(effort, effort), "the nearest that the model knows")
        return True
    for name in ("reasoning_effort", "reasoning"):
        fields.drop(name, "not known to the model")
    if family.thinking != "switchable":
        return family.thinking == "always"
    if effort == "none" and "thinking" not in fields:
        fields.put("thinking", {"type": "disabled"}, "reasoning_effort was none")
    thinking = fields.value("thinking")
    return not (isinstance(thinking, dict) and thinking.get("type") == "disabled")


def _effort(fields: Fields) -> str | None:
    """`reasoning_effort`, also where it or `reasoning` is an object with an `effort`."""
    for name in ("reasoning_effort", "reasoning"):
        value = fields.value(name)
        effort = value.get("effort") if isinstance(value, dict) else value
        if isinstance(effort, str):
            return effort
    return None


def _tool_choice(fields: Fields, family: Family, thinks: bool) -> None:
    choice = fields.value("tool_choice")
    if isinstance(choice, dict) and thinks:
        name = _function_name(choice)
        tools = [tool for tool in objects(fields.value("tools")) if _function_name(tool) == name]
        if tools:
            fields.put("tools", tools, f"only {name}, as tool_choice asked for")
        choice = _put_choice(fields, "required", "a named function can't be asked of a model that thinks")
    if choice == "required" and not family.takes_required:
        _put_choice(fields, "auto", "`required` is not known to the model")


def _function_name(holder: dict[str, Any]) -> object:
    """The name in a tool, or in a choice of one."""
    match holder:
        case {"function": {"name": name}}:
            return name
    return None


def _put_choice(fields: Fields, choice: str, why: str) -> str:
    fields.put("tool_choice", choice, why)
    return choice


def _tool(at: int, raw: msgspec.Raw) -> object | None:
    return _acceptable_tool(bytes(raw))


@lru_cache(maxsize=REMEMBERED_TOOLS)
def _acceptable_tool(raw: bytes) -> object | None:
    """The tool as Moonshot takes it; None where it is fine. An agent offers the same ones again and again."""
    match msgspec.json.decode(raw):
        case {"function": {"parameters": dict(schema)} as function} as tool:
            made = acceptable(schema)
            return None if made is schema else {**tool, "function": {**function, "parameters": made}}
    return None


def _message(at: int, raw: msgspec.Raw, thinks: bool, recalled: Recalled) -> object | None:
    """The message as Moonshot takes it; None where it is fine already."""
    message = _decode_message(raw)
    changes: dict[str, object] = {}
    if message.role == "developer":
        changes["role"] = "system"
    if message.makes_calls and thinks and bytes(message.reasoning_content) == b"null":
        changes["reasoning_content"] = _reasoning(at, message, recalled)
    leaves_out_content = message.makes_calls and _is_empty_text(message.content)
    if not changes and not leaves_out_content:
        return None
    kept = _decode_raws(raw)
    if leaves_out_content:
        del kept["content"]
    return {**kept, **changes}


def _is_empty_text(content: msgspec.Raw) -> bool:
    """No text at all, or parts of which each is text without any. Null is fine as it is."""
    if bytes(content) == b'""':
        return True
    parts = msgspec.json.decode(content) if bytes(content).startswith(b"[") else None
    return isinstance(parts, list) and all(
        isinstance(part, dict) and part.get("type") == "text" and not part.get("text") for part in parts
    )


def _reasoning(at: int, message: _Message, recalled: Recalled) -> object:
    """What the model had thought: under another field's name, or remembered here; else a blank."""
    if bytes(message.reasoning).startswith(b'"'):
        return message.reasoning
    known = recalled[at].reasoning if at in recalled else None
    return INVENTED if known is None else known
