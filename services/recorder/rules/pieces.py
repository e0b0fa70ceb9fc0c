"""The texts that an event stream tells piece by piece, and where each piece stands in its bytes.

A text is what stands under the same keys of the same choice, block or call in event after event: providers cut it
wherever they like. Its pieces are JSON strings as they are written, escapes included.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

Place = tuple[int, int]
"""Where a piece begins and ends, the quotes left out."""

Channel = tuple[object, ...]

TEXTS = frozenset(
    b"content reasoning_content reasoning refusal arguments text thinking partial_json delta input".split()
)
_DATA = re.compile(rb"^data:(.*)$", re.MULTILINE)
_TOKEN = re.compile(rb'"([^"\\]*(?:\\.[^"\\]*)*)"|[{}\[\]:,]|-?[0-9]+', re.DOTALL)
_DEEPEST = 64  # containers in one another; an event has six


@dataclass(eq=False)
class _Container:
    """An object or array as far as it was read."""

    is_object: bool
    key: bytes | None = None
    is_value: bool = False  # what comes next belongs to `key`
    indexes: dict[bytes, bytes] = field(default_factory=dict)  # `index`, `output_index` …


def pieces_of(data: bytes) -> list[list[Place]]:
    """Each text that is told in several pieces; none where `data` is no event stream."""
    texts: defaultdict[Channel, list[Place]] = defaultdict(list)
    for line in _DATA.finditer(data):
        for channel, place in _strings(data, *line.span(1)):
            texts[channel].append(place)
    return [places for places in texts.values() if len(places) > 1]


def _strings(data: bytes, begin: int, end: int) -> Iterator[tuple[Channel, Place]]:
    """The texts of one event, each with what it is a piece of: known at the event's end, as an index may come last."""
    stack: list[_Container] = []
    found: list[tuple[list[tuple[_Container, bytes | None]], Place]] = []
    for token in _TOKEN.finditer(data, begin, end):
        if token.start(1) >= 0:
            if _is_text(stack, token.group(1)):
                found.append(([(one, one.key) for one in stack], token.span(1)))
        elif not _structure(stack, token.group()):
            break
    for path, place in found:
        yield tuple((key, *sorted(one.indexes.items())) for one, key in path), place


def _is_text(stack: Sequence[_Container], string: bytes) -> bool:
    """Whether a string is a text's piece; a key is noted."""
    top = stack[-1] if stack else None
    if top is None or not top.is_object:
        return False
    if not top.is_value:
        top.key = string
        return False
    return top.key in TEXTS


def _structure(stack: list[_Container], token: bytes) -> bool:
    """Follows the structure; False where there is none that can be followed."""
    if token in (b"{", b"["):
        stack.append(_Container(is_object=token == b"{"))
        return len(stack) <= _DEEPEST
    if not stack:
        return False
    top = stack[-1]
    if token in (b"}", b"]"):
        stack.pop()
    elif token in (b":", b","):
        top.is_value = token == b":"
    elif top.is_value and top.key is not None and top.key.endswith(b"index"):
        top.indexes[top.key] = token
    return True
