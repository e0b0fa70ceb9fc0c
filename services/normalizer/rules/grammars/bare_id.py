"""A call without any token: `functions.NAME:N{…}`, all that is left where a provider strips special tokens.

The id must be canonical or name an offered tool, and the object must be whole; anything else is text.
"""

from __future__ import annotations

import re

from services.normalizer.limits import MAX_CALL_CHARS
from services.normalizer.rules.grammar import Opening, RawCall, Reading, View, Wait
from services.normalizer.rules.json_scan import JsonScan

_HEAD = re.compile(r"(?<![\w.\-:$])(functions\.)?([\w.\-]{1,80}):\d{1,6}\s?$")
_LOOK_BACK = 100  # characters: the longest id


class BareId:
    """Opens at a brace that follows an id."""

    name = "bare_id"
    triggers = "{"
    calls = True
    ends_thoughts = False

    def open(self, view: View) -> Opening | Wait | None:
        head = _HEAD.search(view.text, max(0, view.at - _LOOK_BACK), view.at)
        if head is None or not view.offer.has(head[2]) or not (head[1] or view.offer.known):
            return None
        if not view.begins_word(head.start()):
            return None
        reader = BareIdReader(view.text[head.start() : view.at])
        return Opening(head.start(), view.at, "tool_call_from_bare_id", reader, counted=False)


class BareIdReader:
    """Reads one object, and gives the text back where it turns out to be none."""

    def __init__(self, head: str) -> None:
        self._head = head
        self._parts: list[str] = []
        self._size = 0
        self._scan = JsonScan()

    def feed(self, text: str, final: bool) -> Reading:
        text, behind = text[: MAX_CALL_CHARS + 1 - self._size], text[MAX_CALL_CHARS + 1 - self._size :]
        at = 0
        while at < len(text) and not self._scan.whole:
            end = self._scan.run(text, at)
            at = end + (end == at)
        self._parts.append(text[:at])
        self._size += at
        if self._scan.whole and self._size <= MAX_CALL_CHARS:
            return Reading([RawCall(self._head.strip(), "".join(self._parts), closed=True)], text[at:] + behind)
        if final or self._size > MAX_CALL_CHARS:
            body = "".join(self._parts)
            return Reading([self._head + body[:1]], body[1:] + text[at:] + behind)
        return Reading([])
