"""Two bodies compared as people read them: JSON as lines of `path: value`, texts as their own lines. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Any, Literal

import msgspec

CONTEXT = 2  # lines that are the same, around those that are not
MAX_LINES = 5_000  # of one side; comparing takes time that grows with their product
INDENT = "  "

Kind = Literal["same", "changed", "gone", "added", "left_out"]


@dataclass(frozen=True)
class Pair:
    """A line of one side beside a line of the other."""

    kind: Kind
    left: str | None
    right: str | None


def lines_of(value: Any, like: Any = None) -> list[str]:
    """A value as lines. `like` is the other side's: objects name their fields in its order, so that order is no
    difference."""
    lines = list(_lines("", value, like))
    return lines if len(lines) <= MAX_LINES else [*lines[:MAX_LINES], f"… {len(lines) - MAX_LINES} more lines"]


def _lines(path: str, value: Any, like: Any) -> Iterator[str]:
    if isinstance(value, dict) and value:
        for name in _in_order(value, like):
            other = like.get(name) if isinstance(like, dict) else None
            yield from _lines(f"{path}.{name}" if path else name, value[name], other)
    elif isinstance(value, list) and value:
        for at, one in enumerate(value):
            other = like[at] if isinstance(like, list) and at < len(like) else None
            yield from _lines(f"{path}.{at}" if path else str(at), one, other)
    elif isinstance(value, str) and "\n" in value:
        yield f"{path}:"
        yield from (INDENT + line for line in value.split("\n"))
    else:
        told = value if isinstance(value, str) else msgspec.json.encode(value).decode()
        yield f"{path}: {told}" if path else told


def _in_order(value: dict[str, Any], like: Any) -> list[str]:
    known = [name for name in like if name in value] if isinstance(like, dict) else []
    return [*known, *(name for name in value if name not in known)]


def compared(left: Sequence[str], right: Sequence[str], is_whole: bool = False) -> list[Pair]:
    """Line beside line. What is the same is left out but for some context, unless the whole is wanted."""
    pairs = list(_pairs(left, right))
    return pairs if is_whole else list(_shortened(pairs))


def _pairs(left: Sequence[str], right: Sequence[str]) -> Iterator[Pair]:
    matcher = SequenceMatcher(None, left, right, autojunk=False)
    for what, begin, end, other_begin, other_end in matcher.get_opcodes():
        lines, others = left[begin:end], right[other_begin:other_end]
        if what == "equal":
            yield from (Pair("same", line, line) for line in lines)
            continue
        yield from _changed(lines, others)


def _changed(lines: Sequence[str], others: Sequence[str]) -> Iterator[Pair]:
    """What names the same field stands side by side."""
    keys, other_keys = [_field(line) for line in lines], [_field(line) for line in others]
    matcher = SequenceMatcher(None, keys, other_keys, autojunk=False)
    for what, begin, end, other_begin, other_end in matcher.get_opcodes():
        if what == "equal":
            beside = zip(lines[begin:end], others[other_begin:other_end], strict=True)
            yield from (Pair("changed", line, other) for line, other in beside)
        else:
            yield from (Pair("gone", line, None) for line in lines[begin:end])
            yield from (Pair("added", None, line) for line in others[other_begin:other_end])


def _field(line: str) -> str:
    """What a line is about: its path; of a text's line, that it is one."""
    return INDENT if line.startswith(INDENT) else line.partition(":")[0]


def _shortened(pairs: Sequence[Pair]) -> Iterator[Pair]:
    telling = [at for at, pair in enumerate(pairs) if pair.kind != "same"]
    shown = {at + off for at in telling for off in range(-CONTEXT, CONTEXT + 1)}
    left_out = 0
    for at, pair in enumerate(pairs):
        if at in shown:
            yield from _gap(left_out)
            left_out = 0
            yield pair
        else:
            left_out += 1
    yield from _gap(left_out)


def _gap(lines: int) -> Iterator[Pair]:
    if lines:
        told = f"… {lines} {'line' if lines == 1 else 'lines'} the same"
        yield Pair("left_out", told, told)


def is_same(pairs: Sequence[Pair]) -> bool:
    return all(pair.kind in ("same", "left_out") for pair in pairs)
