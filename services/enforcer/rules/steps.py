"""What follows when a call has ended: another one, or the end of the answer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from services.enforcer.rules.attempt import Looping
from services.enforcer.rules.calls import Invalid
from shared.contracts import CallOutcome

Json = dict[str, Any]
Why = Literal["ensure_tool_call", "check_tool_calls", "loop"]


@dataclass(frozen=True)
class Wanting:
    """What an answer lacks, and what the model is told of it."""

    why: Why
    most: int  # attempts
    messages: list[Json]
    invalid: tuple[Invalid, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Again:
    """Ask again."""

    why: Why
    out: bytes  # for the client, by now
    body: bytes
    has_prefix: bool = False  # the text is gone on with
    attempt: int = 1  # this will be, of `most`, counted for this reason
    most: int = 1
    invalid: tuple[Invalid, ...] = ()
    looping: Looping | None = None


@dataclass(frozen=True, kw_only=True)
class Last:
    """The answer is over."""

    out: bytes
    outcome: CallOutcome
    finish_reason: str | None = None
    unmet: Why | None = None
    invalid: tuple[Invalid, ...] = ()


Step = Again | Last
