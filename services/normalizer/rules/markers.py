"""How the tokens of Kimi's format are spelt: the one place that knows it."""

from __future__ import annotations

import re

K2_KINDS = {
    "tool_calls_section_begin": "section",
    "tool_call_section_begin": "section",
    "tool_calls_begin": "section",
    "tool_calls_section_end": "section_end",
    "tool_call_section_end": "section_end",
    "tool_calls_end": "section_end",
    "tool_call_begin": "call",
    "tool_call_end": "call_end",
    "tool_call_argument_begin": "arguments",
    "tool_call_arguments_begin": "arguments",
    "tool_arguments_begin": "arguments",
    "tool_argument_begin": "arguments",
    "tool_call_argument_end": "stray",
    "tool_call_arguments_end": "stray",
}
"""What each token of a call does."""

_SPACE = r"\s{0,2}"  # a line may end in `\r\n`
K2_PIPE = f"{_SPACE}[|｜]?{_SPACE}"
"""A token's edge, with all the white space that is known to come in it."""

K2_MARKER = re.compile(f"<{K2_PIPE}(?P<kind>{'|'.join(sorted(K2_KINDS, key=len, reverse=True))}){K2_PIPE}>")
"""A token of a call."""

TURN_ENDS = ("<|im_end|>", "<|im_middle|>", "<|end_of_msg|>")
STRANGERS = ("<|im_user|>", "<|im_system|>")
ASSISTANT = "<|im_assistant|>"
LITERALS = ("[EOS]", "[BOS]")
HERMES = ("<tool_call>", "</tool_call>")

K2_LONGEST = 48  # characters: `tool_call_arguments_begin` with two pipes and spaces

_LOOSE = (*TURN_ENDS, *STRANGERS, ASSISTANT, *LITERALS, HERMES[1])
_TRAILER = re.compile(f"{K2_MARKER.pattern}|{'|'.join(map(re.escape, _LOOSE))}")
_BEGINNING = re.compile(rf"[<\[][^<\[]{{0,{K2_LONGEST}}}")
_TRAIL_CHARS = 256  # of tokens behind something that may be a call


def without_trailing(text: str) -> str:
    """A call's arguments without the tokens that are left over at their end. Takes linear time."""
    end = len(text)
    while True:
        while end and text[end - 1].isspace():
            end -= 1
        at = max(text.rfind(char, max(0, end - K2_LONGEST), end) for char in "<[")
        if at < 0 or not _TRAILER.fullmatch(text, at, end):
            return text[:end]
        end = at


def may_be_trail(text: str) -> bool:
    """Whether a text may be nothing but such tokens, as far as it is there."""
    text = text.strip()
    if len(text) > _TRAIL_CHARS:
        return False
    at = max(text.rfind("<"), text.rfind("["), 0)
    return not without_trailing(text) or (not without_trailing(text[:at]) and bool(_BEGINNING.fullmatch(text, at)))
