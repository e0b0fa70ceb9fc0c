"""Kimi K3's structure, which providers leak when their parser does not know it:

    <|open|>think<|sep|>…<|close|>think<|sep|><|open|>response<|sep|>…<|close|>response<|sep|>
    <|open|>tools<|sep|><|open|>call tool="NAME" index="1"<|sep|>
    <|open|>argument key="city" type="string"<|sep|>Rome<|close|>argument<|sep|>
    <|close|>call<|sep|><|close|>tools<|sep|><|close|>message<|sep|><|end_of_msg|>

An argument of type `string` is raw text; of any other type it is JSON.
"""

from __future__ import annotations

import re
from typing import Any

import msgspec

from services.normalizer.rules.grammar import WAIT, Mode, Opening, RawCall, Tokens, View, Wait, cut_off
from services.normalizer.rules.grammars.body import BodyReader, TaggedValues, begins_with
from services.normalizer.rules.grammars.think_tags import ORPHAN_REPAIRS

_TAG = re.compile(r"<\|(open|close)\|>\s?(\w++)([^<]*+)<\|sep\|>")
_NAMES = ("think", "response", "message", "tools", "call", "argument")
_LOOSE = re.compile(rf"<\|(?:open|close)\|>(?:\s?(?:{'|'.join(_NAMES)})\b)?|<\|sep\|>")
_OF_CALLS = re.compile(r"<\|(?:open|close)\|>\s?(?:tools|call|argument)(?=\W)")
_BEGUN = "|".join(sorted({name[:n] for name in _NAMES for n in range(len(name) + 1)}, key=len, reverse=True))
_CUT_TAG = re.compile(  # a tag that the end of the answer cuts off
    rf'<\|(?:open|close)\|>\s?(?:{_BEGUN})(?:(?<=call|ment)(?:\s\w+="[^"<]*")*(?:\s\w+=?|\s\w+="[^"<]*|\s)?)?'
    r"(?:<(?:\|(?:s(?:e(?:p\|?)?)?)?)?)?\Z"
)
_TAG_CHARS = 400  # the longest tag that is waited for
_ARGUMENT_TAG = re.compile(r"(?P<opens><\|open\|>argument)|<\|close\|>argument")
_ATTRIBUTE = re.compile(r'(\w+)="([^"]*)"')


class K3Tokens:
    """Opens at `<|open|>` and `<|close|>`."""

    name = "k3_tokens"
    triggers = "<"
    calls = False  # most of its tags are no calls; those that are look at the offer themselves
    ends_thoughts = False

    def __init__(self) -> None:
        self._tokens = Tokens("<|open|>", "<|close|>", "<|sep|>")

    def open(self, view: View) -> Opening | Wait | None:
        marker = self._tokens.at(view.text, view.at)
        if marker is None:
            return cut_off(view) if self._tokens.may_begin(view.text, view.at) else None
        if not view.offer.may_call and (marker == "<|sep|>" or _OF_CALLS.match(view.text, view.at)):
            return None  # with no tools offered it can only be text
        tag = _TAG.match(view.text, view.at)
        if tag is not None and len(tag.group()) <= _TAG_CHARS:
            return self._tag(view, tag)
        if marker != "<|sep|>" and not view.final and len(view.text) - view.at < _TAG_CHARS:
            return WAIT
        if view.final and len(view.text) - view.at < _TAG_CHARS and _CUT_TAG.match(view.text, view.at):
            return Opening(view.at, len(view.text), "cut_marker_removed", also=("tool_call_from_k3",))
        loose = _LOOSE.match(view.text, view.at)
        end = loose.end() if loose else view.at + len(marker)
        return Opening(view.at, end, "stray_marker_removed", also=("tool_call_from_k3",))

    def _tag(self, view: View, tag: re.Match[str]) -> Opening:
        kind, name = tag[1], tag[2]
        if kind == "open" and name in ("tools", "call") and view.offer.may_call:
            closer, body = ("tools", "") if name == "tools" else ("call", tag.group())
            reader = BodyReader(f"<|close|>{closer}<|sep|>", _parse, _plausible, TaggedValues(_ARGUMENT_TAG), body)
            return Opening(view.at, tag.end(), "tool_call_from_k3", reader, counted=False)
        if name == "think":
            return self._think(view, kind, tag.end())
        return Opening(view.at, tag.end(), "stray_marker_removed", also=("tool_call_from_k3",))

    def _think(self, view: View, kind: str, end: int) -> Opening:
        mode: Mode = "thought" if kind == "open" else "answer"
        if mode == view.mode:
            orphan = mode == "answer" and not view.reasoned
            also = ORPHAN_REPAIRS if orphan else ("reasoning_from_tags",)
            return Opening(view.at, end, "reasoning_tag_removed", orphan=orphan, also=also)
        return Opening(view.at, end, "reasoning_from_tags", mode=mode)


def _plausible(body: str) -> bool | None:
    """Whether a body holds calls: it begins with one."""
    return begins_with(body, "<|open|>")


def _parse(body: str, closed: bool) -> list[RawCall]:
    """The calls of a tools block."""
    if closed and "<|close|>call" not in body[-40:]:
        body += "<|close|>call<|sep|>"
    calls: list[RawCall] = []
    named: dict[str, str] | None = None  # of the open call
    open_tag: re.Match[str] | None = None  # of the open argument
    values: dict[str, Any] = {}
    for tag in _TAG.finditer(body):
        kind = tag[1], tag[2]
        if open_tag is not None:
            if kind == ("close", "argument"):
                values |= _argument(open_tag[3], body[open_tag.end() : tag.start()])
                open_tag = None
        elif kind == ("open", "call"):
            named, values = dict(_ATTRIBUTE.findall(tag[3])), {}
        elif kind == ("open", "argument"):
            open_tag = tag
        elif kind == ("close", "call") and named is not None:
            calls.append(_call(named, values))
            named = None
    return calls


def _call(named: dict[str, str], values: dict[str, Any]) -> RawCall:
    head = f"{named.get('tool', '')}:{named['index']}" if "index" in named else named.get("tool", "")
    return RawCall(head, msgspec.json.encode(values).decode(), closed=True)


def _argument(attributes: str, text: str) -> dict[str, Any]:
    """The argument that a tag's attributes name; nothing where they name none."""
    named = dict(_ATTRIBUTE.findall(attributes))
    key = named.get("key", "")
    if not key or named.get("type", "string") == "string":
        return {key: text} if key else {}
    try:
        return {key: msgspec.json.decode(text)}
    except (msgspec.MsgspecError, UnicodeError):
        return {key: text}
