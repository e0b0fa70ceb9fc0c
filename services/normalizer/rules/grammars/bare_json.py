"""An answer that is nothing but a call: `{"name": "get_weather", "arguments": {…}}`.

Taken for a call only where it is the whole content (tokens behind it apart), tools are offered, and one of them has
that name. Until that is clear the object is held back; most answers in JSON are let go at their first key.
"""

from __future__ import annotations

import re

import msgspec

from services.normalizer.limits import MAX_CALL_CHARS
from services.normalizer.rules.arguments import encode
from services.normalizer.rules.grammar import Opening, RawCall, Reading, View, Wait
from services.normalizer.rules.json_scan import JsonScan
from services.normalizer.rules.markers import may_be_trail, without_trailing

_KEYS = ("name", "tool", "function", "tool_name", "arguments", "parameters", "type")
_NAME_KEYS = ("name", "tool", "function", "tool_name")
_ARGUMENT_KEYS = ("arguments", "parameters", "input", "args")
_HEAD_CHARS = 400  # of its beginning, by which it is judged
_FIRST_KEY = re.compile(r'\{\s*(?:"(?P<key>[^"\\]*)(?P<closed>"\s*:?\s*(?:"(?P<value>[^"\\]*)(?P<end>"?))?)?)?')


class BareJson:
    """Opens at a brace that begins the content."""

    name = "bare_json"
    triggers = "{"
    calls = True
    ends_thoughts = False

    def open(self, view: View) -> Opening | Wait | None:
        if view.channel != "content" or view.mode != "answer" or not view.offer.known or not view.at_start:
            return None
        reader = BareJsonReader(view.text[: view.at], view)
        return Opening(0, view.at, "tool_call_from_json", reader, counted=False)


class BareJsonReader:
    """Reads the object for as long as it may be a call."""

    def __init__(self, space: str, view: View) -> None:
        self._space = space
        self._offers = view.offer.has
        self._head = ""  # how it begins
        self._parts: list[str] = []
        self._size = 0
        self._scan = JsonScan()
        self._behind = ""  # what stands behind the object: tokens at most
        self._more = False  # the object is not all there is
        self._judged = False

    def feed(self, text: str, final: bool) -> Reading:
        self._take(text)
        plausible = not self._more and self._size <= MAX_CALL_CHARS and self._may_be_call()
        if plausible and not final:
            return Reading([])
        text = "".join(self._parts)
        call = self._call(text) if plausible and not without_trailing(self._behind) else None
        if call is not None:
            return Reading([call], self._behind)
        text += self._behind
        return Reading([self._space + text[:1]], text[1:])

    def _take(self, text: str) -> None:
        at = 0
        while at < len(text) and not self._scan.whole:
            end = self._scan.run(text, at)
            at = end + (end == at)
        self._behind += text[at:]
        self._more = self._more or not may_be_trail(self._behind)
        self._size += len(text)
        text = text[:at]
        self._parts.append(text)
        self._head += text[: _HEAD_CHARS - len(self._head)]

    def _may_be_call(self) -> bool:
        if self._judged:
            return True
        head = _FIRST_KEY.match(self._head)
        key = head["key"] if head else None
        over = len(self._head) == _HEAD_CHARS
        if not head or key is None:
            return not over and not self._head[1:].strip()
        if not head["closed"]:
            return any(known.startswith(key) for known in _KEYS)
        return key in _KEYS and self._named(head, key, over)

    def _named(self, head: re.Match[str], key: str, over: bool) -> bool:
        """Whether the name, as far as it is there, is an offered tool's."""
        if key not in _NAME_KEYS:
            return True
        if not head["end"]:
            return not over or head["value"] is None  # not a string: a call's own object may stand there
        self._judged = self._offers(head["value"])
        return self._judged

    def _call(self, whole: str) -> RawCall | None:
        try:
            value = msgspec.json.decode(whole)
        except (msgspec.MsgspecError, UnicodeError):
            return None
        text, inner = whole.strip(), value.get("function")
        if isinstance(inner, dict):  # a structured call as it should have come
            text, value = encode(inner), inner
        name = next((value[key] for key in _NAME_KEYS if isinstance(value.get(key), str)), "")
        if not self._offers(name) or not any(key in value for key in _ARGUMENT_KEYS):
            return None
        return RawCall("", text, closed=True)
