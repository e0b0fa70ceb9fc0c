"""Exchanges as lines of JSON that others train and test with.

openai  a conversation with its answer, as OpenAI's fine-tuning takes it: messages, tools, parallel_tool_calls
k2vv    a request body, as the K2 vendor verifier's dataset holds it: it sets the model, sends each line to a vendor
        and checks the tool calls that come back. It hands the fields to OpenAI's SDK by name, so that only those
        that the SDK knows may stand there.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from shared.records.answers import understood
from shared.records.exports.whole import Whole

Json = dict[str, Any]

FIELDS: Mapping[str, frozenset[str]] = {
    "system": frozenset({"role", "content", "name"}),
    "developer": frozenset({"role", "content", "name"}),
    "user": frozenset({"role", "content", "name"}),
    "assistant": frozenset({"role", "content", "name", "refusal", "tool_calls", "weight"}),
    "tool": frozenset({"role", "content", "tool_call_id"}),
}
"""What a message may hold, by role (OpenAI's chat format)."""

SDK_FIELDS = frozenset(
    {
        "frequency_penalty",
        "logit_bias",
        "logprobs",
        "max_completion_tokens",
        "max_tokens",
        "messages",
        "metadata",
        "model",
        "n",
        "parallel_tool_calls",
        "presence_penalty",
        "reasoning_effort",
        "response_format",
        "seed",
        "stop",
        "stream",
        "stream_options",
        "temperature",
        "tool_choice",
        "tools",
        "top_logprobs",
        "top_p",
        "user",
    }
)
"""What `chat.completions.create` takes by name."""


class LeftOut(Exception):
    """The exchange has no place in that file. The text says why."""


def openai_line(whole: Whole) -> bytes:
    """The conversation, the answer last; what the model thought has no place in this shape. Raises LeftOut."""
    body = _request(whole)
    messages = [_message(message) for message in body["messages"]]
    line: Json = {"messages": [*messages, _message(_answer(whole))]}
    for name in ("tools", "parallel_tool_calls"):
        if body.get(name):
            line[name] = body[name]
    return msgspec.json.encode(line) + b"\n"


def k2vv_line(whole: Whole) -> bytes:
    """The request; raises LeftOut where it offered no tools, for there would be nothing to verify."""
    body = _request(whole)
    if not body.get("tools"):
        raise LeftOut("it offered no tools")
    return msgspec.json.encode({name: value for name, value in body.items() if name in SDK_FIELDS}) + b"\n"


def _request(whole: Whole) -> Json:
    part = whole.canonical_request
    body = understood(part.data, None) if part else None
    if not isinstance(body, dict) or not isinstance(body.get("messages"), list):
        raise LeftOut("it is no chat completion")
    if not all(isinstance(message, dict) for message in body["messages"]):
        raise LeftOut("its messages are no objects")
    return body


def _answer(whole: Whole) -> Json:
    part = whole.canonical_answer
    if whole.exchange["outcome"] not in ("complete", "stopped") or part is None:
        raise LeftOut("it has no whole answer")
    answer = understood(part.data, part.content_type)
    choices = answer.get("choices") if isinstance(answer, dict) else None
    message = choices[0].get("message") if isinstance(choices, list) and choices else None
    if not isinstance(message, dict) or not (message.get("content") or message.get("tool_calls")):
        raise LeftOut("its answer says nothing")
    return {**message, "role": "assistant"}


def _message(message: Json) -> Json:
    fields = FIELDS.get(message.get("role", ""))
    if fields is None:
        raise LeftOut(f"a message has the role {message.get('role')!r}")
    kept = {name: value for name, value in message.items() if name in fields and value is not None}
    if message["role"] != "assistant":
        return {"role": message["role"], "content": "", **kept}
    if kept.get("tool_calls"):
        kept["tool_calls"] = [_call(call) for call in kept["tool_calls"]]
    else:
        kept.pop("tool_calls", None)
    return {"role": "assistant", "content": None if kept.get("tool_calls") else "", **kept}


def _call(call: Any) -> Json:
    function = call.get("function") if isinstance(call, dict) else None
    if not isinstance(function, dict):
        raise LeftOut("a tool call is no function call")
    said = {"name": function.get("name"), "arguments": function.get("arguments") or "{}"}
    return {"id": call.get("id") or "", "type": "function", "function": said}
