"""Texts on their way to the client, of which a part may have to be held back."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from shared.contracts import RepeatSettings
from shared.repeats.again import SaidAgain
from shared.repeats.detector import RepeatDetector
from shared.repeats.history import WINDOW
from shared.repeats.loop import Loop
from shared.repeats.loop import RepeatSettings as Tolerance
from shared.repeats.nearly import NearlyAgain


class LoopGate:
    """Lets a text pass unless it may turn out to be a loop: what is being said again is held back until it goes on
    otherwise.

    `before` is what stood in front of the text. Places are counted with it: `passed` characters have gone through.
    With a `loop`, nothing passes any more.
    """

    def __init__(self, settings: RepeatSettings, before: str = "") -> None:
        tolerance = Tolerance(settings.threshold, settings.min_length)
        self._detector = RepeatDetector(tolerance)
        self._again = SaidAgain()
        self._nearly = NearlyAgain(tolerance)
        self._held = ""
        self._base = max(0, len(before) - WINDOW)  # characters that nobody here has seen
        self.passed = len(before)
        self.loop: Loop | None = None
        self._look(before[self._base :])

    def feed(self, text: str) -> str:
        if self.loop is not None:
            return ""
        self._held += text
        start = self._look(text)
        out = self._pass(max(0, start - self.passed))
        if self.loop is not None:
            self._held = ""
        return out

    def _look(self, text: str) -> int:
        """From where on the text is held back."""
        found = self._detector.feed(text)
        if found is not None:
            self.loop = replace(found, start=found.start + self._base)
            return self.loop.start
        length = self.passed + len(self._held)
        return length - max(self._again.feed(text), self._nearly.feed(text))

    def finish(self) -> str:
        """The text is over, and was no loop."""
        return self._pass(len(self._held))

    @property
    def held(self) -> int:
        """Characters."""
        return len(self._held)

    def _pass(self, length: int) -> str:
        out = self._held[:length]
        self._held = self._held[len(out) :]
        self.passed += len(out)
        return out


class Echo:
    """Leaves out a text that was said before: asked again, a model may say all of it a second time.

    Held back as long as it may turn out to be the same.
    """

    def __init__(self, earlier: Collection[str]) -> None:
        self._earlier = {text.strip() for text in earlier} - {""}
        self._held = ""

    def feed(self, text: str) -> str:
        if not self._earlier:
            return text
        self._held += text
        said = self._held.strip()
        if any(one.startswith(said) for one in self._earlier):
            return ""
        self._earlier.clear()
        return self._rest()

    def finish(self) -> str:
        said = self._held.strip()
        if said and said in self._earlier:
            self._held = ""
        return self._rest()

    def _rest(self) -> str:
        held, self._held = self._held, ""
        return held
