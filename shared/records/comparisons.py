"""One exchange's two sides beside each other: what was asked and what was answered, as the client and as the provider
have it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from shared.records.answers import understood
from shared.records.differences import Pair, compared, lines_of
from shared.records.exports.whole import Whole
from shared.records.queries import NotFound, Part, Row


@dataclass(frozen=True)
class Section:
    """One thing that two sides have of their own."""

    title: str
    names: tuple[str, str]
    parts: tuple[Part | None, Part | None]

    def pairs(self, is_raw: bool, is_whole: bool, shown: Callable[[str], str] = str) -> list[Pair]:
        """Line beside line. `shown` is what raw text goes through before it is cut into lines."""
        left, right = (bytes_lines(part, shown) if is_raw else None for part in self.parts)
        if left is None or right is None:
            one, other = (_value(part) for part in self.parts)
            left, right = lines_of(one), lines_of(other, like=one)
        return compared(left, right, is_whole)


def compared_call(whole: Whole, name: str | None) -> Row:
    """The call to a provider that is named, or the one that was answered; raises NotFound."""
    if name is not None:
        return whole.side(name).row
    if whole.answering is None:
        raise NotFound(f"exchange {whole.exchange['number']} has no call to a provider: there is nothing to compare")
    return whole.answering


def sections(whole: Whole, call: Row, is_raw: bool) -> list[Section]:
    """Both sides in one dialect: where the client speaks another one, its own words count only as bytes."""
    name, parts = call["call"], whole.parts
    asked = parts.get("client.request") if is_raw else whole.canonical_request or parts.get("client.request")
    got = parts.get("client.response") if is_raw else whole.canonical_answer or parts.get("client.response")
    sent = (parts.get(f"{name}.wire") if is_raw else None) or parts.get(f"{name}.raw")
    return [
        Section("request", ("the client sent", f"{name} was sent"), (asked, parts.get(f"{name}.request"))),
        Section("answer", (f"{name} sent", "the client got"), (sent, got)),
    ]


def bytes_lines(part: Part | None, shown: Callable[[str], str]) -> list[str]:
    """The bytes at their line ends, so that frames stand apart."""
    text = (part.data or b"").decode("utf-8", "backslashreplace") if part is not None else ""
    return [line for line in shown(text).split("\n") if line]


def _value(part: Part | None) -> Any:
    if part is None or part.data is None:
        return None
    value = understood(part.data, part.content_type)
    return part.data.decode("utf-8", "replace") if value is None else value
