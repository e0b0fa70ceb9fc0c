"""When a sink is so far behind that somebody should know, and when that is over."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from shared.contracts import Lag

CAUGHT_UP_S = 2.0  # what waits no longer than this is on its way


@dataclass(frozen=True)
class Note:
    """What is told, once at the beginning and once at the end."""

    is_over: bool
    lag: Lag

    @property
    def text(self) -> str:
        if self.is_over:
            return f"Moontide: the records in {self.lag.sink} have caught up."
        minutes = self.lag.behind_s / 60
        return (
            f"Moontide: the records in {self.lag.sink} are {minutes:.1f} min behind ({self.lag.messages} messages). "
            "Traffic goes on; what is captured is kept."
        )

    @property
    def facts(self) -> dict[str, Any]:
        return {
            "event": "sink.caught_up" if self.is_over else "sink.behind",
            "sink": self.lag.sink,
            "messages": self.lag.messages,
            "behind_s": self.lag.behind_s,
        }


class Lagging:
    """The sinks that are behind."""

    def __init__(self, limit_s: float) -> None:
        """`limit_s`: how far behind is too far; 0 = nobody is told."""
        self._limit_s = limit_s
        self._behind: set[str] = set()

    def heard(self, lag: Lag) -> Note | None:
        """What is to be told now, if anything."""
        if lag.sink in self._behind and lag.behind_s <= CAUGHT_UP_S:
            self._behind.discard(lag.sink)
            return Note(is_over=True, lag=lag)
        if self._limit_s and lag.sink not in self._behind and lag.behind_s > max(self._limit_s, CAUGHT_UP_S):
            self._behind.add(lag.sink)
            return Note(is_over=False, lag=lag)
        return None
