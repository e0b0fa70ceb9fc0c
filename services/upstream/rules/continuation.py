"""Going on with a broken stream: the text so far, which `shared.prefixes` makes a request of.

The rules, which the normalizer's stitching shares: of a call only whole events count, and none from an error on. A text
can't be continued where a tool call was begun, where there are several choices, or where a chunk can't be understood.
"""

from __future__ import annotations

from typing import Any

import msgspec

from shared.prefixes import Prefix
from shared.sse import MAX_EVENT_BYTES, SseParser
from shared.whole_events import ERROR_EVENT, WholeEvents

BATCH_BYTES = 64 * 1024  # of a stream that are read at a time: most streams that end well are never read
TEXT_CHARACTERS = 2 * 1024 * 1024  # past this a text is not kept, and can't be continued
CALL_MARKERS = ("<|tool_call", "<tool_call", "<function")  # a tool call that leaks into the text


class _Delta(msgspec.Struct):
    content: Any = None
    reasoning_content: Any = None
    reasoning: Any = None
    tool_calls: Any = None
    function_call: Any = None
    refusal: Any = None
    audio: Any = None


class _Choice(msgspec.Struct):
    index: Any = 0
    delta: _Delta | None = None


class _Chunk(msgspec.Struct):
    choices: list[_Choice] | None = None


_decode = msgspec.json.Decoder(_Chunk).decode


class TextSoFar:
    """What the calls of one answer have said. `keep` is whether anybody could go on with it."""

    def __init__(self, keep: bool) -> None:
        self._keep = keep
        self._said_anything = False
        self._is_lost = False  # there is something that can't be continued
        self._content: list[str] = []
        self._reasoning: list[str] = []
        self._characters = 0
        self._batch = bytearray()
        self._begin()

    def begin_call(self) -> None:
        self._read()
        self._begin()

    def _begin(self) -> None:
        self._whole, self._parser = WholeEvents(), SseParser()
        self._failed = False

    def feed(self, piece: bytes) -> None:
        if self._is_lost or (self._said_anything and not self._keep):
            return
        self._batch += piece
        if len(self._batch) > BATCH_BYTES:
            self._read()

    @property
    def is_empty(self) -> bool:
        """Nothing was said: any target may answer from the beginning."""
        self._read()
        return not self._said_anything

    @property
    def prefix(self) -> Prefix | None:
        """None where the text can't be continued."""
        self._read()
        if self._is_lost or not self._keep:
            return None
        prefix = Prefix("".join(self._content), "".join(self._reasoning))
        has_call = any(marker in text for marker in CALL_MARKERS for text in (prefix.content, prefix.reasoning))
        return None if has_call else prefix

    def _read(self) -> None:
        batch, self._batch = bytes(self._batch), bytearray()
        for event in self._parser.feed(self._whole.feed(batch)):
            self._take(event)
        if self._whole.held_bytes > MAX_EVENT_BYTES:
            self._lose()

    def _take(self, event: bytes) -> None:
        self._failed = self._failed or ERROR_EVENT.search(event) is not None
        if self._failed or self._is_lost or event == b"[DONE]":
            return
        try:
            chunk = _decode(event)
        except (msgspec.DecodeError, UnicodeDecodeError):
            self._lose()
            return
        for choice in chunk.choices or ():
            if choice.delta is not None:
                self._add(choice.index, choice.delta)

    def _add(self, index: Any, delta: _Delta) -> None:
        reasoning = delta.reasoning_content or delta.reasoning
        if delta.tool_calls or delta.function_call or delta.refusal or delta.audio:
            self._lose()
        for value, texts in ((reasoning, self._reasoning), (delta.content, self._content)):
            if not value:
                continue
            if not isinstance(value, str) or index:
                self._lose()
                return
            self._said_anything = True
            self._characters += len(value)
            if self._keep:
                texts.append(value)
        if self._characters > TEXT_CHARACTERS:
            self._lose()

    def _lose(self) -> None:
        self._said_anything = self._is_lost = True
        self._content.clear()
        self._reasoning.clear()
