"""Where a marker is text: inside code spans, code fences and quotation marks.

Markdown as models write it: a run of three or more backticks or tildes that begins a line opens a fence, and
the next such run of the same character closes it; any other run of backticks opens a span that an equally
long run on the same line closes.
"""

from __future__ import annotations

import re

_PAIRS = {'"': '"', "'": "'", "“": "”", "‘": "’", "«": "»", "「": "」", "『": "』", "`": "`"}
_RUNS = re.compile(r"`+|~+|\n")
_FENCE_CHARS = 3  # CommonMark


def closing_quote(char: str) -> str | None:
    """The quotation mark that closes what `char` opens."""
    return _PAIRS.get(char)


class CodeSpans:
    """Follows a text and knows whether its end is inside code."""

    def __init__(self) -> None:
        self._fence = ""  # the character of the open fence
        self._span = 0  # backticks that opened the span, 0 outside of one
        self._line_blank = True  # nothing but white space on the line so far
        self._run = ""  # a run of backticks or tildes that may still grow

    @property
    def inside(self) -> bool:
        """Whether a marker right here would be inside code."""
        self._settle()
        return bool(self._fence or self._span)

    @property
    def ticks(self) -> int:
        """Backticks that opened the span, where this is one; 0 in a fence and outside of code."""
        self._settle()
        return 0 if self._fence else self._span

    def leave(self) -> None:
        """The open span is none: nothing closes it."""
        self._span = 0

    @property
    def begins_line(self) -> str:
        """The open fence's character, where nothing but white space stands on its line so far; else nothing."""
        self._settle()
        return self._fence if self._line_blank else ""

    @property
    def fenced(self) -> bool:
        """Whether everything that follows right here is inside a fence; false while a run may still grow."""
        return not self._run and bool(self._fence)

    @property
    def clear(self) -> bool:
        """Whether this is surely outside of code."""
        return not (self._run or self._fence or self._span)

    def plain(self, text: str) -> None:
        """Follow a text without backticks or tildes: the fast way for most chunks."""
        if self._run:
            self._settle()
        line = text.rfind("\n")
        if line >= 0:
            self._span = 0
            self._line_blank = not text[line + 1 :].strip()
        elif self._line_blank:
            self._line_blank = not text.strip()

    def follow(self, text: str) -> None:
        """Follow any text."""
        at = 0
        for found in _RUNS.finditer(text):
            if found.start() > at:
                self.plain(text[at : found.start()])
            self._mark(found.group())
            at = found.end()
        if at < len(text):
            self.plain(text[at:])

    def _mark(self, mark: str) -> None:
        if mark == "\n":
            self.plain(mark)
        elif self._run and self._run[0] == mark[0]:
            self._run += mark
        else:
            self._settle()
            self._run = mark

    def _settle(self) -> None:
        """A run has ended: it opens or closes a fence or a span, or means nothing."""
        run, self._run = self._run, ""
        if not run:
            return
        if self._line_blank and len(run) >= _FENCE_CHARS and self._fence in ("", run[0]):
            self._fence = "" if self._fence else run[0]
        elif not self._fence and run[0] == "`":
            self._toggle_span(len(run))
        self._line_blank = False

    def _toggle_span(self, ticks: int) -> None:
        if not self._span:
            self._span = ticks
        elif self._span == ticks:
            self._span = 0
