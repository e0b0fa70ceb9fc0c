"""Tokens that end a turn, and what a model makes up after them when nobody stops it.

    answer<|im_end|><|im_user|>user<|im_middle|>an invented question

The end tokens are removed. From the header of a turn that isn't the assistant's everything is dropped.
"""

from __future__ import annotations

import re

from services.normalizer.rules.grammar import WAIT, Opening, Tokens, View, Wait, cut_off
from services.normalizer.rules.markers import ASSISTANT, LITERALS, STRANGERS, TURN_ENDS

_OWN_HEADER = re.compile(r"<\|im_assistant\|>[\w \-]{0,32}<\|im_middle\|>")
_HEADER_CHARS = 60
_BLANK_CHARS = 32


class TurnTokens:
    """Removes turn tokens; `[EOS]` only where nothing but markers follows: elsewhere it may be prose."""

    name = "turn_tokens"
    triggers = "<["
    calls = False
    ends_thoughts = False

    def __init__(self) -> None:
        self._tokens = Tokens(*TURN_ENDS, *STRANGERS, ASSISTANT, *LITERALS)

    def open(self, view: View) -> Opening | Wait | None:
        token = self._tokens.at(view.text, view.at)
        if token is None:
            return cut_off(view) if self._tokens.may_begin(view.text, view.at) else None
        end = view.at + len(token)
        if token in LITERALS:
            return self._literal(view, end)
        if token in STRANGERS:
            return Opening(view.at, end, "invented_turn_removed", mode="discard")
        if token == ASSISTANT:
            return self._own_header(view, end)
        return Opening(view.at, end, "turn_token_removed")

    def _literal(self, view: View, end: int) -> Opening | Wait | None:
        after = view.text[end : end + _BLANK_CHARS]
        follows = after.lstrip()
        if not follows:
            short = len(after) < _BLANK_CHARS and not view.final
            return WAIT if short else Opening(view.at, end, "turn_token_removed")
        if follows.startswith(("<|", *LITERALS)):
            return Opening(view.at, end, "turn_token_removed")
        may_grow = not view.final and any(t.startswith(follows) for t in ("<|", *LITERALS))
        return WAIT if may_grow else None

    def _own_header(self, view: View, end: int) -> Opening | Wait:
        header = _OWN_HEADER.match(view.text, view.at)
        if header is None and not view.final and len(view.text) - view.at < _HEADER_CHARS:
            return WAIT
        return Opening(view.at, header.end() if header else end, "turn_token_removed")
