"""Which events of the bus a trace tells, on which span, and which of their facts.

Only what is named here: facts may hold what was said (a call's arguments in what is wrong with them), or names that
clients and models make up. A new event is told once it stands in the table.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from services.recorder.rules.messages import Message
from services.recorder.rules.spans.span import Attributes, Moment, Value, known

Where = Literal["request", "enforce", "stage", "call", "maker"]
"""Whose span it stands on: the request's, the enforcer's, that of who asked for the call, the call's own, or that of
the worker whose leg it is about."""


@dataclass(frozen=True)
class Told:
    where: Where
    facts: tuple[str, ...] = ()


WAY = ("after", "why", "code", "from", "to", "pause_s", "content_characters", "reasoning_characters")
LOOP = ("choice", "channel", "start", "period", "repeats", "kind", "action")
TABLE: Mapping[str, Told] = {
    "routed": Told("stage", ("why", "strategy", "targets")),
    "retried": Told("stage", WAY),
    "failed-over": Told("stage", WAY),
    "continued": Told("stage", WAY),
    "re-prompted": Told("enforce", ("why", "attempt", "of", "continues", *LOOP)),
    "invalid-call": Told("enforce", ("problem",)),
    "exhausted": Told("enforce", ("why", "attempts")),
    "loop-found": Told("call", LOOP),
    "stopped": Told("call", ("by", "finish_reason", "usage")),
    "taken-over": Told("maker", ("stage", "from", "to", "frames")),
    "cancelled": Told("request", ("by",)),
    "cancel": Told("request", ("by", "call", "finish_reason")),
}
LARGEST = 2**63 - 1  # of a number in an attribute
CAUSES = frozenset({"retried", "failed-over", "continued"})  # events of the call that they led to


def moment_of(message: Message) -> Moment | None:
    """An event or cancel as it is told; None where it isn't."""
    name = _name(message)
    if name not in TABLE:
        return None
    said = message.said
    if message.kind == "cancel":
        facts = {"by": said.by, "call": said.call, "finish_reason": said.finish_reason}
        return Moment(name=f"moontide.{name}", at=message.at, attributes=attributes_of(name, facts))
    return Moment(name=f"moontide.{name}", at=said.at, attributes=attributes_of(name, said.facts))


def where(message: Message) -> Where:
    """For those that are told."""
    return TABLE[_name(message)].where


def attributes_of(name: str, facts: Mapping[str, Any]) -> Attributes:
    """The facts that are told of an event."""
    return known({f"moontide.{name}.{fact}": _value(facts.get(fact)) for fact in TABLE[name].facts})


def repaired(repairs: Mapping[str, int], at: float) -> list[Moment]:
    """One for each kind of repair."""
    return [
        Moment(
            name="moontide.repaired",
            at=at,
            attributes={"moontide.repaired.name": name, "moontide.repaired.count": count},
        )
        for name, count in sorted(repairs.items())
    ]


def _name(message: Message) -> str:
    return "cancel" if message.kind == "cancel" else message.name


def _value(value: Any) -> Value | None:
    """What an attribute may hold; None of anything else."""
    if isinstance(value, list) and all(isinstance(one, str) for one in value):
        return tuple(value)
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) > LARGEST:
        return None
    return value if isinstance(value, str | int | float) else None
