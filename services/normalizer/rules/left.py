"""Text that is left as it came though it looks like something else, because a repair is switched off or because it is
an example in a code fence. What a block's reader would have read is found by that reader itself.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import NamedTuple

from services.normalizer.limits import LEFT_CHARS, LEFT_STEP_CHARS, MAX_CALL_CHARS, MAX_FENCED_CHARS
from services.normalizer.rules.grammar import Found, Opening, RawCall, Reader, Reading, Wait

Takes = Callable[[RawCall], bool]
"""Whether a call can be sent with the repairs that are on."""


LEAVING = (
    "incomplete_call_dropped",
    "hopeless_call_dropped",
    "oversized_call_dropped",
    "tool_name_inferred",
    "arguments_repaired",
    "arguments_defaulted",
    "arguments_unwrapped",
    "lone_surrogate_replaced",
    "stray_marker_removed",
)
"""A block that needs one of these is left in its text where that repair is off."""


class Left(NamedTuple):
    """A marker that is text, up to its end."""

    end: int


Answer = Opening | Left | Wait | None
"""What begins at a place: a block, a marker that is text, nothing, or that can't be told yet."""


class KeptBlock:
    """Has a block read by its own reader, and keeps its text: it goes out as it came if one of its calls can't be sent
    with the repairs that are on."""

    def __init__(self, opener: str, reader: Reader, takes: Takes, *, keeps_empty: bool) -> None:
        """`keeps_empty` where a block without a call is text, too."""
        self._keeps_empty = keeps_empty
        self._reader = reader
        self._takes = takes
        self._parts: list[str] | None = [opener]  # None: too long to be kept
        self._room = MAX_CALL_CHARS
        self._found: list[Found] = []

    def feed(self, text: str, final: bool) -> Reading:
        if self._parts is None:
            return self._reader.feed(text, final)
        taken, behind = text[: self._room], text[self._room :]
        found, rest = self._reader.feed(taken, final and not behind)
        self._found += found
        self._parts.append(taken)
        self._room -= len(taken)
        if rest is None and behind:
            return self._too_long(behind, final)
        if rest is None and not final:
            return Reading([])
        return self._whole("".join(self._parts), rest or "", behind)

    def _whole(self, block: str, rest: str, behind: str) -> Reading:
        if self._takes_all():
            return Reading(self._found, rest + behind)
        return Reading([block[: len(block) - len(rest)]], rest + behind)

    def _takes_all(self) -> bool:
        calls = [item for item in self._found if isinstance(item, RawCall)]
        empty = self._keeps_empty and not calls
        return not empty and all(map(self._takes, calls))

    def _too_long(self, behind: str, final: bool) -> Reading:
        """A block beyond the limit: text, or for its reader to drop."""
        kept, self._parts = "".join(self._parts or ()), None
        if not self._takes(RawCall("", "", closed=False, oversized=True)):
            return Reading([kept], behind)
        found, rest = self._reader.feed(behind, final)
        return Reading(self._found + found, rest)


class LeftBlock:
    """A block whose repair is off: text, whatever it holds. Its own reader finds its end. That may turn out to lie
    further back, but no text waits for it for longer than LEFT_CHARS and a step.

    The reader is fed in steps that are counted from the block's beginning, so that what has gone out by the time it
    is done is the same however the text was cut.
    """

    def __init__(self, opener: str, reader: Reader) -> None:
        self._reader = reader
        self._text = opener  # not out yet
        self._room = LEFT_STEP_CHARS  # in this step

    def feed(self, text: str, final: bool) -> Reading:
        out = ""
        rest: str | None = None
        while rest is None and text:
            piece, text = text[: self._room], text[self._room :]
            rest = self._step(piece, final and not text)
            if rest is None and not self._room:
                out += self._let_go()
        if rest is None and final:
            rest = self._step("", final=True) or ""
        if rest is None:
            return Reading([out] if out else [])
        end = max(0, len(self._text) - len(rest))
        return Reading([out + self._text[:end]], self._text[end:] + text)

    def _step(self, piece: str, final: bool) -> str | None:
        self._text += piece
        self._room -= len(piece)
        return self._reader.feed(piece, final).rest

    def _let_go(self) -> str:
        """Text that has waited for long enough."""
        self._room = LEFT_STEP_CHARS
        end = max(0, len(self._text) - LEFT_CHARS)
        out, self._text = self._text[:end], self._text[end:]
        return out


class RestOfText:
    """Everything that follows, as it comes."""

    def __init__(self, opener: str) -> None:
        self._opener = opener

    def feed(self, text: str, final: bool) -> Reading:
        out, self._opener = self._opener + text, ""
        return Reading([out] if out else [])


class FencedBlock:
    """A call marker on a line of its own in a code fence. If the fence is closed, it was an example. If the answer ends
    before that, and does so with whole calls of offered tools, then the fence was none and the calls are meant."""

    def __init__(self, opener: str, fence: str, means_calls: Callable[[str], bool]) -> None:
        self.unfenced = False  # the fence around it is none, and its text has to be read again
        self._text = opener
        self._means_calls = means_calls
        self._closing = re.compile(rf"\n[^\S\n]*{re.escape(fence * 3)}")
        self._searched = 0

    def feed(self, text: str, final: bool) -> Reading:
        self._text += text
        head = self._text[:MAX_FENCED_CHARS]
        closing = self._closing.search(head, self._searched)
        self._searched = max(0, head.rfind("\n"))
        if closing is not None:
            end = closing.end() - 3
            return Reading([self._text[:end]], self._text[end:])
        if len(self._text) > MAX_FENCED_CHARS:
            return Reading([head], self._text[MAX_FENCED_CHARS:])
        if not final:
            return Reading([])
        self.unfenced = self._means_calls(self._text)
        return Reading([], self._text) if self.unfenced else Reading([self._text], "")
