"""What stands in a body: the bytes unpacked once, and only as much of their JSON read as is asked about."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from shared.records.answers import understood
from shared.records.blobs import unpack
from shared.records.predicates.syntax import Literal
from shared.records.predicates.values import test_of

Path = tuple[str | int, ...]


class Content:
    """One side's body, as it is stored; `packed` is None where it is not there."""

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
    return lambda content: test(at_path(understood(content.data, content.content_type), path))


def _text(data: bytes | None) -> str | None:
    return data.decode("utf-8", "replace") if data is not None else None


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
