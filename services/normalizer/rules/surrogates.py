"""Text that Unicode does not allow: halves of surrogate pairs, as characters or as escapes in JSON text."""

from __future__ import annotations

import json
import re
from typing import Any

import msgspec

_HALF = re.compile("[\ud800-\udfff]")
_ESCAPES = re.compile(
    r"\\\\|\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|(\\u[dD][89a-fA-F][0-9a-fA-F]{2})"
)


def has_halves(text: str) -> bool:
    """Whether the text holds any surrogate."""
    return _HALF.search(text) is not None


def mended(text: str) -> str:
    """Pairs joined, and every lone half as U+FFFD."""
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def mended_escapes(json_text: str) -> str:
    """JSON text with every lone half that is written as an escape replaced by the escape of U+FFFD."""
    return _ESCAPES.sub(lambda found: "\\ufffd" if found[1] else found[0], json_text)


def encoded(value: Any) -> bytes:
    """A value as JSON; halves of pairs stay in it, as escapes."""
    try:
        return msgspec.json.encode(value)
    except UnicodeEncodeError:
        return json.dumps(value, ensure_ascii=True, separators=(",", ":")).encode()


def holds_half(json_text: str) -> bool:
    """Whether a JSON text would be whole if only halves of pairs were allowed in it."""
    if not has_halves(json_text) and mended_escapes(json_text) == json_text:
        return False
    try:
        json.loads(json_text)
    except (ValueError, RecursionError):
        return False
    return True


class Halves:
    """Joins pairs that were cut between two deltas of one text."""

    def __init__(self) -> None:
        self._high = ""

    def feed(self, text: str) -> tuple[str, bool]:
        """The text that is whole, and whether a half had to be replaced."""
        if not self._high and not has_halves(text):
            return text, False
        text, self._high = self._high + text, ""
        if text and "\ud800" <= text[-1] <= "\udbff":
            text, self._high = text[:-1], text[-1]
        out = mended(text)
        return out, out.count("\ufffd") > text.count("\ufffd")

    def finish(self) -> str:
        """What is left: U+FFFD for half a pair, or nothing."""
        left, self._high = self._high, ""
        return "\ufffd" if left else ""
