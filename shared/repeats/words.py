"""The end of a text, word by word, with its numbers masked: what varies from round to round looks the same."""

from __future__ import annotations

import re

from shared.repeats.rounds import DIGIT, NO_SPACES, WIDE_LETTER

WORD = re.compile(rf"[{NO_SPACES}]|[^\W{NO_SPACES}]+|[^\w\s]")
NUMBER = "0"
"""Stands for each word with a digit in it: a count, a part of a time, an id."""
LONGEST_WORD = 64
"""Characters: what is longer is no word, and is cut."""


class MaskedWords:
    """Constant memory: about `least` to twice as many characters, and their words. Words are numbered over the whole
    text, and so are places in it, in characters."""

    def __init__(self, least: int) -> None:
        self._least = least
        self._text = ""
        self._base = 0  # characters before that
        self._words: list[str] = []
        self._starts: list[int] = []
        self.gone = 0  # words that were let go
        self.end = 0  # of the newest word
        self._seen = 0  # up to where there are no more words, or the beginning of one

    def __len__(self) -> int:
        """Of the whole text."""
        return self.gone + len(self._words)

    def __getitem__(self, word: int) -> str:
        return self._words[word - self.gone]

    def start(self, word: int) -> int:
        """Where a word begins; of the one that is yet to come, where the newest ends."""
        return self._starts[word - self.gone] if word < len(self) else self.end

    def between(self, first: int, last: int) -> str:
        """The text from the beginning of one word to that of another."""
        return self._text[self.start(first) - self._base : self.start(last) - self._base]

    def newest(self, count: int) -> tuple[str, ...]:
        return tuple(self._words[-count:])

    @property
    def length(self) -> int:
        """Of the whole text, in characters."""
        return self._base + len(self._text)

    @property
    def kept(self) -> int:
        """Characters of the text that are there."""
        return len(self._text)

    def append(self, text: str) -> None:
        if len(self._text) > 2 * self._least:
            self._forget()
        self._text += text

    def next(self) -> bool:
        """Takes the next word, if it is all there; whether it was."""
        found = WORD.search(self._text, self._seen - self._base)
        self._seen = self.length if found is None else self._base + found.start()
        if found is None or (found.end() == len(self._text) and _may_go_on(found[0])):
            return False
        word = found[0][:LONGEST_WORD]
        self._words.append(NUMBER if DIGIT.search(word) else word)
        self._starts.append(self._seen)
        self._seen = self.end = self._seen + len(word)
        return True

    def _forget(self) -> None:
        cut = min(len(self._text) - self._least, self._seen - self._base)
        self._text, self._base = self._text[cut:], self._base + cut
        old = next((at for at, start in enumerate(self._starts) if start >= self._base), len(self._starts))
        del self._words[:old], self._starts[:old]
        self.gone += old


def _may_go_on(word: str) -> bool:
    return len(word) < LONGEST_WORD and (word.isalnum() or "_" in word)


def letters(word: str) -> float:
    """What it counts for; a mark or a number for nothing."""
    if not word.isalpha():
        return 0.0
    return WIDE_LETTER if len(word) == 1 and not word.isascii() else len(word)
