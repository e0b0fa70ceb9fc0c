"""Long arguments on their way out while they are still arriving.

Only what no repair would change goes out: whole members of the object, and the text of a string that its schema lets be
a string, as far as it has come. Everything else (numbers, lists, objects, a closing quote, a comma) waits until what
follows it is there. Where the text stops being JSON, what is left waits for the end; then the whole text is repaired,
and if the repaired object begins with what went out, the rest of it follows.
"""

from __future__ import annotations

import re
from typing import Any

from services.normalizer.limits import MAX_BLANK_CHARS
from services.normalizer.rules.arguments import decode, encode
from services.normalizer.rules.catalog import Repairs
from services.normalizer.rules.json_scan import JsonScan
from services.normalizer.rules.schema import coerced

_KEY = re.compile(r'\s*"((?:[^"\\\x00-\x1f]|\\["\\/bfnrt]|\\u[0-9a-fA-F]{4})*)"\s*:\s*(?=\S)')
_SLICE_CHARS = 4096  # of a longer text at once, so that copying what is left of it stays cheap
_KEY_CHARS = 300  # a longer key is no key
_STOP = re.compile(r'["\\\x00-\x1f]')
_ESCAPE = re.compile(
    r'\\(?:["\\/bfnrt]|u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|u(?![dD][89a-fA-F])[0-9a-fA-F]{4})'
)
_ESCAPE_CHARS = 12  # the longest: a surrogate pair
_SCALAR = re.compile(r"[^\s,}\]\[{\"]+(?=[\s,}])")
_ENVELOPE_KEYS = frozenset({"name", "tool", "tool_name", "function", "arguments", "parameters", "input", "args"})


class LiveArguments:
    """The arguments of one call: text in, what can go out of it."""

    def __init__(self, schema: dict[str, Any] | None, repairs: Repairs) -> None:
        self.done = False  # the object is whole, and all of it went out
        self.lost = False  # the text is not JSON any more
        self.begun_out = False  # the call's first frame went out
        self.members: dict[str, Any] = {}  # what went out as a whole
        declared = (schema or {}).get("properties")
        self._declared: dict[str, Any] | None = declared if isinstance(declared, dict) else None
        self._repairs = repairs
        self._text = ""  # not looked at yet
        self._waiting = ""  # looked at, not out
        self._key = ""
        self._string: list[str] | None = None  # what went out of the open string
        self._value: Any = None
        self._begun = False
        self._step = self._open

    def feed(self, text: str) -> str:
        """What goes out after a piece of text."""
        self._out: list[str] = []
        for at in range(0, len(text), _SLICE_CHARS):
            self._text += text[at : at + _SLICE_CHARS]
            while self._text and not self.done and not self.lost and self._step():
                pass
        return "".join(self._out)

    def rest(self, whole: dict[str, Any]) -> str | None:
        """What is missing of the repaired object, or None where it does not begin with what went out."""
        items = list(whole.items())
        sent = len(self.members)
        if items[:sent] != list(self.members.items()):
            return None
        left, out = items[sent:], "" if self._begun else "{"
        if self._string is not None:
            head = decode(f'"{"".join(self._string)}"')
            key, value = left.pop(0) if left else ("", None)
            if key != self._key or not isinstance(value, str) or not value.startswith(head):
                return None
            out += encode(value[len(head) :])[1:]
            sent += 1
        for key, value in left:
            out += ("," if sent else "") + f"{encode(key)}:{encode(value)}"
            sent += 1
        return out + "}"

    # steps: each gives whether it got on

    def _send(self, text: str) -> None:
        self._out.append(self._waiting + text)
        self._waiting = ""
        self._begun = True

    def _lose(self) -> bool:
        self.lost = True
        return False

    def _take(self, end: int) -> str:
        taken, self._text = self._text[:end], self._text[end:]
        return taken

    def _open(self) -> bool:
        start = self._text.lstrip()
        if not start and len(self._text) <= MAX_BLANK_CHARS:
            return False
        if start[:1] != "{":
            return self._lose()
        self._text, self._waiting, self._step = start[1:], "{", self._read_key
        return True

    def _read_key(self) -> bool:
        found = _KEY.match(self._text)
        if found is None:
            start = self._text.lstrip()
            waits = (not start and len(self._text) <= MAX_BLANK_CHARS) or (start[:1] == '"' and len(start) < _KEY_CHARS)
            return False if waits else self._lose()
        try:
            self._key = decode(f'"{found[1]}"')
        except ValueError:
            return self._lose()
        if not self._is_argument() or self._key in self.members:
            return self._lose()
        self._waiting += self._take(found.end())
        self._scan = JsonScan()
        self._held: list[str] = []
        self._step = self._read_value
        if self._text[0] == '"' and self._may_be_string():
            self._send(self._take(1))
            self._string, self._step = [], self._read_string
        return True

    def _is_argument(self) -> bool:
        """Whether the first key is an argument's, and not that of an envelope around them."""
        if self.members or self._begun:
            return True
        return self._key in self._declared if self._declared is not None else self._key not in _ENVELOPE_KEYS

    def _may_be_string(self) -> bool:
        """Whether a string is what the schema wants, so that nothing would be made of it."""
        schema = (self._declared or {}).get(self._key)
        kind = schema.get("type") if isinstance(schema, dict) else None
        return not isinstance(schema, dict) or kind == "string" or (isinstance(kind, list) and "string" in kind)

    def _read_string(self) -> bool:
        found = _STOP.search(self._text)
        self._put(self._take(len(self._text) if found is None else found.start()))
        if found is None:
            return False
        if found.group() == '"':
            self._waiting = self._take(1)
            self._value = decode(f'"{"".join(self._string or [])}"')
            self._step = self._read_separator
            return True
        return self._escape() if found.group() == "\\" else self._control()

    def _put(self, text: str) -> None:
        """Send a piece of the open string."""
        if text and self._string is not None:
            self._send(text)
            self._string.append(text)

    def _escape(self) -> bool:
        found = _ESCAPE.match(self._text)
        if found is not None:
            self._put(self._take(found.end()))
            return True
        return self._lose() if len(self._text) >= _ESCAPE_CHARS else False

    def _control(self) -> bool:
        """A control character that should have been escaped."""
        if not self._repairs.make("arguments_repaired"):
            return self._lose()
        self._put(encode(self._take(1))[1:-1])
        return True

    def _read_value(self) -> bool:
        """A value that waits until it is whole."""
        if not self._held and self._text[0] not in '{["':
            return self._read_scalar()
        end = self._scan.run(self._text)
        end += not self._scan.whole and self._text.startswith("<", end)
        self._held.append(self._take(end))
        return self._fit("".join(self._held)) if self._scan.whole else bool(self._text)

    def _read_scalar(self) -> bool:
        found = _SCALAR.match(self._text)
        if found is None:
            return False if len(self._text) < _KEY_CHARS else self._lose()
        return self._fit(self._take(found.end()))

    def _fit(self, text: str) -> bool:
        """A whole value: make it fit its schema."""
        try:
            value = decode(text)
        except ValueError:
            return self._lose()
        self._value = value
        if self._repairs.on("arguments_coerced"):
            self._value = coerced(value, (self._declared or {}).get(self._key))
        if encode(self._value) != encode(value):
            self._repairs.make("arguments_coerced")
            text = encode(self._value)
        self._waiting += text
        self._step = self._read_separator
        return True

    def _read_separator(self) -> bool:
        start = self._text.lstrip()
        if not start and len(self._text) <= MAX_BLANK_CHARS:
            return False
        if start[:1] not in (",", "}"):
            return self._lose()
        space = self._take(len(self._text) - len(start))
        self.members[self._key] = self._value
        self._string = None
        if start[0] == "}":
            self._send(space + self._take(1))
            self.done = True
        else:
            self._send(space)
            self._waiting, self._step = self._take(1), self._read_key
        return True
