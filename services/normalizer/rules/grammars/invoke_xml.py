"""`<function_calls><invoke name="…"><parameter name="…">…</parameter></invoke></function_calls>`, the form
that Claude's prompts taught to other models; also `<invoke>` alone, and with a namespace in front of
the names."""

from __future__ import annotations

import re
from html import unescape

import msgspec

from services.normalizer.rules.grammar import WAIT, Opening, RawCall, Reading, Tokens, View, Wait, cut_off
from services.normalizer.rules.grammars.body import BodyReader, TaggedValues, begins_with

_NAMESPACE = "antml:"
_WRAPPERS = ("<function_calls>", f"<{_NAMESPACE}function_calls>")
_CALLS = ('<invoke name="', f'<{_NAMESPACE}invoke name="')
_CLOSERS = ("</function_calls>", f"</{_NAMESPACE}function_calls>", "</invoke>", f"</{_NAMESPACE}invoke>")
_PARAMETER_TAG = re.compile(r"(?P<opens><(?:antml:)?parameter\b(?![^<>]{0,100}/>))|</(?:antml:)?parameter>")
_HEAD = re.compile(r'([^"<>]{0,128})"\s{0,8}(/?)>')
_HEAD_BEGUN = re.compile(r'[^"<>]{0,128}(?:"\s{0,8}/?)?\Z')
_TAG = re.compile(
    r'<(?:antml:)?invoke name="(?P<call>[^"<>]{0,128})"[^<>]{0,100}>|(?P<done></(?:antml:)?invoke>)|'
    r'<(?:antml:)?parameter name="(?P<key>[^"<>]{0,80})"[^<>]{0,80}>|(?P<over></(?:antml:)?parameter>)'
)


class InvokeXml:
    """Opens at the wrapper or at a call; a closing tag of neither is removed."""

    name = "invoke_xml"
    triggers = "<"
    calls = True
    ends_thoughts = False

    def __init__(self) -> None:
        self._tokens = Tokens(*_WRAPPERS, *_CALLS, *_CLOSERS)

    def open(self, view: View) -> Opening | Wait | None:
        token = self._tokens.at(view.text, view.at)
        if token is None:
            return cut_off(view) if self._tokens.may_begin(view.text, view.at) else None
        end = view.at + len(token)
        if token in _CLOSERS:
            return Opening(view.at, end, "stray_marker_removed", also=("tool_call_from_xml",))
        if token in _WRAPPERS:
            reader = BodyReader(f"</{token[1:]}", parse, plausible, TaggedValues(_PARAMETER_TAG))
            return Opening(view.at, end, "tool_call_from_xml", reader, counted=False)
        return self._call(view, token, end)

    def _call(self, view: View, token: str, end: int) -> Opening | Wait:
        """A call on its own: with a body, or all in one tag."""
        head = _HEAD.match(view.text, end)
        if head is None and not view.final and _HEAD_BEGUN.match(view.text, end):
            return WAIT
        if head is not None and head[2]:
            return Opening(view.at, head.end(), "tool_call_from_xml", EmptyCall(unescape(head[1])), counted=False)
        closer = f"</{token[1:].split()[0]}>"
        reader = BodyReader(closer, parse_one, plausible, TaggedValues(_PARAMETER_TAG), body=token)
        return Opening(view.at, end, "tool_call_from_xml", reader, counted=False)


class EmptyCall:
    """`<invoke name="…"/>`: it was all there when it was found."""

    def __init__(self, name: str) -> None:
        self._name = name

    def feed(self, text: str, final: bool) -> Reading:
        return Reading([RawCall(self._name, "{}", closed=True)], text)


def plausible(body: str) -> bool | None:
    """Whether a body holds calls: it begins with one."""
    return begins_with(body, *_CALLS)


def parse(body: str, closed: bool) -> list[RawCall]:
    """The calls of a wrapper; values are texts, which the tool's schema gives their types later."""
    parser = _Parser(body)
    for tag in _TAG.finditer(body):
        parser.take(tag)
    return parser.calls


class _Parser:
    """Goes from tag to tag. A call that another one follows counts, though its end is missing."""

    def __init__(self, body: str) -> None:
        self.calls: list[RawCall] = []
        self._body = body
        self._name: str | None = None
        self._values: dict[str, str] = {}
        self._key: str | None = None
        self._from = 0  # where the open value begins

    def take(self, tag: re.Match[str]) -> None:
        empty = tag.group().endswith("/>")
        if self._key is not None:
            if tag["over"]:
                self._put(self._key, self._body[self._from : tag.start()])
        elif tag["call"] is not None:
            self._end()
            self._name = unescape(tag["call"])
            if empty:
                self._end()
        elif tag["key"] is not None:
            self._key, self._from = unescape(tag["key"]), tag.end()
            if empty:
                self._put(self._key, "")
        elif tag["done"]:
            self._end()

    def _put(self, key: str, value: str) -> None:
        self._values[key] = unescape(value.removeprefix("\n").removesuffix("\n"))
        self._key = None

    def _end(self) -> None:
        if self._name is not None:
            self.calls.append(RawCall(self._name, msgspec.json.encode(self._values).decode(), closed=True))
        self._name, self._values = None, {}


def parse_one(body: str, closed: bool) -> list[RawCall]:
    """The call of a body that has lost its closing tag to the reader."""
    return parse(body + "</invoke>" if closed else body, closed)
