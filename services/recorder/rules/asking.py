"""What a request asks, as far as search and tool calls need it: its new messages and its tools."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from services.recorder.rules.answers import Json, dicts, text_of

NO_SCHEMA: Json = {}


class _Request(msgspec.Struct, frozen=True):
    """A request whose parts are read only where they are needed: histories are long."""

    messages: list[msgspec.Raw] = []
    prompt: Any = None
    tools: Any = None


class _Message(msgspec.Struct, frozen=True):
    role: Any = None
    content: Any = None


_request = msgspec.json.Decoder(_Request)
_message = msgspec.json.Decoder(_Message)


class Asking:
    """A client's request in canonical form; empty where it is none."""

    def __init__(self, body: bytes | None) -> None:
        self._is_read = bool(body)
        try:
            self._request = _request.decode(body or b"{}")
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            self._request, self._is_read = _Request(), False

    def new_texts(self) -> list[str]:
        """What was said after the last answer in it, the oldest first."""
        texts: list[str] = []
        for raw in reversed(self._request.messages):
            message = _read(raw)
            if message.role == "assistant":
                break
            texts[:0] = texts_in(message.content)
        return texts or list(texts_in(self._request.prompt))

    def tools(self) -> int | None:
        """How many it offers; None where nobody can say, for there is no request that could be read."""
        return sum(1 for _ in dicts(self._request.tools)) if self._is_read else None

    def schemas(self) -> dict[str, Json]:
        """The offered tools' parameters, by name."""
        functions = (tool.get("function") for tool in dicts(self._request.tools))
        named = ((one.get("name"), one.get("parameters")) for one in functions if isinstance(one, dict))
        return {
            name: schema if isinstance(schema, dict) else NO_SCHEMA for name, schema in named if isinstance(name, str)
        }


def texts_in(content: Any) -> Iterator[str]:
    """A message's content: a text, or parts of which some are texts."""
    if isinstance(content, str):
        yield content
    for part in dicts(content):
        yield text_of(part.get("text"))


def _read(raw: msgspec.Raw) -> _Message:
    try:
        return _message.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return _Message()
