"""Rounds that are the same, character for character.

A run of period p is a stretch where every character equals the one p before it. Where the newest L characters occur a
second time, the distance is the period of the run that goes on; and where L >= p, and the loop has p + L characters,
that is the loop's own period, whatever its unit looks like. So a few lengths L, each twice the one before, find every
period. A run, once found, is followed by comparing what comes with what came p before.
"""

from __future__ import annotations

from shared.repeats.data import PATIENCE, is_data
from shared.repeats.history import History
from shared.repeats.loop import Loop, RepeatSettings

MAX_PERIOD = 2_048
"""Characters of the longest unit."""
SAMPLES = tuple(32 << doubling for doubling in range(7))
"""Characters looked for: the shortest tells chance from repetition, the longest is MAX_PERIOD."""


class ExactRun:
    """The run that the text is in, if it is in one."""

    def __init__(self, settings: RepeatSettings) -> None:
        self._settings = settings
        self._period = 0
        self._start = 0
        self.due: float = 0
        """The text's length at which the run, if it goes on, is a loop; 0 without a run."""

    def grown(self, history: History, added: int) -> Loop | None:
        """`added` more characters are in the history."""
        if not self._goes_on(history, added):
            self._search(history)
        if not self.due or history.length < self.due or history.length < self._data_due(history):
            return None
        repeats = (history.length - self._start) // self._period
        return Loop(period=self._period, start=self._start, repeats=repeats, kind="exact")

    def is_halfway(self, length: int) -> bool:
        """Whether half of a loop is there: rounds that vary never get so far."""
        return self.due > 0 and 2 * (length - self._start) >= self.due - self._start

    def _data_due(self, history: History) -> float:
        """Later where a round is nothing but data."""
        if is_data(history.newest_first[: self._period][::-1]):
            self.due = self._start + PATIENCE * self._settings.enough(self._period)
        return self.due

    def _goes_on(self, history: History, added: int) -> bool:
        text, period = history.newest_first, self._period
        return bool(self.due) and text[:added] == text[period : period + added]

    def _search(self, history: History) -> None:
        """Take up the longest run that ends at the newest character."""
        self.due = 0
        text, longest = history.newest_first, 0
        for sample in SAMPLES:
            period = text.find(text[:sample], 1, MAX_PERIOD + sample)
            if period < 0:
                return
            length = history.agreement(0, period) + period
            if length > longest:
                longest = length
                self._period, self._start = period, history.length - length
                self.due = self._start + self._settings.enough(period)
