"""What is found, and how much is tolerated before."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf
from typing import Literal

Kind = Literal["exact", "varying"]

REPEATS = 5.0
"""Rounds that make a loop, at threshold 1. MoonPalace measures a pure loop as 2 / rounds, so its threshold stands for
2 / threshold rounds; these are 2.5 times as many."""
FLOOR = 3.0
"""Length that makes a loop, in `min_length`s, at threshold 1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Loop:
    """The same again and again, from `start` on: `text[:start]` is the good prefix."""

    period: int  # characters of one round; their mean where rounds vary
    start: int  # characters before the first round
    repeats: int  # full rounds when it was found
    kind: Kind


@dataclass(frozen=True, slots=True)
class RepeatSettings:
    """MoonPalace's two: how little repetition is tolerated (0: any amount, to 1), and from how many characters on."""

    threshold: float = 0.5
    min_length: int = 100

    def __post_init__(self) -> None:
        if not 0 <= self.threshold <= 1:
            raise ValueError(f"threshold is a number from 0 to 1, not {self.threshold}")
        if self.min_length < 0:
            raise ValueError(f"min_length is a number of characters, not {self.min_length}")

    def enough(self, period: float) -> float:
        """Characters that a loop of this period has when it is one: ten rounds and 600 characters by default."""
        if not self.threshold:
            return inf
        return max(REPEATS * period, FLOOR * self.min_length) / self.threshold
