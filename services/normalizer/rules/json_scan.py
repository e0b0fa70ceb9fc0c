"""Finds where a JSON text ends while it is still arriving, in linear time.

It follows strings, escapes and brackets only; whether the text is valid JSON is for others to say.
"""

from __future__ import annotations

import re

_IN_STRING = re.compile(r'["\\]')
_OUTSIDE = re.compile(r'["{}\[\]<]')
_AFTER_STRING = ",:}]"


class JsonObjects:
    """Follows objects that stand one after the other in a text that comes in pieces."""

    def __init__(self) -> None:
        self.starts: list[int] = []  # where each of them begins
        self._scan: JsonScan | None = None  # of the last one, while it is not whole
        self._before = 0  # characters of earlier pieces

    @property
    def inside(self) -> bool:
        """Whether the text ends inside a string."""
        return self._scan is not None and self._scan.in_string

    def feed(self, text: str) -> None:
        """Follow a piece."""
        at = 0
        while 0 <= at < len(text):
            at = self._next(text, at) if self._scan is None else self._follow(self._scan, text, at)
        self._before += len(text)

    def _next(self, text: str, at: int) -> int:
        """The place of the next object; below 0 where there is none."""
        at = text.find("{", at)
        if at >= 0:
            self.starts.append(self._before + at)
            self._scan = JsonScan()
        return at

    def _follow(self, scan: JsonScan, text: str, at: int) -> int:
        end = scan.run(text, at)
        if scan.whole:
            self._scan = None
        return end + (end == at)


class JsonScan:
    """The state of a scan over a JSON text that comes in pieces."""

    def __init__(self) -> None:
        self.depth = 0
        self.in_string = False
        self.whole = False  # the outermost value has ended
        self.odd = False  # a string with a `<` in it is followed by what can't follow a string
        self._escaped = False
        self._after_string = False
        self._angle = False  # the last string holds a `<`
        self._first = ""  # the first character that is not white space

    @property
    def begun(self) -> bool:
        """Whether anything but white space was seen."""
        return bool(self._first)

    def run(self, text: str, at: int = 0) -> int:
        """Follow `text` from `at`, and give the place where it stops: the text's end, or outside of
        strings a `<`, the end of the outermost value, or where it becomes `odd`."""
        while at < len(text):
            if self.in_string:
                at = self._string(text, at)
                if self.whole and not self.in_string:
                    return at
                continue
            at = self._outside(text, at)
            if at < 0:
                return ~at
        return at

    def _string(self, text: str, at: int) -> int:
        if self._escaped:
            self._escaped = False
            return at + 1
        found = _IN_STRING.search(text, at)
        end = len(text) if found is None else found.start()
        self._angle = self._angle or text.find("<", at, end) >= 0
        if found is None:
            return end
        if found.group() == "\\":
            self._escaped = True
        else:
            self.in_string = False
            self._after_string = True
            self.whole = self.depth == 0
        return found.end()

    def _outside(self, text: str, at: int) -> int:
        """The place to go on at; inverted (~) where the scan stops there."""
        found = _OUTSIDE.search(text, at)
        end = len(text) if found is None else found.start()
        if (odd := self._between(text, at, end)) is not None:
            return ~odd
        if found is None:
            return end
        mark = found.group()
        if mark == "<":
            return ~end
        return self._mark(mark, end + 1)

    def _between(self, text: str, at: int, end: int) -> int | None:
        """White space, separators, numbers and words; the place where they turn out odd."""
        piece = text[at:end]
        body = piece.lstrip()
        if not body:
            return None
        self._note(body[0])
        return end - len(body) + 1 if self.odd else None

    def _note(self, char: str) -> None:
        if self._after_string and self._angle and char not in _AFTER_STRING:
            self.odd = True
        self._after_string = False
        self._first = self._first or char

    def _mark(self, mark: str, after: int) -> int:
        """A quote or a bracket outside of strings."""
        self._note(mark)
        if mark == '"':
            self.in_string = self.depth > 0 or self._first == '"'
            self._angle = False
        elif mark in "{[":
            self.depth += 1
            self.whole = False
        elif self.depth:
            self.depth -= 1
            if not self.depth:
                self.whole = True
                return ~after
        return ~after if self.odd else after
