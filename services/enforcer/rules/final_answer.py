"""`final_answer` out of a termination call's arguments, while they arrive.

Of `{"final_answer": "Done.\\nBye"}` the text `Done.`, a line end and `Bye` come out, wherever the JSON is cut: in an
escape, between the halves of a surrogate pair. What can't be read that way (another key, a value that is no text) is
read once, at the end.
"""

from __future__ import annotations

import json
import re
from typing import Any

from services.enforcer.rules.termination import ANSWER

MOST_CHARACTERS = 1024 * 1024  # of arguments that are kept for the end; an answer that streams isn't limited by it

OPENING = re.compile(rf'\s*\{{\s*"{ANSWER}"\s*:\s*"')
BEGINNING = re.compile(r'[\s{":a-z_]*')  # what may still become OPENING; 64 characters of it are enough
LONGEST_OPENING = 64
PLAIN = re.compile(r'[^"\\]+')
ESCAPES = {'"': '"', "\\": "\\", "/": "/", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}
UNICODE = re.compile(r"\\u[0-9a-fA-F]{4}")
ESCAPE_LENGTH = 6  # \u1234
REPLACEMENT = "\ufffd"


class FinalAnswer:
    """`feed` gives what can be said by now, `finish` the rest."""

    def __init__(self) -> None:
        self._whole: list[str] = []
        self._kept = 0
        self._pending = ""
        self._inside: bool | None = None  # of the text; None = not there yet
        self._is_streamed = False
        self._high = ""  # the first half of a surrogate pair

    def feed(self, arguments: str) -> str:
        self._keep(arguments)
        self._pending += arguments
        if self._inside is None:
            self._open()
        return self._read() if self._inside else ""

    def finish(self) -> str:
        """What is left, where the text has not come out while it arrived."""
        if self._is_streamed:
            rest, self._high = self._high and REPLACEMENT, ""
            return rest
        return _answer_in("".join(self._whole))

    def _keep(self, arguments: str) -> None:
        if self._kept < MOST_CHARACTERS:
            self._whole.append(arguments[: MOST_CHARACTERS - self._kept])
            self._kept += len(arguments)

    def _open(self) -> None:
        found = OPENING.match(self._pending)
        if found is not None:
            self._pending = self._pending[found.end() :]
            self._inside = self._is_streamed = True
        elif len(self._pending) > LONGEST_OPENING or not BEGINNING.fullmatch(self._pending):
            self._inside = False

    def _read(self) -> str:
        out: list[str] = []
        while self._pending and self._inside:
            plain = PLAIN.match(self._pending)
            if plain is not None:
                out.append(self._unpaired() + plain[0])
                self._pending = self._pending[plain.end() :]
            elif self._pending[0] == '"':
                out.append(self._unpaired())
                self._inside = False
            elif not self._escape(out):
                break
        return "".join(out)

    def _unpaired(self) -> str:
        """A first half that no second one has followed."""
        high, self._high = self._high, ""
        return REPLACEMENT if high else ""

    def _escape(self, out: list[str]) -> bool:
        """Takes one escape; whether it was all there."""
        if len(self._pending) < 2 or (self._pending[1] == "u" and len(self._pending) < ESCAPE_LENGTH):
            return False
        if self._pending[1] != "u":
            out.append(self._unpaired() + ESCAPES.get(self._pending[1], self._pending[1]))
            self._pending = self._pending[2:]
            return True
        escape, self._pending = self._pending[:ESCAPE_LENGTH], self._pending[ESCAPE_LENGTH:]
        out.append(self._character(chr(int(escape[2:], 16))) if UNICODE.fullmatch(escape) else REPLACEMENT)
        return True

    def _character(self, unit: str) -> str:
        if "\udc00" <= unit <= "\udfff" and self._high:
            pair, self._high = self._high + unit, ""
            return pair.encode("utf-16", "surrogatepass").decode("utf-16")
        before = self._unpaired()
        if "\ud800" <= unit <= "\udbff":
            self._high = unit
            return before
        return before + (REPLACEMENT if "\udc00" <= unit <= "\udfff" else unit)


def _answer_in(arguments: str) -> str:
    """The text in arguments that say it otherwise; nothing where there is none."""
    try:
        value = json.loads(arguments)
    except (ValueError, RecursionError):
        return ""
    if isinstance(value, dict):
        texts = [one for one in value.values() if isinstance(one, str)]
        value = value[ANSWER] if value.get(ANSWER) is not None else texts[0] if len(texts) == 1 else None
    return _as_text(value)


def _as_text(value: Any) -> str:
    if value is None:
        return ""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text.encode("utf-8", "replace").decode()
