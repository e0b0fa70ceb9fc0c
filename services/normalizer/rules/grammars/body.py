"""A reader for blocks that stand between an opening and a closing tag."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Protocol

from services.normalizer.limits import MAX_BLANK_CHARS, MAX_CALL_CHARS, MAX_TAG_CHARS
from services.normalizer.rules.grammar import Found, RawCall, Reading

Parse = Callable[[str, bool], list[RawCall]]
"""A body and whether it was closed -> its calls."""

Plausible = Callable[[str], bool | None]
"""Whether a beginning is a body's; None where that can't be told yet."""


class Values(Protocol):
    """Follows a body piece by piece, and knows whether its end is inside a value: a closing tag there is data."""

    def feed(self, text: str) -> None: ...
    @property
    def inside(self) -> bool: ...


class TaggedValues:
    """Values between tags. `pattern` finds both kinds of tags; an opening one has a group `opens`."""

    def __init__(self, pattern: re.Pattern[str]) -> None:
        self.inside = False
        self._pattern = pattern

    def feed(self, text: str) -> None:
        """Follow a piece that no tag goes beyond."""
        for found in self._pattern.finditer(text):
            self.inside = found["opens"] is not None


def begins_with(text: str, *beginnings: str) -> bool | None:
    """Whether a text begins with one of several beginnings; None while it is only a part of one."""
    if text.startswith(beginnings):
        return True
    return None if any(beginning.startswith(text) for beginning in beginnings) else False


class BodyReader:
    """Collects a body up to its closing tag and has it parsed.

    `plausible` says of a body's beginning whether it can be one at all: where it can't, the tag was part of
    the prose, and what follows it is text. Each character is looked at a bounded number of times, and a body that
    gets too long is dropped up to its first closing tag behind the limit.
    """

    def __init__(self, closer: str, parse: Parse, plausible: Plausible, values: Values, body: str = "") -> None:
        self._closer = closer
        self._parse = parse
        self._plausible = plausible
        self._values = values
        self._sure = False
        self._skips = False  # past the limit
        self._parts: list[str] = []
        self._size = 0
        self._text = body  # not looked at yet

    def feed(self, text: str, final: bool) -> Reading:
        self._text += text
        if not self._sure:
            if (rest := self._judge(final)) is not None:
                return Reading([], rest)
            if not self._sure:
                return Reading([])
        return self._skip() if self._skips else self._collect(final)

    def _judge(self, final: bool) -> str | None:
        """The text that a body is where it is none; of one that is cut off at its beginning nothing is left."""
        start = self._text.lstrip()
        blank = len(self._text) - len(start)
        verdict = self._plausible(start) if blank <= MAX_BLANK_CHARS else False
        self._sure = bool(verdict)
        if verdict is False:
            return self._text
        return "" if final and verdict is None else None

    def _collect(self, final: bool) -> Reading:
        """Go from closing tag to closing tag, to the first that is not part of a value."""
        while (at := self._text.find(self._closer)) >= 0:
            self._take(at)
            end = len(self._closer)
            if self._size > MAX_CALL_CHARS:
                return Reading([_OVERSIZED], self._text[end:])
            if not self._values.inside:
                return Reading(self._calls(closed=True), self._text[end:])
            self._take(end)
        if final:
            self._take(len(self._text))
            too_long = self._size > MAX_CALL_CHARS
            return Reading([_OVERSIZED] if too_long else self._calls(closed=False) or [_CUT], "")
        self._take(self._edge())
        if self._size > MAX_CALL_CHARS:
            self._parts, self._skips = [], True
            return Reading([_OVERSIZED])
        return Reading([])

    def _edge(self) -> int:
        """Where a tag may begin that the text ends in the middle of."""
        at = self._text.find("<", max(0, len(self._text) - MAX_TAG_CHARS))
        return at if at >= 0 else len(self._text)

    def _take(self, end: int) -> None:
        """Move the text up to `end` to the body."""
        taken, self._text = self._text[:end], self._text[end:]
        self._values.feed(taken)
        self._parts.append(taken)
        self._size += end

    def _calls(self, *, closed: bool) -> list[Found]:
        return list(self._parse("".join(self._parts), closed))

    def _skip(self) -> Reading:
        at = self._text.find(self._closer)
        if at >= 0:
            return Reading([], self._text[at + len(self._closer) :])
        self._text = self._text[-len(self._closer) :]
        return Reading([])


_OVERSIZED = RawCall("", "", closed=False, oversized=True)
_CUT = RawCall("", "", closed=False)
