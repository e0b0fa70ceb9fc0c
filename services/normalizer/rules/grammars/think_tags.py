"""Thoughts between tags: `<think>`, old Kimi's `◁think▷`, and what other models and prompts call them.

`<think>` is known anywhere in an answer; the rarer names only at its start, where nobody writes about tags.
Where the provider sent the thoughts in a field of their own, a tag in the content is what the answer is
about, except at its start.
"""

from __future__ import annotations

from services.normalizer.rules.grammar import Opening, Tokens, View, Wait, cut_off

_EVERYWHERE = ("think", "◁think▷")
_AT_START = ("thinking", "reasoning", "thought", "reflection")
_OPENERS = ("<think>", "◁think▷", *(f"<{name}>" for name in _AT_START))
_CLOSERS = ("</think>", "◁/think▷", *(f"</{name}>" for name in _AT_START))
ORPHAN_REPAIRS = ("reasoning_from_tags", "reasoning_from_orphan_close")  # whose own the tag is that ends such a thought
_ONLY_AT_START = frozenset(_OPENERS[2:])
_RARE_CLOSERS = frozenset(_CLOSERS[2:])


class ThinkTags:
    """Switches between answer and thought."""

    name = "think_tags"
    triggers = "<◁"
    calls = False
    ends_thoughts = True

    def __init__(self) -> None:
        self._tokens = Tokens(*_OPENERS, *_CLOSERS)

    def open(self, view: View) -> Opening | Wait | None:
        token = self._tokens.at(view.text, view.at)
        if token is None:
            return cut_off(view) if self._tokens.may_begin(view.text, view.at) else None
        end = view.at + len(token)
        if token in _OPENERS:
            return self._opener(view, token, end)
        return self._closer(view, token, end)

    def _opener(self, view: View, token: str, end: int) -> Opening | None:
        if view.mode == "thought":
            if not view.at_start:
                return None
            return Opening(view.at, end, "reasoning_tag_removed")
        if not view.at_start and (view.reasoned or token in _ONLY_AT_START):
            return None
        return Opening(view.at, end, "reasoning_from_tags", mode="thought")

    def _closer(self, view: View, token: str, end: int) -> Opening | None:
        if view.mode == "thought":
            name = "reasoning_tag_removed" if view.channel == "reasoning" else "reasoning_from_tags"
            return Opening(view.at, end, name, mode="answer", counted=view.channel == "reasoning")
        if (view.reasoned or token in _RARE_CLOSERS) and not view.at_start:
            return None
        also = ("reasoning_from_tags",) if view.reasoned else ORPHAN_REPAIRS
        return Opening(view.at, end, "reasoning_tag_removed", orphan=not view.reasoned, also=also)
