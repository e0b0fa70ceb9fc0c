"""From an event stream to the completion that a plain request asked for; `shared.whole_answers` is the way back.

Used where the provider is asked for a stream although the client wants one answer (`--force-stream`), and wherever a
recorded stream is read. Tolerates what providers do: choices in any order, tool calls without an index, usage in
`choices[0].usage`, and values of no use where one is awaited.
"""

from __future__ import annotations

from typing import Any

import msgspec

from shared.sse import SseParser
from shared.whole_answers import Json, decode_object, objects

TEXT_FIELDS = ("content", "reasoning_content", "reasoning", "refusal")  # streamed as fragments of one text


class Assembly:
    """Feed it the bytes of a stream; `completion` is the whole answer. Raises ValueError for what is no chunk."""

    def __init__(self) -> None:
        self._parser = SseParser()
        self._top: Json = {}
        self._choices: dict[int, _Choice] = {}
        self._usage: Json | None = None

    def feed(self, data: bytes) -> None:
        self._read(self._parser.feed(data))

    def finish(self) -> None:
        """No more is coming: a last event may lack its empty line."""
        self._read(self._parser.finish())

    def _read(self, events: list[bytes]) -> None:
        for text in map(bytes.strip, events):
            if text not in (b"", b"[DONE]"):
                self.take(decode_object(text))

    def take(self, chunk: Json) -> None:
        for choice in objects(chunk.get("choices")):
            self._usage = choice.get("usage") or self._usage
            index = _index(choice.get("index"))
            known = self._choices.get(index)
            if known is None:
                known = self._choices[index] = _Choice(index)
            known.take(choice)
        self._usage = chunk.get("usage") or self._usage
        for name, value in chunk.items():
            if name not in ("choices", "usage", "object") and value is not None:
                self._top.setdefault(name, value)

    def completion(self, is_cut: bool = False) -> bytes:
        """A `chat.completion` object as JSON text, once the stream has ended. Where it `is_cut`, a call may be there
        in part only: it is left out."""
        self.finish()
        return msgspec.json.encode(self.whole(is_cut))

    def whole(self, is_cut: bool = False) -> Json:
        """The same as an object."""
        body: Json = {**self._top, "object": "chat.completion"}
        body["choices"] = [self._choices[index].whole(is_cut) for index in sorted(self._choices)]
        if self._usage is not None:
            body["usage"] = self._usage
        return body


def _object(value: Any) -> Json:
    return value if isinstance(value, dict) else {}


def _index(value: Any) -> int:
    return value if isinstance(value, int) else 0


class _Choice:
    def __init__(self, index: int) -> None:
        self._index = index
        self._message: Json = {"role": "assistant", "content": None}
        self._texts: dict[str, list[str]] = {}
        self._calls = _ToolCalls()
        self._logprobs: Json = {}
        self._finish_reason: str | None = None

    def take(self, choice: Json) -> None:
        for name, value in _object(choice.get("delta")).items():
            if name in TEXT_FIELDS:
                self._texts.setdefault(name, []).extend(_texts(value))
            elif name == "tool_calls":
                self._calls.take(objects(value))
            elif value is not None:
                self._message[name] = _joined(self._message.get(name), value)
        for name, tokens in _object(choice.get("logprobs")).items():
            self._logprobs[name] = _joined(self._logprobs.get(name), tokens)
        self._finish_reason = choice.get("finish_reason") or self._finish_reason

    def whole(self, is_cut: bool) -> Json:
        texts = {name: "".join(parts) for name, parts in self._texts.items() if parts}
        message = self._message | texts
        calls = self._calls.whole(is_cut)
        if calls:
            message["tool_calls"] = calls
            message["content"] = message["content"] or None
        whole: Json = {"index": self._index, "message": message, "finish_reason": self._finish_reason}
        return whole | ({"logprobs": self._logprobs} if self._logprobs else {})


def _texts(value: Any) -> list[str]:
    """The text of a fragment: a string, or a list of parts."""
    if isinstance(value, str):
        return [value]
    return [part["text"] for part in objects(value) if isinstance(part.get("text"), str)]


def _joined(before: Any, fragment: Any) -> Any:
    """A field of fragments: lists go on, and texts in objects (`function_call`, `audio`); else the last counts."""
    if isinstance(before, list) and isinstance(fragment, list):
        return before + fragment
    if isinstance(before, dict) and isinstance(fragment, dict):
        return before | {name: _continued(before.get(name), value) for name, value in fragment.items()}
    return before if fragment is None else fragment


def _continued(before: Any, fragment: Any) -> Any:
    if isinstance(before, str) and isinstance(fragment, str):
        return before + fragment
    return _joined(before, fragment)


class _ToolCalls:
    """Fragments of tool calls. Which call one belongs to is said by its index, else its id, else it goes on."""

    def __init__(self) -> None:
        self._calls: list[_ToolCall] = []  # in order of their beginning
        self._last: _ToolCall | None = None

    def take(self, fragments: list[Json]) -> None:
        for fragment in fragments:
            known = self._known(fragment)
            if known is None or known.is_other(fragment):
                known = _ToolCall(self._index(fragment))
                self._calls.append(known)
            known.take(fragment)
            self._last = known

    def _known(self, fragment: Json) -> _ToolCall | None:
        index, id = fragment.get("index"), fragment.get("id")
        latest_first = self._calls[::-1]
        if id:
            named = next((call for call in latest_first if call.id == id and index in (None, call.index)), None)
            if named is not None:
                return named
        if index is not None:
            return next((call for call in latest_first if call.index == index), None)
        return self._last

    def _index(self, fragment: Json) -> int:
        index = fragment.get("index")
        return max((call.index for call in self._calls), default=-1) + 1 if index is None else _index(index)

    def whole(self, is_cut: bool) -> list[Json]:
        in_order = sorted(self._calls, key=lambda call: call.index)
        return [call.whole() for call in in_order if call.is_whole or not is_cut]


class _ToolCall:
    def __init__(self, index: int) -> None:
        self.index = index
        self.id: str | None = None
        self._type = "function"
        self._name: str | None = None
        self._arguments: list[str] = []

    def is_other(self, fragment: Json) -> bool:
        """Whether the fragment begins another call, whatever its index: some providers give all of them 0 or none.

        A name alone says so only without an index: there are providers that repeat it in every fragment.
        """
        id, index, name = fragment.get("id"), fragment.get("index"), _object(fragment.get("function")).get("name")
        if id and self.id and id != self.id:
            return bool(name) or index is None
        if index is not None or not name or self._name is None:
            return False
        return bool(name != self._name) or _is_json("".join(self._arguments))

    @property
    def is_whole(self) -> bool:
        return _is_json("".join(self._arguments))

    def take(self, fragment: Json) -> None:
        said = _object(fragment.get("function"))
        self.id = self.id or fragment.get("id")
        self._type = fragment.get("type") or self._type
        self._name = self._name or said.get("name")
        self._arguments += _texts(said.get("arguments"))

    def whole(self) -> Json:
        function = {"name": self._name, "arguments": "".join(self._arguments)}
        return {"id": self.id, "type": self._type, "function": function}


def _is_json(text: str) -> bool:
    try:
        msgspec.json.decode(text)
    except msgspec.DecodeError:
        return False
    return True
