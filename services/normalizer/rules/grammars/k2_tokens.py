"""Kimi K2's call tokens, and every way in which providers are known to damage them.

    <|tool_calls_section_begin|>
    <|tool_call_begin|>functions.NAME:N<|tool_call_argument_begin|>{…}<|tool_call_end|>
    <|tool_calls_section_end|>

Accepted as well: no section, a section or a call without its end, a call without its begin (the id stands in
front of the argument marker), without its argument marker, singular spellings, `tool_arguments_begin` (the K2
paper), markers without pipes or with white space in them, and calls next to each other.
"""

from __future__ import annotations

import re

from services.normalizer.rules.grammar import Opening, View, Wait, cut_off
from services.normalizer.rules.grammars.k2_reader import ARGUMENTS, HEADER, SECTION, K2Reader
from services.normalizer.rules.markers import K2_KINDS, K2_LONGEST, K2_MARKER, K2_PIPE

_PREFIXES = frozenset(kind[:n] for kind in K2_KINDS for n in range(len(kind) + 1))
_BEGINNING = re.compile(f"<{K2_PIPE}(?P<kind>[a-z_]*){K2_PIPE}")
_ID_AT_END = re.compile(r"(?<![\w.\-:$])[\w.\-]{1,80}:\d{1,6}(?=\s{0,32}$)")


class K2Markers:
    """The markers as the reader looks for them."""

    @staticmethod
    def find(text: str, at: int = 0) -> tuple[str, int, int] | None:
        """The first marker from `at` on: its kind, where it begins and where it ends."""
        found = K2_MARKER.search(text, at)
        return None if found is None else (K2_KINDS[found["kind"]], found.start(), found.end())

    @staticmethod
    def at(text: str, at: int) -> tuple[str, int, int] | None:
        """The marker that stands at `at`."""
        found = K2_MARKER.match(text, at)
        return None if found is None else (K2_KINDS[found["kind"]], found.start(), found.end())

    @staticmethod
    def may_begin(text: str, at: int) -> bool:
        """Whether the text from `at` to its end may be the beginning of a marker."""
        if len(text) - at > K2_LONGEST:
            return False
        found = _BEGINNING.fullmatch(text, at)
        if found is None or found["kind"] not in _PREFIXES:
            return False
        return found["kind"] in K2_KINDS or found.end("kind") == len(text) or not found["kind"]


class K2Tokens:
    """Opens at any of the markers."""

    name = "k2_tokens"
    triggers = "<"
    calls = True
    ends_thoughts = False

    def open(self, view: View) -> Opening | Wait | None:
        marker = K2Markers.at(view.text, view.at)
        if marker is None:
            return cut_off(view) if K2Markers.may_begin(view.text, view.at) else None
        kind, _, end = marker
        if kind in ("section", "call"):
            reader = K2Reader(K2Markers, view.offer, SECTION if kind == "section" else HEADER)
            return Opening(view.at, end, _repair(view), reader, counted=False)
        before = _ID_AT_END.search(view.text, max(0, view.at - K2_LONGEST * 2), view.at)
        if kind == "arguments" and before is not None and _is_id(view, before):
            reader = K2Reader(K2Markers, view.offer, ARGUMENTS, before.group())
            return Opening(before.start(), end, _repair(view), reader, counted=False)
        return Opening(view.at, end, "stray_marker_removed", also=(_repair(view),))


def _is_id(view: View, word: re.Match[str]) -> bool:
    return view.offer.may_begin_id(word.group()) and view.begins_word(word.start())


def _repair(view: View) -> str:
    return f"tool_call_from_{view.channel}"
