"""The detector of one text."""

from __future__ import annotations

from shared.repeats.exact import ExactRun
from shared.repeats.history import History
from shared.repeats.loop import Loop, RepeatSettings
from shared.repeats.varying import VaryingRounds

BLOCK = 64
"""Characters between two looks. They are at fixed places of the text: a verdict can't depend on how it was cut."""


class RepeatDetector:
    """Feed it one text, piece by piece; it answers with the loop once it sees it, and never again."""

    def __init__(self, settings: RepeatSettings) -> None:
        self._history = History()
        self._run = ExactRun(settings)
        self._rounds = VaryingRounds(settings)
        self._ahead = ""  # not looked at yet: shorter than the way to the next look
        self._next = BLOCK  # the text's length at the next look
        self._done = settings.threshold == 0

    def feed(self, text: str) -> Loop | None:
        if self._done:
            return None
        self._ahead += text
        while self._history.length + len(self._ahead) >= self._next:
            if loop := self._look():
                self._done = True
                self._ahead = ""
                return loop
        return None

    def _look(self) -> Loop | None:
        history = self._history
        added = self._next - history.length
        history.append(self._ahead[:added])
        self._ahead = self._ahead[added:]
        loop = self._run.grown(history, added) or self._vary()
        self._next = self._next_look()
        return loop

    def _vary(self) -> Loop | None:
        history = self._history
        if history.length % BLOCK or self._run.is_halfway(history.length):
            return None
        return self._rounds.look(history)

    def _next_look(self) -> int:
        length = self._history.length
        block = length - length % BLOCK + BLOCK
        due = self._run.due
        return min(block, -int(-due // 1)) if due > length else block
