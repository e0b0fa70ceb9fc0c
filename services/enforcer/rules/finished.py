"""The answer to a conversation that ends in the model's finished turn: that turn, and no call is made."""

from __future__ import annotations

from typing import Any

import msgspec

from services.enforcer.rules.calls import Calls
from services.enforcer.rules.final_answer import FinalAnswer
from services.enforcer.rules.message import SEPARATOR
from shared.whole_answers import as_stream

Json = dict[str, Any]
NO_TOKENS = {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}


def finish_reason(message: Json, ending: str | None) -> str:
    return "tool_calls" if _calls(message).but(ending) else "stop"


def answer(message: Json, ending: str | None, envelope: Json) -> bytes:
    """As an event stream; a call of the tool `ending` becomes content."""
    calls = _calls(message)
    kept = calls.but(ending)
    finals = [_final(call.arguments) for call in calls.but(None) if call not in kept]
    content = message.get("content")
    texts = [text for text in (content if isinstance(content, str) else "", *finals) if text]
    said: Json = {"role": "assistant", "content": SEPARATOR.join(texts) or None}
    if kept:
        said["tool_calls"] = [call.as_json() for call in kept]
    choice = {"index": 0, "message": said, "finish_reason": finish_reason(message, ending)}
    return as_stream(msgspec.json.encode({**envelope, "choices": [choice], "usage": NO_TOKENS}))


def _calls(message: Json) -> Calls:
    calls = Calls()
    for index, call in enumerate(message.get("tool_calls") or ()):
        if isinstance(call, dict):
            calls.take({**call, "index": index})
    return calls


def _final(arguments: str) -> str:
    final = FinalAnswer()
    return final.feed(arguments) + final.finish()
