"""What was heard of a call to what the client gets of it, in a stream that goes out as it comes."""

from __future__ import annotations

from collections.abc import Iterable

from services.enforcer.rules.attempt import FINAL, Part, Piece, Text
from services.enforcer.rules.message import Message
from services.enforcer.rules.reading import Heard
from shared.sse import event

SPEAKING = ("content", "reasoning_content", "tool_calls")


class Voice:
    """Nothing goes out where it is `mute`, but errors."""

    def __init__(self, message: Message, *, mute: bool) -> None:
        self._message = message
        self._mute = mute
        self.attempt = 1
        self.segment = 0

    def say(self, heard: Heard) -> bytes:
        if heard.is_error:
            return event(heard.payload)
        self._message.learn(heard.chunk)
        if not self._mute and heard.only_speaks and self._passes(heard):
            return event(heard.payload)
        return self.parts(heard.parts)

    def parts(self, parts: Iterable[Part]) -> bytes:
        return b"" if self._mute else b"".join(map(self._part, parts))

    def _part(self, part: Part) -> bytes:
        match part:
            case Text(field, text, source):
                return self._message.text(field, text, (self.segment, source))
            case Piece(index, call, piece):
                return self._message.call(self.attempt, index, call, piece)
        return self._message.other(part.delta)

    def _passes(self, heard: Heard) -> bool:
        """Whether an event can go out as it came: the way of nearly all."""
        if not heard.parts:
            return "role" in heard.delta and not any(map(heard.delta.get, SPEAKING)) and self._message.opens()
        part = heard.parts[0]
        if len(heard.parts) > 1 or not isinstance(part, Text) or part.source == FINAL:
            return False
        said = {name: value for name, value in heard.delta.items() if value is not None and name != "role"}
        if said != {part.field: part.text} or ("role" in heard.delta) == self._message.has_begun:
            return False
        return self._message.passes(heard.chunk, part.field, (self.segment, part.source))
