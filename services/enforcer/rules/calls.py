"""The tool calls of one attempt, put together; and what is wrong with them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from shared.schemas import misfit

Json = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Invalid:
    """One call that can't be carried out."""

    tool: str
    problem: str  # unknown_tool | not_json | schema | unreadable
    message: str  # what the model is told


DROPPED = ("incomplete_call_dropped", "hopeless_call_dropped", "oversized_call_dropped")
"""Repairs that leave a call out: nobody here gets to see it."""
UNREADABLE = "A tool call of this turn could not be read: it was cut, or its arguments are not JSON."


def unreadable(repairs: Mapping[str, int]) -> tuple[Invalid, ...]:
    """The calls that repair has left out."""
    count = sum(repairs.get(name, 0) for name in DROPPED)
    return (Invalid(tool="", problem="unreadable", message=UNREADABLE),) * count


@dataclass
class Call:
    """One call, as its fragments come."""

    id: str = ""
    kind: str = "function"
    name: str = ""
    pieces: list[str] = field(default_factory=list)

    @property
    def arguments(self) -> str:
        return "".join(self.pieces)

    def take(self, fragment: Json) -> str:
        """The new piece of the arguments."""
        function = fragment.get("function")
        function = function if isinstance(function, dict) else {}
        self.id = self.id or _text(fragment.get("id"))
        self.kind = _text(fragment.get("type")) or self.kind
        self.name = self.name or _text(function.get("name"))
        piece = _text(function.get("arguments"))
        self.pieces.append(piece)
        return piece

    def as_json(self) -> Json:
        return {"id": self.id, "type": self.kind, "function": {"name": self.name, "arguments": self.arguments}}

    def invalid(self, schemas: Mapping[str, Json]) -> Invalid | None:
        """What keeps it from being carried out; None where nothing does."""
        schema = schemas.get(self.name)
        if schema is None:
            known = ", ".join(schemas)
            return Invalid(
                tool=self.name, problem="unknown_tool", message=f"There is no such tool. There are: {known}."
            )
        try:
            value = json.loads(self.arguments or "{}")
        except (ValueError, RecursionError) as error:
            return Invalid(tool=self.name, problem="not_json", message=f"The arguments are not JSON: {error}")
        if not isinstance(value, dict):
            return Invalid(tool=self.name, problem="not_json", message="The arguments are not a JSON object.")
        message = misfit(value, schema) if schema else None
        return Invalid(tool=self.name, problem="schema", message=message) if message is not None else None


class Calls:
    """By index, in the order of their beginning."""

    def __init__(self) -> None:
        self._calls: dict[int, Call] = {}

    def take(self, fragment: Json) -> tuple[int, Call, str]:
        """The call that a fragment belongs to, its place, and the new piece of its arguments."""
        index = fragment.get("index")
        if not isinstance(index, int):
            index = max(self._calls, default=-1) + (1 if fragment.get("id") or not self._calls else 0)
        call = self._calls.setdefault(index, Call())
        return index, call, call.take(fragment)

    def but(self, name: str | None) -> list[Call]:
        """All but those of the tool `name`."""
        return [call for call in self._calls.values() if name is None or call.name != name]

    def has(self, name: str | None) -> bool:
        return name is not None and any(call.name == name for call in self._calls.values())


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""
