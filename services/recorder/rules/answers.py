"""The answers of an exchange as completions: what its legs spell, each read once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from services.recorder.rules.legs import Leg, Name
from shared.contracts import Done
from shared.records.answers import understood

Json = dict[str, Any]
NOTHING: Json = {}


class Answers:
    """Reads a leg when it is asked for, and the same bytes once."""

    def __init__(self, legs: Mapping[Name, Leg], done: Done | None) -> None:
        self._legs = legs
        self._done = done
        self._read: dict[Name, Json] = {}

    def of(self, call: str, leg: str) -> Json:
        """The completion; empty where there is none that can be understood."""
        name = (call, leg)
        if name not in self._read:
            self._read[name] = self._understood(name)
        return self._read[name]

    def is_same(self, call: str) -> bool:
        """Whether the repaired leg has the provider's own bytes."""
        raw, normal = self._legs.get((call, "raw")), self._legs.get((call, "normal"))
        return raw is not None and normal is not None and raw.data == normal.data

    def final(self) -> dict[str, str]:
        """For each call with an answer of its own, the leg behind all repairs. A call that went on with another's
        text has none: the repaired leg of the first one holds all of it."""
        repaired = {call: leg for call, leg in self._legs if leg == "normal"}
        return repaired or {call: leg for call, leg in self._legs if leg == "raw"}

    def delivered(self) -> Json:
        """What the client got, or what came last."""
        call, _, leg = ((self._done.leg if self._done else None) or "").partition(".")
        if (call, leg) in self._legs:
            return self.of(call, leg)
        final = self.final()
        return self.of(last := max(final, key=lambda one: (len(one), one)), final[last]) if final else NOTHING

    def _understood(self, name: Name) -> Json:
        leg = self._legs.get(name)
        if leg is None or leg.head is None:
            return NOTHING
        if name[1] == "normal" and self.is_same(name[0]):
            return self.of(name[0], "raw")
        found = understood(leg.data, leg.head.content_type)
        return found if isinstance(found, dict) else NOTHING


def choices(completion: Json) -> Iterable[Json]:
    return dicts(completion.get("choices"))


def dicts(values: Any) -> list[Json]:
    return [value for value in values if isinstance(value, dict)] if isinstance(values, list) else []


def message_of(choice: Json) -> Json:
    message = choice.get("message")
    return message if isinstance(message, dict) else NOTHING


def text_of(value: Any) -> str:
    return value if isinstance(value, str) else ""
