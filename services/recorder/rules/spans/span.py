"""A span: what somebody did for an exchange, from when to when, for whom."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from shared.secrets import scrub
from shared.traces import TraceContext

Value = str | int | float | bool | tuple[str, ...]
Attributes = Mapping[str, Value]
Kind = Literal["server", "client", "internal"]

TEXT_CHARACTERS = 200  # of a text that somebody else chose


@dataclass(frozen=True, kw_only=True)
class Moment:
    """Something that happened while a span lasted."""

    name: str
    at: float
    attributes: Attributes = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Span:
    """Times in Unix seconds; all ids that are not the trace's are of spans of the same exchange."""

    context: TraceContext
    id: int
    parent_id: int | None  # None: nobody asked for it that is known
    name: str
    kind: Kind
    worker: str  # the instance that did it
    began_at: float
    ended_at: float
    attributes: Attributes
    moments: tuple[Moment, ...] = ()
    links: tuple[int, ...] = ()  # spans that led to it and are not its parents
    error: str | None = None  # which one; None where all went well

    def texts_as(self, text: Callable[[str], str]) -> Span:
        """The same with every text as `text` has it."""
        moments = tuple(replace(one, attributes=_texts_as(text, one.attributes)) for one in self.moments)
        return replace(self, name=text(self.name), attributes=_texts_as(text, self.attributes), moments=moments)


def known(attributes: Mapping[str, Value | None]) -> Attributes:
    """Those that are known: texts without keys, and not longer than somebody reads."""
    return {name: _text_as(short, value) for name, value in attributes.items() if value is not None and value != ()}


def short(text: str) -> str:
    return scrub(text)[:TEXT_CHARACTERS]


def _texts_as(text: Callable[[str], str], attributes: Attributes) -> Attributes:
    return {name: _text_as(text, value) for name, value in attributes.items()}


def _text_as(text: Callable[[str], str], value: Value) -> Value:
    if isinstance(value, tuple):
        return tuple(map(text, value))
    return text(value) if isinstance(value, str) else value
