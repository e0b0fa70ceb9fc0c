"""Incidents: from the first sign of trouble with a provider to its recovery, each told once.

An incident begins when a provider's circuit opens or shuts, and ends when it closes; what lies between is the same
incident, unless it turns worse. One of a single missing model is nobody's emergency and is not told.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from shared.alerts import Shape, shaped
from shared.contracts import ProviderState

HEADLINES = {
    "quota_exhausted": "is out of money",
    "auth": "refuses our key",
    "rate_limited": "is rate limited",
    "overloaded": "is overloaded",
    "unreachable": "is unreachable",
    "slow": "is too slow",
    "broken": "breaks off its answers",
    "server_error": "is failing",
}


@dataclass(frozen=True)
class Note:
    """What is told of an incident, once at its beginning, once if it turns worse, once at its end."""

    provider: str
    is_recovery: bool
    text: str
    state: ProviderState


class Incidents:
    """Those that are open."""

    def __init__(self) -> None:
        self._open: dict[str, ProviderState] = {}  # the state that was told last, by provider

    def heard(self, state: ProviderState) -> Note | None:
        """What is to be told now, if anything."""
        if state.model is not None or state.state == "half_open":
            return None
        told = self._open.get(state.provider)
        if state.state == "closed":
            self._open.pop(state.provider, None)
            return None if told is None else Note(state.provider, True, _recovered(told, state), state)
        is_worse = told is not None and state.state == "shut" and told.state != "shut"
        if told is not None and not is_worse:
            return None
        self._open[state.provider] = state
        return Note(state.provider, False, began(state), state)


def began(state: ProviderState) -> str:
    """What is told at an incident's beginning."""
    what = HEADLINES.get(state.why, f"is in trouble ({state.why})")
    balance = f", balance {state.balance}" if state.balance is not None else ""
    said = f" It says: {state.message}" if state.message else ""
    until = "until it is reset or mended" if state.state == "shut" else "for a while"
    return f"Moontide: the provider {state.provider} {what}{balance}. It is not asked {until}.{said}"


def _recovered(told: ProviderState, state: ProviderState) -> str:
    minutes = max(0.0, state.at - (told.since or told.at)) / 60
    return f"Moontide: the provider {state.provider} is well again after {minutes:.1f} min ({told.why})."


def payload(note: Note, shape: Shape) -> dict[str, Any]:
    """The note as the receiver takes it."""
    state = note.state
    facts = {
        "event": "provider.recovered" if note.is_recovery else "provider.down",
        "provider": note.provider,
        "state": state.state,
        "why": state.why,
        "message": state.message,
        "balance": state.balance,
        "at": state.at,
    }
    return shaped(note.text, facts, shape)
