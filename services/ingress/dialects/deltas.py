"""A canonical event stream as what it says, piece by piece.

Moontide's own streams are regular. Those of a provider whose repair is switched off are not, and are read too: calls
without an index or all with the same one, ids and names that come again, reasoning under its other names, content in
parts, usage within a choice, events that are no JSON. Only the first choice is read: no other dialect knows several.
"""

from __future__ import annotations

from typing import Any

import msgspec

from shared.sse import SseParser

DONE = b"[DONE]"


class Said(msgspec.Struct, frozen=True):
    """The base of what a chunk can say."""


class Reasoning(Said, frozen=True):
    text: str


class Text(Said, frozen=True):
    text: str


class Declined(Said, frozen=True):
    """A piece of OpenAI's `refusal`."""

    text: str


class CallBegun(Said, frozen=True):
    call: int  # from 0 by 1
    id: str
    name: str


class Arguments(Said, frozen=True):
    call: int
    text: str


class Finished(Said, frozen=True):
    reason: str


class Counted(Said, frozen=True):
    usage: dict[str, Any]


class _Function(msgspec.Struct):
    name: str | None = None
    arguments: Any = None


class Call(msgspec.Struct):
    index: int | None = None
    id: str | None = None
    function: _Function | None = None


class _Delta(msgspec.Struct):
    content: str | list[Any] | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    refusal: str | None = None
    tool_calls: list[Call] | None = None
    function_call: _Function | None = None


class _Choice(msgspec.Struct):
    index: int | None = None
    delta: _Delta | None = None
    finish_reason: str | None = None
    usage: dict[str, Any] | None = None


class _Chunk(msgspec.Struct):
    choices: list[_Choice] | None = None
    usage: dict[str, Any] | None = None


_decode = msgspec.json.Decoder(_Chunk, strict=False).decode


class DeltaReader:
    """Feed it the bytes of a stream, cut anywhere."""

    def __init__(self) -> None:
        self.has_begun = False  # a first chunk came: an answer, not an error
        self._parser = SseParser()
        self._calls = CallIndex()

    def feed(self, data: bytes) -> list[Said]:
        return [said for payload in self._parser.feed(data) for said in self._read(payload)]

    def finish(self) -> list[Said]:
        """What a last event without its empty line says."""
        return [said for payload in self._parser.finish() for said in self._read(payload)]

    def _read(self, payload: bytes) -> list[Said]:
        if payload.strip() == DONE:
            return []
        try:
            chunk = _decode(payload)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return []
        said: list[Said] = []
        for choice in chunk.choices or ():
            self.has_begun = True
            if not choice.index:
                said += self._choice(choice)
        if chunk.usage:
            said.append(Counted(chunk.usage))
        return said

    def _choice(self, choice: _Choice) -> list[Said]:
        said = self._delta(choice.delta) if choice.delta is not None else []
        if choice.finish_reason:
            said.append(Finished(choice.finish_reason))
        if choice.usage:
            said.append(Counted(choice.usage))
        return said

    def _delta(self, delta: _Delta) -> list[Said]:
        said: list[Said] = []
        if reasoning := delta.reasoning_content or delta.reasoning:
            said.append(Reasoning(reasoning))
        if text := text_of(delta.content):
            said.append(Text(text))
        if delta.refusal:
            said.append(Declined(delta.refusal))
        for call in delta.tool_calls or ():
            said += self._calls.take(call)
        if delta.function_call is not None:
            said += self._calls.take(Call(index=0, function=delta.function_call))
        return said


class CallIndex:
    """Which call a fragment belongs to; calls are counted anew, from 0."""

    def __init__(self) -> None:
        self._ids: list[str] = []  # by our number
        self._ours: dict[int, int] = {}  # the provider's index -> our number

    def take(self, call: Call) -> list[CallBegun | Arguments]:
        said: list[CallBegun | Arguments] = []
        function = call.function or _Function()
        number = self._number(call, function)
        if number is None:
            number = len(self._ids)
            self._ids.append(call.id or f"call_{number}")
            self._ours[number if call.index is None else call.index] = number
            said.append(CallBegun(number, self._ids[number], function.name or ""))
        arguments = function.arguments
        if isinstance(arguments, dict):
            arguments = msgspec.json.encode(arguments).decode()
        if isinstance(arguments, str) and arguments:
            said.append(Arguments(number, arguments))
        return said

    def _number(self, call: Call, function: _Function) -> int | None:
        """Ours, of a call that has begun; None for a new one."""
        index = call.index if call.index is not None else max(self._ours, default=-1)
        known = self._ours.get(index)
        if known is None:
            return None
        is_other = bool(call.id and function.name and call.id != self._ids[known])
        return None if is_other else known


def text_of(content: Any) -> str:
    """A content's text, whether it came as a string or in parts."""
    if isinstance(content, str):
        return content
    parts = content if isinstance(content, list) else ()
    return "".join(part["text"] for part in parts if isinstance(part, dict) and isinstance(part.get("text"), str))
