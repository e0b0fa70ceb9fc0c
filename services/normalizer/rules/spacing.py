"""White space where a block was taken out of a text.

At an edge of the text it is dropped. Between two texts the white space before the block is kept, else that
after it.
"""

from __future__ import annotations

TRIM_CHARS = 32
"""How much white space before a block is dropped at most: streaming must not hold back more than about a
marker."""

_AFTER_CHARS = 1024  # white space after a block that is remembered
_TAIL_CHARS = 128  # more than the longest beginning of a marker, or the longest id of a call


def trailing_space(text: str) -> int:
    """Where the white space begins that may still have to be dropped, should a block follow `text`."""
    return max(len(text.rstrip()), len(text) - TRIM_CHARS)


class Seam:
    """One text that is put together from pieces with blocks taken out in between."""

    def __init__(self) -> None:
        self.begun = False  # anything but white space went out
        self.open = False  # a block was taken out, and no text has come since: the next one may not go out as it is
        self.tail = " "  # what went out last, as far back as something may begin that it ends in
        self._only = False  # it is the only one since the last text
        self._before = ""
        self._after = ""

    @property
    def joint(self) -> str:
        """The white space that goes out in front of the next text, should nothing else come before it."""
        return (self._before or self._after) if self.begun and self.open else ""

    def text(self, piece: str) -> str:
        """What of the piece goes out now."""
        if not self.open:
            self.begun = self.begun or not piece.isspace()
            return self._told(piece)
        body = piece.lstrip()
        self._after = (self._after + piece[: len(piece) - len(body)])[:_AFTER_CHARS]
        if not body:
            return ""
        joint = self.joint
        self.open, self._before, self._after = False, "", ""
        self.begun = True
        return self._told(joint + body)

    def block(self, before: str) -> str:
        """Take out a block that follows `before`; what of `before` goes out now."""
        cut = trailing_space(before)
        out = self.text(before[:cut]) if cut else ""
        if cut < len(before) and not self._before:
            self._before = before[cut:]
        self._only = not self.open
        self.open = True
        return out

    def give_back(self, piece: str) -> str:
        """The block that was taken out is text after all: what goes out, as if it had never been one."""
        if not self._only:
            return self.text(piece)
        out = self._before + piece
        self.open, self._only, self._before, self._after = False, False, "", ""
        self.begun = self.begun or not out.isspace()
        return self._told(out)

    def _told(self, out: str) -> str:
        self.tail = (self.tail + out)[-_TAIL_CHARS:]
        return out

    def part(self) -> None:
        """Begin a text that is separated from the one before by a line break."""
        self.open, self._before, self._after = True, "\n", ""
