"""A leg's bytes to verdicts: which choices of the answer run in a loop, and whether all is lost.

Rules:

* An answer is hopeless once every choice that has not finished runs in a loop, those that have not begun included: a
  choice that loops must not take the healthy ones with it.
* What can't be read is read over: a sentinel sees what a provider sent, and may have missed some of it.
* A call that goes on with the text of the one before it is the same answer; one that begins afresh is another.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from services.sentinel.rules.answer import AnswerWatch, Found
from shared.repeats.loop import RepeatSettings
from shared.sse import OversizedEvent, SseParser

EVENT_BYTES = 1024 * 1024  # a longer event ends the watch: it is no stream of small pieces


class _Function(msgspec.Struct):
    name: Any = None
    arguments: Any = None


class _Call(msgspec.Struct):
    index: Any = None
    function: _Function | None = None


class _Delta(msgspec.Struct):
    content: Any = None
    reasoning_content: Any = None
    reasoning: Any = None
    tool_calls: list[_Call] | None = None


class _Choice(msgspec.Struct):
    index: Any = None
    delta: _Delta | None = None
    finish_reason: Any = None


class _Chunk(msgspec.Struct):
    choices: list[_Choice] | None = None


_decode = msgspec.json.Decoder(_Chunk).decode


class LegWatch:
    """One answer, from the bytes of its leg."""

    def __init__(self, settings: RepeatSettings, choices: int = 1) -> None:
        self._watch = AnswerWatch(settings)
        self._choices = set(range(max(1, choices)))
        self._finished: set[int] = set()
        self._looping: set[int] = set()
        self._begin()

    def _begin(self) -> None:
        self._parser: SseParser | None = SseParser(EVENT_BYTES)

    def go_on(self) -> None:
        """Another call's bytes follow, which continue the text."""
        self._begin()

    @property
    def is_hopeless(self) -> bool:
        unfinished = self._choices - self._finished
        return bool(unfinished) and unfinished <= self._looping

    def feed(self, data: bytes) -> list[Found]:
        """The loops that are seen now; each choice's first one."""
        return [found for payload in self._payloads(data) for found in self._read(payload)]

    def _payloads(self, data: bytes) -> list[bytes]:
        if self._parser is None:
            return []
        try:
            return self._parser.feed(data)
        except OversizedEvent:
            self._parser = None
            return []

    def _read(self, payload: bytes) -> Iterator[Found]:
        try:
            chunk = _decode(payload)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return
        for choice in chunk.choices or ():
            yield from self._choice(choice)

    def _choice(self, choice: _Choice) -> Iterator[Found]:
        index = choice.index if type(choice.index) is int else 0
        self._choices.add(index)
        if choice.delta is not None and index not in self._looping:
            for found in self._watch.feed({"choices": [{"index": index, "delta": _plain(choice.delta)}]}):
                self._looping.add(index)
                yield found
        if choice.finish_reason is not None:
            self._finished.add(index)


def _plain(delta: _Delta) -> dict[str, Any]:
    calls = [
        {"index": call.index if type(call.index) is int else at, "function": {"arguments": call.function.arguments}}
        for at, call in enumerate(delta.tool_calls or ())
        if call.function is not None and isinstance(call.function.arguments, str)
    ]
    return {
        "content": delta.content,
        "reasoning_content": delta.reasoning_content,
        "reasoning": delta.reasoning,
        "tool_calls": calls,
    }
