"""The texts of an answer, each on its own: every choice's content, reasoning, and arguments of each tool call."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from shared.repeats.detector import RepeatDetector
from shared.repeats.loop import Loop, RepeatSettings

TEXTS = ("content", "reasoning_content", "reasoning")
MAX_WATCHED = 32
"""Texts watched at a time in one choice; past it the one that was silent for longest is let go."""
MAX_CHOICES = 128
"""Choices watched in one answer: what OpenAI allows for `n`. More are not watched."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A loop, and where: `channel` is content, reasoning_content, reasoning or tool_calls.<index>.arguments."""

    choice: int
    channel: str
    loop: Loop


class ChoiceWatch:
    """One choice of an answer in canonical form."""

    def __init__(self, settings: RepeatSettings, index: int = 0) -> None:
        self._settings = settings
        self._index = index
        self._detectors: dict[str, RepeatDetector] = {}  # the one fed last comes last

    def feed(self, delta: Mapping[str, Any]) -> Found | None:
        """A stream's `delta`, or a whole `message`. The first loop that it completes."""
        for channel, text in _texts(delta):
            if loop := self._detector(channel).feed(text):
                return Found(choice=self._index, channel=channel, loop=loop)
        return None

    def _detector(self, channel: str) -> RepeatDetector:
        detector = self._detectors.pop(channel, None) or RepeatDetector(self._settings)
        self._detectors[channel] = detector
        if len(self._detectors) > MAX_WATCHED:
            del self._detectors[next(iter(self._detectors))]
        return detector


class AnswerWatch:
    """All choices of an answer in canonical form."""

    def __init__(self, settings: RepeatSettings) -> None:
        self._settings = settings
        self._choices: dict[int, ChoiceWatch] = {}

    def feed(self, chunk: Mapping[str, Any]) -> list[Found]:
        """A stream's chunk, or a whole completion. At most one loop for each choice; the others go on being watched."""
        found = []
        for choice in chunk.get("choices") or ():
            watch = self._watch(choice.get("index") or 0)
            if watch and (one := watch.feed(choice.get("delta") or choice.get("message") or {})):
                found.append(one)
        return found

    def _watch(self, index: int) -> ChoiceWatch | None:
        if index not in self._choices and len(self._choices) < MAX_CHOICES:
            self._choices[index] = ChoiceWatch(self._settings, index)
        return self._choices.get(index)


def _texts(delta: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for channel in TEXTS:
        if (text := delta.get(channel)) and isinstance(text, str):
            yield channel, text
    for at, call in enumerate(delta.get("tool_calls") or ()):
        if text := (call.get("function") or {}).get("arguments"):
            yield f"tool_calls.{call.get('index', at)}.arguments", text
