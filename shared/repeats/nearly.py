"""What is being said again just now in nearly the same words: numbers are others, and now and then a word.

Rounds that vary are a loop only once there are many of them; until then they look like any list. This is wary from the
second one on, and lets go as soon as the text shows that it gets somewhere:

* Too much is new. What agrees gives credit for it, and what doesn't uses that up.
* It is no prose, its rounds aren't alike, or they keep record: `rounds` would never call it a loop.
* It has gone on for so long that it would have been found by now.

Words are compared, each with the one that followed the same words before.
"""

from __future__ import annotations

from shared.repeats.loop import RepeatSettings
from shared.repeats.rounds import FEW, Round, are_alike, is_prose, keep_record, read
from shared.repeats.varying import MAX_PERIOD, MIN_PERIOD
from shared.repeats.words import MaskedWords, letters

ANCHOR = 3
"""Words in a row that must come back."""
ANCHOR_LETTERS = 6
NEW_SHARE = 0.25
"""Letters of new words for each letter that was said before."""
MOST_CREDIT = 40.0
"""Letters in a row that may be new, however long it has agreed before."""
MARK_LETTERS = 1.0
"""What a punctuation mark or a number counts for where something else stood before."""
NEAR = range(-2, 5)
"""Where a word that doesn't agree is looked for, in words from its place: some were left out, or put in."""
KEPT = 4 * MAX_PERIOD
"""Characters, at least."""
FIRST_LOOK, FIRST_LOOK_SHARE = 16, 8
"""Characters held when it is first asked whether the round is prose; later for long ones, a share of the round."""
OVERDUE, LOOKS = 1.2, 128
"""Of the length that makes a loop, and two looks of the detector more: by then rounds that vary were found."""


class NearlyAgain:
    """Feed it one text. It answers how much of its end may turn out to be a loop of rounds that vary, in characters."""

    def __init__(self, settings: RepeatSettings) -> None:
        self._settings = settings
        self._words = MaskedWords(KEPT)
        self._behind: dict[tuple[str, ...], int] = {}  # by words in a row: the word that followed them last
        self._let_go()

    def _let_go(self) -> None:
        """Nothing is said again."""
        self._back: int | None = None  # the word that comes next, if what was said before goes on
        self._since = 0  # where it began to be said again
        self._first = self._border = 0  # words: where the round before this one began, and where this one
        self._rounds: list[Round] = []
        self._look_at = 0
        self._credit = 0.0
        self._agreed = True  # the newest word
        self._is_healthy = False

    def feed(self, text: str) -> int:
        gone, words = self._words.gone, self._words
        words.append(text)
        if words.gone != gone:
            self._forget()
        while words.next():
            self._word()
        return words.length - self._since if self._back is not None and not self._is_healthy else 0

    @property
    def kept(self) -> int:
        """Characters of the text, and places in it."""
        return self._words.kept + len(self._behind)

    def _forget(self) -> None:
        """Memory stays bounded."""
        gone = self._words.gone
        self._behind = {anchor: word for anchor, word in self._behind.items() if word >= gone + ANCHOR}
        if self._back is not None and min(self._back, self._first) < gone + ANCHOR:
            self._let_go()

    def _word(self) -> None:
        if self._back is not None:
            self._follow(self._back)
        anchor = self._words.newest(ANCHOR)
        if self._back is None and (again := self._behind.get(anchor)) is not None:
            self._begin(again, anchor)
        self._behind[anchor] = len(self._words)
        if self._back is not None and not self._is_healthy:
            self._is_healthy = self._shows_health(self._back)

    # -- what is said again

    def _begin(self, again: int, anchor: tuple[str, ...]) -> None:
        words, said = self._words, sum(map(letters, anchor))
        since, first = len(words) - ANCHOR, again - ANCHOR
        period = words.start(since) - words.start(first)
        if said < ANCHOR_LETTERS or not MIN_PERIOD <= period <= MAX_PERIOD:
            return
        self._let_go()
        lead = next(at for at, word in enumerate(anchor) if letters(word))  # no round begins amid a time
        self._back, self._first, self._border = again, first + lead, since + lead
        self._since = words.start(since)
        self._look_at = self._since + max(FIRST_LOOK, period // FIRST_LOOK_SHARE)
        self._credit = NEW_SHARE * said

    def _follow(self, back: int) -> None:
        word = self._words[-1 + len(self._words)]
        if self._words[back] == word:
            self._back, self._agreed = back + 1, True
            self._credit = min(MOST_CREDIT, self._credit + NEW_SHARE * letters(word))
            return
        if not self._agreed and self._finds_its_way(back, word):  # a single word is more often another one
            self._agreed = True
            return
        self._back, self._agreed = back + 1, False
        self._credit -= letters(word) or MARK_LETTERS
        if self._credit < 0:
            self._let_go()

    def _finds_its_way(self, back: int, word: str) -> bool:
        """Whether it goes on elsewhere: some words were put in or left out, or it is another round."""
        words = self._words
        places = (back + by for by in NEAR if words.gone <= back + by < len(words) - 1)
        near = next((at for at in places if words[at] == word), None) if letters(word) > 1 else None
        if near is not None:
            self._back = near + 1
            return True
        again = self._behind.get(words.newest(ANCHOR))
        if again is None:
            return False
        self._back, self._first, self._border, self._rounds = again, again, len(words), []
        return True

    # -- whether it gets somewhere

    def _shows_health(self, back: int) -> bool:
        words = self._words
        if self._look_at and words.end >= self._look_at:
            self._look_at = 0
            if not is_prose(words.between(self._first, self._border)):
                return True
        if back >= self._border and not self._goes_round():
            return True
        period = words.end - words.start(back)
        return words.end - self._since > OVERDUE * self._settings.enough(period) + LOOKS

    def _goes_round(self) -> bool:
        """One more round is over: whether they may still become a loop."""
        words = self._words
        rounds = self._rounds or [read(words.between(self._first, self._border))]
        self._first, self._border = self._border, len(words)
        said = words.between(self._first, self._border)
        one = read(said)
        if not is_prose(said) or not are_alike(one, rounds[-1]):
            return False
        self._rounds = [*rounds[1 - FEW :], one]
        return len(self._rounds) < FEW - 1 or not keep_record(self._rounds)
