"""The one message that the client gets, whatever number of calls it is made of: events of a canonical stream.

* Every event has the first call's id, model and time; the role is said once.
* What one segment (an attempt's content, a final answer) says is parted from what the one before it said by a blank
  line, for each field on its own. A call that goes on with a text says the same segment.
* Tool calls are numbered from 0 over the whole message.
"""

from __future__ import annotations

from typing import Any

import msgspec

from services.enforcer.rules.calls import Call
from shared.contracts import Usage
from shared.sse import event
from shared.usage import add_to, usage_json

Json = dict[str, Any]
SEPARATOR = "\n\n"
OBJECT = "chat.completion.chunk"


class Message:
    def __init__(self) -> None:
        self._envelope: Json = {}
        self._has_role = False
        self._segments: dict[str, object] = {}  # by field: which one spoke last
        self._indexes: dict[tuple[int, int], int] = {}  # of attempt and index to those of the message

    def learn(self, chunk: Json) -> None:
        """The envelope of the first chunk is everyone's."""
        if not self._envelope:
            self._envelope = {name: value for name, value in chunk.items() if name not in ("choices", "usage")}

    @property
    def has_begun(self) -> bool:
        return self._has_role

    @property
    def calls(self) -> int:
        """How many went out."""
        return len(self._indexes)

    @property
    def has_content(self) -> bool:
        return "content" in self._segments

    def passes(self, chunk: Json, field: str, segment: object) -> bool:
        """Notes an event that goes out as it came; whether it may."""
        if any(chunk.get(name) != value for name, value in self._envelope.items()):
            return False
        if self._segments.get(field, segment) != segment:
            return False
        self._segments[field] = segment
        self._has_role = True
        return True

    def opens(self) -> bool:
        """Notes an opening event that goes out as it came; whether it is the first."""
        first, self._has_role = not self._has_role, True
        return first

    def begin(self) -> bytes:
        return b"" if self._has_role else self._delta({"content": ""})

    def text(self, field: str, text: str, segment: object) -> bytes:
        if not text:
            return b""
        if self._segments.get(field, segment) != segment:
            text = SEPARATOR + text
        self._segments[field] = segment
        return self._delta({field: text})

    def other(self, delta: Json) -> bytes:
        """Whatever else an answer may hold: a refusal, annotations."""
        return self._delta(delta)

    def call(self, attempt: int, index: int, call: Call, piece: str) -> bytes:
        """A piece of a call that is passed on while it arrives."""
        number = self._indexes.get((attempt, index))
        if number is not None:
            return self._delta(_fragment(number, {"function": {"arguments": piece}})) if piece else b""
        number = self._indexes[attempt, index] = len(self._indexes)
        opening = {"id": call.id, "type": call.kind, "function": {"name": call.name, "arguments": ""}}
        out = self._delta(_fragment(number, opening))
        said = call.arguments  # its name may have come after a piece of them
        return out + (self._delta(_fragment(number, {"function": {"arguments": said}})) if said else b"")

    def finish(self, reason: str, extra: Json, spent: Usage | None, mark: Json) -> bytes:
        """`extra` is what else the provider's finish frame says; the tokens of earlier calls are added to its own."""
        choice = {"index": 0, "delta": {}, **extra, "finish_reason": reason}
        if isinstance(choice.get("usage"), dict) and spent is not None:
            choice["usage"] = _summed(choice["usage"], spent)
        return self.begin() + self._event({"choices": [choice], **mark})

    def usage(self, told: Json | None, spent: Usage | None, total: Usage | None) -> bytes:
        """`told` is the provider's own account of the last call; without one the `total` is told as it is."""
        counted = _summed(told, spent) if told is not None and spent is not None else told or usage_json(total)
        return b"" if counted is None else self._event({"choices": [], "usage": counted})

    def _delta(self, delta: Json) -> bytes:
        if not self._has_role:
            self._has_role = True
            delta = {"role": "assistant", **delta}
        return self._event({"choices": [{"index": 0, "delta": delta, "finish_reason": None}]})

    def _event(self, fields: Json) -> bytes:
        return event(msgspec.json.encode({"object": OBJECT, **self._envelope, **fields}))


def _fragment(number: int, said: Json) -> Json:
    return {"tool_calls": [{"index": number, **said}]}


def _summed(told: Json, spent: Usage) -> Json:
    usage: Json = msgspec.json.decode(msgspec.json.encode(told))
    add_to(usage, spent)
    return usage
