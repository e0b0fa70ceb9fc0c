"""Reads a block of Kimi K2's call tokens: a section, a call's header, its arguments.

    SECTION    between calls: noise, or the prose of a model that changed its mind
    HEADER     after call_begin: the id, `functions.NAME:N` or one of its variants
    ARGUMENTS  after the argument marker, or a brace that follows an id directly

A marker inside a JSON string is data: `{"content": "<|tool_call_end|>"}`. Should the string turn out not to
be closed properly, the first marker in it was the real end after all, and the text from there on is read
again.
"""

from __future__ import annotations

import re
from typing import Protocol

from services.normalizer.limits import MAX_BLANK_CHARS, MAX_CALL_CHARS
from services.normalizer.rules.grammar import Found, Offer, RawCall, Reading
from services.normalizer.rules.json_scan import JsonScan

SECTION = "section"
HEADER = "header"
ARGUMENTS = "arguments"
_SKIP = "skip"  # what is left of a call that got too long

_NOISE_CHARS = 200  # more text than this between two markers of a section is prose
_HEADER_CHARS = 256  # more text than this after call_begin is not a header
_MARKER_CHARS = 64  # more than the longest marker
_HEAD = re.compile(r'[^\s{}<>"]{1,200}')
_CUT_HEAD = re.compile(r"[\w.\-:$]{1,200}")  # an id, or the beginning of one
_HEAD_BEFORE_BRACE = re.compile(r"(?:functions\.)?[\w.\-]+:\d{1,6}\s*$")
_LEFTOVERS = tuple('}]`,"')  # what may follow a whole object: a brace too many, a fence's end

Marker = tuple[str, int, int]  # kind, begin, end


class Markers(Protocol):
    """How markers are looked up."""

    @staticmethod
    def find(text: str, at: int = 0) -> Marker | None: ...
    @staticmethod
    def at(text: str, at: int) -> Marker | None: ...
    @staticmethod
    def may_begin(text: str, at: int) -> bool: ...


class K2Reader:
    """The reader of one block."""

    def __init__(self, markers: type[Markers], offer: Offer, state: str, head: str = "") -> None:
        self._markers = markers
        self._offer = offer
        self._state = state
        self._section = state == SECTION
        self._head = head
        self._calls = 0
        self._text = ""  # not read yet
        self._final = False
        self._found: list[Found] = []
        self._begin_arguments(head, state)

    def feed(self, text: str, final: bool) -> Reading:
        self._text += text
        self._final = final
        steps = {
            SECTION: self._read_section,
            HEADER: self._read_header,
            ARGUMENTS: self._read_arguments,
            _SKIP: self._skip,
        }
        rest: str | None = None
        while rest is None and steps[self._state]():
            rest = self._done
        found, self._found = self._found, []
        if rest is None and final:
            rest = ""
        return Reading(found, rest)

    # Each step gives true where it got on. It ends the block by leaving a rest in `_done`.

    _done: str | None = None

    def _close(self, rest: str) -> bool:
        self._done = rest
        return True

    def _next(self) -> tuple[Marker | None, int]:
        """The next marker, and where the text before it (or before its beginning) ends."""
        marker = self._markers.find(self._text)
        if marker is not None:
            return marker, marker[1]
        at = self._text.find("<", max(0, len(self._text) - 64))
        while at >= 0 and not self._markers.may_begin(self._text, at):
            at = self._text.find("<", at + 1)
        return None, at if at >= 0 else len(self._text)

    # between calls

    def _read_section(self) -> bool:
        marker, end = self._next()
        noise = self._text[:end]
        if end - len(noise.lstrip()) > MAX_BLANK_CHARS:
            return self._close(self._text)
        brace = noise.find("{")
        if 0 <= brace <= _NOISE_CHARS and (head := _HEAD_BEFORE_BRACE.search(noise[:brace])):
            return self._to_arguments(head.group().strip(), brace)
        if brace >= 0 and self._section and not noise[:brace].strip():
            return self._to_arguments("", brace)  # the object names its tool itself
        if len(noise.strip()) > _NOISE_CHARS:
            return self._close(self._text)
        if marker is None:
            return self._close(self._text if noise.strip() else "") if self._final else False
        return self._section_marker(marker, noise)

    def _section_marker(self, marker: Marker, noise: str) -> bool:
        kind, _, end = marker
        if kind == "arguments":
            head = noise.split()[-1:]
            return self._to_arguments(head[0] if head else "", end)
        if not self._calls and noise.strip() and kind != "section":
            return self._close(self._text)  # not a call so far: the model was still talking
        self._text = self._text[end:]
        if kind == "call":
            self._state = HEADER
        elif kind == "section":
            self._section = True
        elif kind == "section_end":
            return self._close(self._text)
        return True

    # the header

    def _read_header(self) -> bool:
        marker, end = self._next()
        head = self._text[:end]
        if end - len(head.lstrip()) > MAX_BLANK_CHARS:
            return self._close(self._text)
        brace = head.find("{")
        if 0 <= brace <= _HEADER_CHARS:
            return self._to_arguments(head[:brace].strip(), brace)
        if len(head.strip()) > _HEADER_CHARS:
            return self._close(self._text)
        if marker is None:
            return self._cut_header(head) if self._final else False
        return self._header_marker(marker, head.strip())

    def _cut_header(self, head: str) -> bool:
        """The answer ends inside a header, unless it only mentioned the marker in its prose."""
        if head.strip() and not self._may_be_cut_id(head):
            return self._close(self._text)
        if head.strip():
            self._found.append(RawCall(head.strip(), "", closed=False))
        return self._close("")

    def _may_be_cut_id(self, head: str) -> bool:
        """Whether the answer's last text may be the beginning of an id: an offered tool's, or one with a number. Where
        the tools are unknown, a word behind white space is a word."""
        word = head.strip()
        if not _CUT_HEAD.fullmatch(word):
            return False
        if not self._offer.known:
            return not (word.isalpha() and head[0].isspace())
        return self._offer.may_begin_id(word) or any(map(str.isdigit, word))

    def _header_marker(self, marker: Marker, head: str) -> bool:
        kind, _, end = marker
        if kind == "arguments":
            return self._to_arguments(_best_head(head), end)
        if head and not _HEAD.fullmatch(head):
            return self._close(self._text)
        if head and kind != "call":
            self._found.append(RawCall(head, "", closed=True))
            self._calls += 1
        return self._after_call(kind, end)

    # the arguments

    def _begin_arguments(self, head: str, state: str) -> None:
        self._head = head
        self._state = state
        self._searched: list[str] = []  # in front of the parts, and without a marker
        self._parts: list[str] = []
        self._size = 0
        self._scan = JsonScan()

    def _to_arguments(self, head: str, at: int) -> bool:
        self._begin_arguments(head, ARGUMENTS)
        self._text = self._text[at:]
        return True

    def _take(self, end: int) -> None:
        """Move the text up to `end` to the arguments, or up to where they get too long."""
        if self._size + end > MAX_CALL_CHARS:
            end = MAX_CALL_CHARS - self._size
            self._found.append(RawCall(self._head, "", closed=False, oversized=True))
            self._state = _SKIP
        self._parts.append(self._text[:end])
        self._size += end
        self._text = self._text[end:]

    def _read_arguments(self) -> bool:
        if self._scan.whole:
            follows = self._text.lstrip()
            if not follows.startswith(("{", "<")) or len(self._text) - len(follows) > _NOISE_CHARS:
                return self._after_whole(follows)
        self._take(self._scan.run(self._text))
        if self._state == _SKIP:
            return True
        if self._scan.odd and self._reread():
            return True
        return self._at_angle() if self._text.startswith("<") else self._at_end()

    def _after_whole(self, follows: str) -> bool:
        """Something stands behind the whole object: a leftover of the arguments, or the text after the call."""
        blank = len(self._text) - len(follows)
        if not follows and blank <= _NOISE_CHARS:
            return self._at_end() if self._final else False
        if not follows.startswith(_LEFTOVERS) or blank > _NOISE_CHARS:
            return self._finish_call("", 0)
        self._take(blank + 1)
        return True

    def _at_angle(self) -> bool:
        """A `<` outside of strings: a marker, what may become one, or a character."""
        marker = self._markers.at(self._text, 0)
        if marker is not None:
            return self._marker_in_arguments(marker)
        if self._markers.may_begin(self._text, 0):
            return self._at_end() if self._final else False
        if self._scan.whole:
            return self._finish_call("", 0)
        self._take(1)
        return True

    def _marker_in_arguments(self, marker: Marker) -> bool:
        kind, _, end = marker
        if kind in ("arguments", "stray"):  # doubled, or an end marker of no known model
            self._text = self._text[end:]
            return True
        return self._finish_call(kind, end)

    def _at_end(self) -> bool:
        """Everything there is was read."""
        if self._text.strip() and not self._text.startswith("<"):
            return True
        if not self._final:
            return False
        if (self._scan.in_string or self._scan.depth) and self._reread():
            return True
        if not self._scan.whole and self._text:
            self._text = ""
        self._found.append(RawCall(self._head, self._arguments(), closed=False))
        return self._close(self._text)

    def _reread(self) -> bool:
        """A string was not closed properly: take the first marker in it, if any, for the call's end."""
        self._scan.odd = False
        text = "".join(self._parts)
        marker = self._markers.find(text)
        if marker is None:
            self._searched.append(text[:-_MARKER_CHARS])
            self._parts = [text[-_MARKER_CHARS:]]
            return False
        self._parts = [text[: marker[1]]]
        self._text = text[marker[1] :] + self._text
        return self._finish_call(marker[0], marker[2] - marker[1])

    def _arguments(self) -> str:
        return "".join([*self._searched, *self._parts])

    def _finish_call(self, kind: str, end: int) -> bool:
        """The call is over; the marker that ended it, if one did, ends at `end`."""
        self._found.append(RawCall(self._head, self._arguments(), closed=True))
        self._calls += 1
        return self._after_call(kind, end)

    def _after_call(self, kind: str, end: int) -> bool:
        self._text = self._text[end:]
        self._begin_arguments("", HEADER if kind == "call" else SECTION)
        if kind == "section":
            self._section = True
        if kind == "section_end" or (kind != "call" and not self._section):
            return self._close(self._text)
        return True

    def _skip(self) -> bool:
        """Drop the text up to the next marker, which closes the oversized call."""
        marker, end = self._next()
        if marker is None:
            self._text = self._text[end:]
            return False
        return self._after_call(marker[0], marker[2])


def _best_head(head: str) -> str:
    """The id in a header that has more than the id in it."""
    if re.fullmatch(r"[\w.\-]+\s?:\s?\d+", head):
        return re.sub(r"\s", "", head)
    words = head.split()
    return next((word for word in words if re.search(r":\d+$", word)), words[-1] if words else "")
