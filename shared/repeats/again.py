"""What is being said again just now: the end of a text that stood in it before, character for character.

Far more than loops is found: every phrase that comes back. It ends as soon as the text goes on otherwise.
"""

from __future__ import annotations

from shared.repeats.history import History

SHORTEST = 8
"""Characters that must come back: fewer do so all the time."""
FARTHEST = 2_048
"""Characters back; the longest period that the detector knows."""
PLACES = 4
"""Earlier places that are compared: the nearest ones."""


class SaidAgain:
    """Feed it one text. `length` is how much of its end was said before."""

    def __init__(self) -> None:
        self._history = History()
        self._distance = 0
        self.length = 0

    def feed(self, text: str) -> int:
        self._history.append(text)
        if not self._goes_on(len(text)):
            self._search()
        return self.length

    def _goes_on(self, added: int) -> bool:
        newest_first, distance = self._history.newest_first, self._distance
        if not self.length or newest_first[:added] != newest_first[distance : distance + added]:
            return False
        self.length += added
        return True

    def _search(self) -> None:
        self.length, at = 0, 0
        newest_first = self._history.newest_first
        sample = newest_first[:SHORTEST]
        for _ in range(PLACES):
            at = newest_first.find(sample, at + 1, FARTHEST + SHORTEST) if len(sample) == SHORTEST else -1
            if at < 0:
                return
            length = self._history.agreement(0, at)
            if length > self.length:
                self.length, self._distance = length, at
