"""`<tool_call>{"name": …, "arguments": {…}}</tool_call>`, the form of Hermes and Qwen; also `<function=NAME>`
in it."""

from __future__ import annotations

import re

import msgspec

from services.normalizer.limits import MAX_BLANK_CHARS
from services.normalizer.rules.grammar import Opening, RawCall, Tokens, View, Wait, cut_off
from services.normalizer.rules.grammars.body import BodyReader, TaggedValues, begins_with
from services.normalizer.rules.json_scan import JsonObjects
from services.normalizer.rules.markers import HERMES

_FUNCTION = re.compile(r"<function=([\w.\-]+)>(.*?)(?:</function>|\Z)", re.DOTALL)
_JSON = ("{", "[")
_PARAMETER_END = "</parameter>"
_PARAMETER_TAG = re.compile(r"(?P<opens><parameter=)|</(?:parameter|function)>")
_PARAMETER = re.compile(r"<parameter=([\w.\-]+)>\n?(.*?)\n?</parameter>", re.DOTALL)


class Hermes:
    """Opens at `<tool_call>`; a closing tag without it is removed."""

    name = "hermes"
    triggers = "<"
    calls = True
    ends_thoughts = False

    def __init__(self) -> None:
        self._tokens = Tokens(*HERMES)

    def open(self, view: View) -> Opening | Wait | None:
        marker = self._tokens.at(view.text, view.at)
        if marker is None:
            return cut_off(view) if self._tokens.may_begin(view.text, view.at) else None
        end = view.at + len(marker)
        if marker == HERMES[1]:
            return Opening(view.at, end, "stray_marker_removed", also=("tool_call_from_hermes",))
        reader = BodyReader(HERMES[1], parse, plausible, HermesValues())
        return Opening(view.at, end, "tool_call_from_hermes", reader, counted=False)


def plausible(body: str) -> bool | None:
    """Whether a body is a call's: an object, a list of objects, or `<function=…`."""
    if not body.startswith("["):
        return begins_with(body, "{", "<function=")
    entry = body[1 : MAX_BLANK_CHARS + 2].lstrip()
    return entry.startswith("{") if entry or len(body) > MAX_BLANK_CHARS else None


class HermesValues:
    """Follows a body of either form: a closing tag in a JSON string or in a parameter is data."""

    def __init__(self) -> None:
        self._kind: JsonObjects | TaggedValues | None = None

    def feed(self, text: str) -> None:
        if self._kind is None and text.strip():
            self._kind = JsonObjects() if text.lstrip().startswith(_JSON) else TaggedValues(_PARAMETER_TAG)
        if self._kind is not None:
            self._kind.feed(text)

    @property
    def inside(self) -> bool:
        return self._kind is not None and self._kind.inside


def parse(body: str, closed: bool) -> list[RawCall]:
    """The calls in a body: an object each, or in tags."""
    if not body.lstrip().startswith(_JSON):
        return _functions(body, closed)
    if body.lstrip().startswith("["):
        body = body.rstrip().removesuffix("]")
    objects = JsonObjects()
    objects.feed(body)
    ends = [*objects.starts[1:], len(body)]
    texts = [body[start:end].strip() for start, end in zip(objects.starts, ends, strict=True)]
    return [*(RawCall("", text.rstrip(", \n"), closed=True) for text in texts[:-1]), RawCall("", texts[-1], closed)]


def _functions(body: str, closed: bool) -> list[RawCall]:
    """`<function=NAME>` with an object or with one parameter tag per argument."""
    calls = []
    for name, inner in _FUNCTION.findall(body):
        values = dict(_PARAMETER.findall(inner[: inner.rfind(_PARAMETER_END) + len(_PARAMETER_END)]))
        text = msgspec.json.encode(values).decode() if values else inner.strip()
        calls.append(RawCall(name, text, closed=closed))
    return calls
