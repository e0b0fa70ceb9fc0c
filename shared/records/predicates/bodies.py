"""What stands in a body: the bytes unpacked once, and only as much of their JSON read as is asked about.

Most bodies are told to be no match by a glance at their bytes: where a value must stand under a key, or be a text, and
neither is there, nothing has to be parsed. Of the others only the path is decoded; msgspec reads over the rest. Of a
stream only the chunks that say something under the key are looked at. All three are short cuts: `whole` says what is
right, and a test holds them to it.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import msgspec

from shared.records.answers import events_of, is_stream, json_of, merged_events, understood
from shared.records.blobs import unpack
from shared.records.predicates.spoken import is_text, spoken
from shared.records.predicates.syntax import NEGATIVE, Literal
from shared.records.predicates.values import test_of

Path = tuple[str | int, ...]

ESCAPED = b"\\u"  # a text may be written as escapes: then its bytes prove nothing
PLAIN = re.compile(r"[\w .:-]+", re.ASCII)  # texts that JSON can write as themselves or with \u only
LATER_CHOICE = re.compile(rb'"index"\s*:\s*[1-9]')
OF_CHUNKS = frozenset({"finish_reason", "usage", "model", "id", "system_fingerprint", "error"})
"""Keys of a merged stream whose value a single chunk says."""


class Content:
    """One side's body, as it is stored; `packed` is None where it is not there."""

    __slots__ = ("_data", "_packed", "content_type")

    def __init__(self, content_type: str | None, packed: bytes | None) -> None:
        self.content_type = content_type
        self._packed = packed
        self._data: bytes | None = None

    @property
    def data(self) -> bytes | None:
        if self._data is None and self._packed is not None:
            self._data = unpack(self._packed)
        return self._data


def body_test(path: Path, sign: str, literal: Literal | tuple[Literal, ...]) -> Callable[[Content], bool]:
    """Whether what stands at a path of a body fits; raises BadPattern."""
    test = test_of(sign, literal)
    if not path:
        return lambda content: test(_text(content.data))
    lookup = Lookup(path, None if literal is None and sign == "==" else _texts(sign, literal))
    return lambda content: test(lookup(content))


def whole(content: Content, path: Path) -> Any:
    """What stands at a path, read without any short cut."""
    return at_path(understood(content.data, content.content_type), path)


def at_path(value: Any, path: Path) -> Any:
    """What stands there; None where nothing does."""
    for step in path:
        if isinstance(value, dict):
            value = value.get(str(step))
        elif isinstance(value, list) and isinstance(step, int) and -len(value) <= step < len(value):
            value = value[step]
        else:
            return None
    return value


class Lookup:
    """Finds what stands at a path. Where that can't fit `texts`, it may say None instead: `texts` are what the value
    must be one of (empty: any), or None where null fits as well."""

    def __init__(self, path: Path, texts: tuple[bytes, ...] | None) -> None:
        self._path = path
        keys = [step for step in path if isinstance(step, str)]
        self._key = b'"%s"' % keys[-1].encode() if keys and PLAIN.fullmatch(keys[-1]) else b""
        self._texts = texts or ()
        self._is_glanced_at = texts is not None
        self._text = str(path[3]) if is_text(path) else None
        self._in_chunks = _place_in_chunks(path)
        self._decode = _decoder(path)

    def __call__(self, content: Content) -> Any:
        data = content.data
        if not data:
            return None
        if not is_stream(content.content_type):
            return None if self._is_glanced_at and self._is_no_match(data) else self._read(data)
        if self._text is not None and (text := spoken(data, self._text)) is not None:
            return text
        if self._in_chunks is None or LATER_CHOICE.search(data):
            return whole(content, self._path)
        if self._is_glanced_at and self._is_no_match(data):
            return None
        return self._read_stream(data)

    def _is_no_match(self, data: bytes) -> bool:
        if not self._key or ESCAPED in data:
            return False
        return self._key not in data or (bool(self._texts) and not any(text in data for text in self._texts))

    def _read(self, data: bytes) -> Any:
        try:
            return at_path(msgspec.to_builtins(self._decode(data)), self._path)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return at_path(json_of(data), self._path)

    def _read_stream(self, data: bytes) -> Any:
        telling = self._in_chunks
        assert telling is not None  # noqa: S101 - the caller's condition
        some = [event for text in _events_with(telling, data) if isinstance(event := json_of(text), dict)]
        return at_path(merged_events(some), self._path)


def _events_with(telling: re.Pattern[bytes], data: bytes) -> list[bytes]:
    """The data of the events that hold a pattern: those around its hits are cut out, the others never read."""
    if b"\r" in data:
        return [event for event in events_of(data) if telling.search(event)]
    events: list[bytes] = []
    end = 0
    while hit := telling.search(data, end):
        before = data.rfind(b"\n\n", end, hit.start())
        begin = before + 2 if before >= 0 else end
        end = data.find(b"\n\n", hit.start()) + 2
        end = len(data) if end == 1 else end
        events += events_of(data[begin:end])
    return events


def _texts(sign: str, literal: Literal | tuple[Literal, ...]) -> tuple[bytes, ...]:
    """The texts of which one must be there for a value to fit; none where that can't be said."""
    some = literal if isinstance(literal, tuple) else (literal,)
    if sign in NEGATIVE or sign not in ("==", "@"):
        return ()
    if all(isinstance(one, str) and PLAIN.fullmatch(one) for one in some):
        return tuple(str(one).encode() for one in some)
    return ()


def _place_in_chunks(path: Path) -> re.Pattern[bytes] | None:
    """What a chunk holds that says something about the path; None where all of them must be read."""
    name = path[2] if len(path) == 3 and path[:2] == ("choices", 0) else path[0] if path[0] != "choices" else None
    if name not in OF_CHUNKS:
        return None
    return re.compile(rb'"%s"\s*:(?!\s*null)' % str(name).encode())


def _decoder(path: Path) -> Callable[[bytes], Any]:
    """A decoder of nothing but the path."""
    wanted: Any = Any
    for step in reversed(path):
        wanted = list[wanted] if isinstance(step, int) else _object_with(step, wanted)
    return msgspec.json.Decoder(wanted).decode


def _object_with(name: str, wanted: Any) -> Any:
    return msgspec.defstruct("Wanted", [("value", wanted, None)], rename={"value": name})


def _text(data: bytes | None) -> str | None:
    return data.decode("utf-8", "replace") if data is not None else None
