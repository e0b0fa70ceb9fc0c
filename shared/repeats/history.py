"""The end of a text, newest character first, so that what happened `n` characters ago is at `n`."""

from __future__ import annotations

WINDOW = 12_288
"""Characters kept: ten rounds of the longest loops that vary, and one to spare."""


class History:
    """Constant memory: at most WINDOW characters, and how many there were in all."""

    def __init__(self) -> None:
        self.newest_first = ""
        self.length = 0

    def append(self, text: str) -> None:
        self.newest_first = (text[::-1] + self.newest_first)[:WINDOW]
        self.length += len(text)

    def agreement(self, near: int, far: int) -> int:
        """How many characters back from `near` and back from `far` are the same."""
        newest_first = self.newest_first
        same, step, growing = 0, 32, True
        while step:
            new = newest_first[near + same : near + same + step]
            if len(new) and new == newest_first[far + same : far + same + step]:
                same += step
                step = step * 2 if growing else step // 2
            else:
                step //= 2
                growing = False
        return same
