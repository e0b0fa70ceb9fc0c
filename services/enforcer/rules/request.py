"""A chat request as the enforcer reads and extends it. Whatever nobody touches stays the client's own bytes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec

from shared.prefixes import Prefix, continued_body, may_be_continued

Json = dict[str, Any]
SYSTEM_ROLES = ("system", "developer")

FREQUENCY_STEP, FREQUENCY_MOST = 0.3, 1.0
TEMPERATURE_STEP, TEMPERATURE_MOST = 0.2, 1.0
"""How sampling changes for an answer that looped; within what every provider that takes the fields accepts."""

_decode_fields = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_decode_list = msgspec.json.Decoder(list[msgspec.Raw]).decode


class Request:
    """Raises ValueError for a body that is no chat request."""

    def __init__(self, body: bytes) -> None:
        try:
            self._fields = _decode_fields(body)
            self._messages = _decode_list(self._fields["messages"])
        except (KeyError, UnicodeDecodeError) as error:
            raise ValueError("no chat request") from error
        self.tools = [tool for tool in self.value("tools") or () if isinstance(tool, dict)]

    def value(self, name: str) -> Any:
        return msgspec.json.decode(self._fields[name]) if name in self._fields else None

    @property
    def last(self) -> Json:
        """The last message; empty where it can't be read."""
        message = msgspec.json.decode(self._messages[-1]) if self._messages else {}
        return message if isinstance(message, dict) else {}

    @property
    def schemas(self) -> dict[str, Json]:
        """The offered tools' parameters by name."""
        return dict(_named(tool) for tool in self.tools)

    def names(self) -> set[str]:
        """Every name that a tool has here, also those that only earlier turns have called."""
        return {*self.schemas, *(name for raw in self._messages for name in _called(raw))}

    @property
    def wants_text(self) -> bool:
        """Whether the answer is for people: with a format of its own it is for a program, and must be one piece."""
        form = self.value("response_format")
        return form is None or (isinstance(form, dict) and form.get("type") == "text")

    @property
    def may_be_continued(self) -> bool:
        return may_be_continued(self.body())

    @property
    def tells_usage(self) -> bool:
        options = self.value("stream_options")
        return isinstance(options, dict) and options.get("include_usage") is True

    def body(self, messages: Sequence[msgspec.Raw] | None = None, **fields: object) -> bytes:
        told = {**self._fields, **{name: msgspec.Raw(msgspec.json.encode(value)) for name, value in fields.items()}}
        if messages is not None:
            told["messages"] = msgspec.Raw(msgspec.json.encode(messages))
        return msgspec.json.encode(told)

    def with_tool(self, tool: Json, instruction: str) -> Request:
        """The same with one more tool, and words in its system message."""
        tools = [*_decode_list(self._fields.get("tools", msgspec.Raw(b"[]"))), tool]
        return Request(self.body(self._instructed(instruction), tools=tools))

    def with_instruction(self, instruction: str) -> Request:
        return Request(self.body(self._instructed(instruction)))

    def _instructed(self, instruction: str) -> list[msgspec.Raw]:
        first = msgspec.json.decode(self._messages[0]) if self._messages else None
        if isinstance(first, dict) and first.get("role") in SYSTEM_ROLES:
            content = _with_text(first.get("content"), instruction)
            return [_raw({**first, "content": content}), *self._messages[1:]]
        return [_raw({"role": "system", "content": instruction}), *self._messages]

    def followed_by(self, messages: Sequence[Json]) -> Request:
        """The conversation, gone on with. What the client had begun of the answer belongs to the answer."""
        kept, added = self._messages, list(messages)
        if self.last.get("role") == "assistant" and self.last.get("partial"):
            kept, added = kept[:-1], _with_beginning(self.last, added)
        return Request(self.body([*kept, *map(_raw, added)]))

    def changed_from(self, body: bytes) -> list[str]:
        """The names of the fields that `body` has otherwise."""
        before = _decode_fields(body)
        now = _decode_fields(self.body())
        return [name for name, value in now.items() if name not in before or bytes(before[name]) != bytes(value)]

    def going_on(self, prefix: Prefix) -> Request:
        """The same, to be gone on with after a text."""
        return Request(continued_body(self.body(), prefix))

    def shaken(self, turn: int) -> Request:
        """The same with other sampling, for the `turn`th time: what looped once loops again with the same one."""
        fields: Json = {}
        fields["frequency_penalty"] = _raised(
            self.value("frequency_penalty"), 0.0, turn, FREQUENCY_STEP, FREQUENCY_MOST
        )
        if _is_number(self.value("temperature")):
            fields["temperature"] = _raised(self.value("temperature"), 0.0, turn, TEMPERATURE_STEP, TEMPERATURE_MOST)
        if isinstance(self.value("seed"), int):
            fields["seed"] = self.value("seed") + turn
        return Request(self.body(**fields))


def _raised(value: Any, without: float, turn: int, step: float, most: float) -> float:
    """Up by steps, but never down."""
    start: float = value if _is_number(value) else without
    return max(start, min(most, round(start + turn * step, 3)))


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _raw(message: Json) -> msgspec.Raw:
    return msgspec.Raw(msgspec.json.encode(message))


def _with_text(content: Any, text: str) -> Any:
    if isinstance(content, list):
        return [*content, {"type": "text", "text": text}]
    return f"{content}\n\n{text}" if content else text


def _with_beginning(begun: Mapping[str, Any], messages: list[Json]) -> list[Json]:
    """`messages` begin with the answer, or with none where it said nothing; `begun` is how the client began it."""
    beginning = {name: value for name, value in begun.items() if name != "partial"}
    if not messages or messages[0]["role"] != "assistant":
        return [beginning, *messages]
    first = dict(messages[0])
    for name in ("content", "reasoning_content"):
        if isinstance(beginning.get(name), str):
            first[name] = beginning[name] + (first.get(name) or "")
    return [beginning | first, *messages[1:]]


def _named(tool: Json) -> tuple[str, Json]:
    function = tool.get("function")
    function = function if isinstance(function, dict) else tool
    name, schema = function.get("name"), function.get("parameters")
    return name if isinstance(name, str) else "", schema if isinstance(schema, dict) else {}


def _called(raw: msgspec.Raw) -> Iterator[str]:
    """The names of a message's calls; most messages have none, and are not read."""
    if b'"tool_calls"' not in bytes(raw):
        return
    message = msgspec.json.decode(raw)
    for call in (message.get("tool_calls") or ()) if isinstance(message, dict) else ():
        function = call.get("function") if isinstance(call, dict) else None
        if isinstance(function, dict) and isinstance(function.get("name"), str):
            yield function["name"]
