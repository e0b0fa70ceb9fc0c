"""The text of a call's arguments: read as JSON, repaired where it is broken, never completed where it was
cut.

What is valid stays byte for byte, white space around it apart. What is broken goes to the library
json-repair, but only where it can be told apart from something cut off: an open string, or a key without a
value, is never closed for the model, for half a command is worse than none.
"""

from __future__ import annotations

import json
import re
from typing import Any, NamedTuple

import json_repair
import msgspec

from services.normalizer.rules.catalog import Repairs
from services.normalizer.rules.json_scan import JsonScan
from services.normalizer.rules.markers import without_trailing
from services.normalizer.rules.surrogates import holds_half, mended, mended_escapes

MAX_REPAIR_CHARS = 256 * 1024
"""json-repair reads about a megabyte a second on this project's reference machine; longer broken text is
given up."""

_FENCE = re.compile(r"\A\s*```[\w-]*\s*|\s*```\s*\Z")
_ENVELOPES = ("arguments", "parameters", "input", "args")
_NAMES = ("name", "tool", "tool_name", "function")
_DECODER = json.JSONDecoder()


class Arguments(NamedTuple):
    """Arguments that are valid: the object, its text, and the tool's name where an envelope held it."""

    value: dict[str, Any]
    text: str
    name: str = ""


class Unreadable(NamedTuple):
    """Arguments that can't be used, and the repair that drops their call."""

    repair: str


def decode(text: str) -> Any:
    """The JSON value of a text; raises ValueError."""
    try:
        return msgspec.json.decode(text)
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        raise ValueError(str(error)) from None


def encode(value: Any) -> str:
    """A JSON text."""
    try:
        return msgspec.json.encode(value).decode()
    except UnicodeEncodeError:
        return mended_escapes(json.dumps(value, ensure_ascii=True, separators=(",", ":")))


def read(text: str, closed: bool, repairs: Repairs) -> Arguments | Unreadable:
    """The arguments in a text that is over; `closed` says that something marked its end."""
    stripped = text.strip()
    if not stripped:
        if closed and repairs.make("arguments_defaulted"):
            return Arguments({}, "{}")
        return Unreadable("arguments_defaulted") if closed else _INCOMPLETE
    if not repairs.on("lone_surrogate_replaced") and holds_half(stripped):
        return Unreadable("lone_surrogate_replaced")
    try:
        return _valid(stripped, repairs)
    except ValueError:
        return _broken(stripped, closed, repairs)


def _valid(text: str, repairs: Repairs) -> Arguments | Unreadable:
    """The arguments in valid JSON text; raises ValueError where it is none."""
    try:
        value = decode(text)
    except ValueError:
        cleaned = mended_escapes(text)
        if cleaned == text:
            raise
        value, text = decode(cleaned), cleaned
        repairs.make("lone_surrogate_replaced")
    if isinstance(value, dict):
        return Arguments(value, text)
    return _not_an_object(value, repairs)


def _not_an_object(value: Any, repairs: Repairs) -> Arguments | Unreadable:
    """Null, JSON inside a JSON string, or an object alone in a list."""
    if value is None:
        defaulted = repairs.make("arguments_defaulted")
        return Arguments({}, "{}") if defaulted else Unreadable("arguments_defaulted")
    if not repairs.on("arguments_unwrapped"):
        return Unreadable("arguments_unwrapped")
    if isinstance(value, list) and len(value) == 1 and isinstance(value[0], dict):
        return Arguments(value[0], encode(value[0])) if repairs.make("arguments_unwrapped") else _HOPELESS
    if not isinstance(value, str):
        return _HOPELESS
    if not value.strip():
        return Arguments({}, "{}") if repairs.make("arguments_defaulted") else _HOPELESS
    try:
        inner = _valid(value.strip(), repairs)
    except ValueError:
        inner = _broken(value.strip(), True, repairs)
    if isinstance(inner, Arguments):
        repairs.make("arguments_unwrapped")
    return inner


_HOPELESS = Unreadable("hopeless_call_dropped")
_INCOMPLETE = Unreadable("incomplete_call_dropped")


def _broken(text: str, closed: bool, repairs: Repairs) -> Arguments | Unreadable:
    """The arguments in text that is not JSON."""
    bare = _FENCE.sub("", without_trailing(text)).strip()
    if not repairs.on("arguments_repaired"):
        return Unreadable("arguments_repaired")
    if bare != text and bare.startswith('"'):
        repairs.make("arguments_repaired")
        return read(bare, closed, repairs)
    found = _first_object(bare)
    if found is None and bare[:1] in "{[" and len(bare) <= MAX_REPAIR_CHARS:
        if _is_cut(bare, closed):
            return _INCOMPLETE
        found = _mended(bare)
    elif found is None and not closed:
        return _INCOMPLETE
    if found is None:
        return _HOPELESS
    repairs.make("arguments_repaired")
    return found


def _first_object(text: str) -> Arguments | None:
    """A whole object at the text's beginning, where what follows it is not part of it."""
    if not text.startswith("{"):
        return None
    try:
        value, end = _DECODER.raw_decode(text)
        kept = mended_escapes(text[:end])
        value = decode(kept)
    except (ValueError, RecursionError):
        return None
    return Arguments(value, kept) if isinstance(value, dict) else None


def _mended(text: str) -> Arguments | None:
    """What json-repair makes of a text, where that is an object with anything in it."""
    try:
        # stream_stable: without it a line break at the end of a string gets lost
        value: Any = json_repair.loads(text, skip_json_loads=True, stream_stable=True)
        value = value[0] if isinstance(value, list) and len(value) == 1 else value
        if not isinstance(value, dict) or (not value and text.strip("{} \n")):
            return None
        made = mended(encode(value))
        return Arguments(decode(made), made)
    except (ValueError, RecursionError, IndexError):
        return None


def _is_cut(text: str, closed: bool) -> bool:
    """Whether the text stops in the middle: in a string, after a key, a colon or a comma, or without its
    braces while nothing says that it is complete."""
    scan, at = JsonScan(), 0
    while at < len(text):
        end = scan.run(text, at)
        at = end + (end == at)
    ends_object = text.endswith(("}", "]"))
    if scan.in_string:
        return not (closed and ends_object)
    if not scan.depth or ends_object:
        return not closed and bool(scan.depth)
    return not closed or not _ends_in_value(text)


def _ends_in_value(text: str) -> bool:
    """Whether text without its closing brackets ends in a whole value, as far as can be seen."""
    if re.search(r"(?:true|false|null|True|False|None|[\d.]\d*)\Z", text):
        return True
    return bool(re.search(r':\s*"(?:[^"\\]|\\.)*"\Z|[\[,]\s*"(?:[^"\\]|\\.)*"\Z', text)) and not _ends_in_key(text)


def _ends_in_key(text: str) -> bool:
    """Whether the last string stands where an object has its keys."""
    opener: list[str] = []
    in_string = False
    last = ""
    for mark in re.findall(r'\\.|["{}\[\]:,]', text):
        if mark == '"':
            in_string = not in_string
        elif not in_string and mark in "{[":
            opener.append(mark)
        elif not in_string and mark in "}]":
            opener[-1:] = []
        if not in_string and mark in "{[:,":
            last = mark
    return bool(opener) and opener[-1] == "{" and last in "{,"


def unwrapped(found: Arguments, name: str, declared: dict[str, Any] | None) -> Arguments:
    """The arguments without the envelope `{"name": …, "arguments": {…}}` around them, if that is what it is.

    `declared` are the properties of the tool's schema where it is known: what it declares is no envelope.
    """
    key = next((key for key in _ENVELOPES if key in found.value), None)
    if key is None or (declared is not None and key in declared):
        return found
    inner = found.value[key]
    if isinstance(inner, str):
        inner = _object_in(inner)
    named = next((found.value[n] for n in _NAMES if isinstance(found.value.get(n), str)), "")
    others = set(found.value) - {key, *_NAMES, "id", "type", "index"}
    if not isinstance(inner, dict) or others or not _is_envelope(found.value, inner, name, named, declared):
        return found
    return Arguments(inner, encode(inner), named)


def _object_in(text: str) -> Any:
    try:
        return decode(text)
    except ValueError:
        return None


def _is_envelope(
    value: dict[str, Any], inner: dict[str, Any], name: str, named: str, declared: dict[str, Any] | None
) -> bool:
    """Whether the object names the tool, or holds nothing but arguments that the tool declares."""
    if named:
        return not name or named == name
    return len(value) == 1 and declared is not None and all(key in declared for key in inner)
