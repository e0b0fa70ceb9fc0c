"""Are rounds nearly the same, and if so, do they make a loop or say something?

A table, a log, a test or a list of similar things is made of rounds too, and each of them brings news. So rounds are a
loop when they are prose (data and code repeat their form on purpose), and bring next to no news:

* words: one that was not yet said after the same word is news; at most MAX_NEWS of the letters may be
* numbers, by column: constant, counting or a time brings none. One column may bring news where nothing else
  varies (an id, a random number). A column that counts down doesn't make a loop: it ends by itself.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

FIRST_WIDE = "\u0e00"
"""Thai; the alphabets come before it, and the scripts whose letters are syllables or words after it."""
NO_SPACES = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u2e80-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
"""Scripts that don't part words: Thai to Burmese, Khmer, Chinese and Japanese. One character counts as a word."""
TOKEN = re.compile(
    r"[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}"  # a UUID
    r"|[\[(]?\d+(?:[.:/T-]\d+)+[\])]?"  # a time, a date, a decimal, an address, perhaps in brackets
    rf"|[{NO_SPACES}]|[^\W_{NO_SPACES}]+|[^\w\s]|_"
)
TIME = re.compile(r"[\[(]?(?:\d+:\d+|\d{4}[-/.]\d\d?[-/.]\d\d?|\d\d?[-/.]\d\d?[-/.]\d{4}|\d{10}(?:\d{3})?$)")
PLAIN_NUMBER = re.compile(r"[\d.:/T()\[\]-]+")
QUOTE = re.compile(r"(?<![^\W\d_])'|'(?![^\W\d_])")  # not the apostrophe of "don't"
NAMED_NUMBER = re.compile(r"([^\W\d_]+)(\d+)")
DIGIT = re.compile(r"\d")
MARKS = frozenset('{}()[]<>=;|"\\_/&@$^~+%')
"""What code and data are built with."""
MARK_WEIGHT = 3
MIN_LETTERS = 6
"""Letters of a round: less than that is a list of numbers."""
MIN_PROSE = 0.8
"""Letters among letters and punctuation, marks weighed."""
MAX_DIGITS = 0.3
"""Digits, those of times left out, among what is no space."""
MAX_ID = 4
"""Digits that an id counts for."""
MAX_JOINED = 1.25
"""Words for each blank: prose parts its words with blanks, where code joins them (a.b, a_b, a(b))."""
MAX_NEWS = 0.25
"""Letters of words that are news, among all letters."""
MAX_CHANGED = 0.6
"""Letters that differ between a round and the next, among its letters; 0.2 to 0.5 where one word of six differs."""
FEW = 4
"""Rounds that show most records, so that the others need not be read."""
PLACE = 16
"""Words around a word's place in which it is looked for in the next round."""
OFTEN = 0.25
"""Rounds that bring news, where a word is what varies; fewer are chance: a counter that got a digit longer."""
WIDE_LETTER = 2
"""Letters that a character of NO_SPACES stands for."""

Column = Literal["constant", "counting", "down", "time", "news"]


Pair = tuple[str, str]
"""A word, and the one before it."""


@dataclass(slots=True)
class Round:
    text: str
    pairs: list[Pair]  # punctuation is a word, and so is the place of a number
    numbers: list[str]


@dataclass(slots=True)
class News:
    share: float  # of the letters
    often: bool  # more than one round brings some, and more than a few
    themes: float  # share of the rounds that say a word more than once that was never said before


def read(text: str) -> Round:
    words: list[str] = TOKEN.findall(text)
    numbers: list[str] = []
    if DIGIT.search(text):
        words = [_without_number(word, numbers) for word in words]
    return Round(text, list(zip([*words[-1:], *words], words, strict=False)), numbers)


def _without_number(word: str, numbers: list[str]) -> str:
    """The word with its number, if it has one, moved to `numbers`."""
    if word.isalpha() or not DIGIT.search(word):
        return word
    named = NAMED_NUMBER.fullmatch(word)
    numbers.append(named[2] if named else word)
    return named[1] if named else "0"


def are_alike(one: Round, other: Round) -> bool:
    """Whether most words of one are in the other, too, in about the same place, and as many numbers."""
    if len(one.numbers) != len(other.numbers):
        return False
    allowed = MAX_CHANGED * _size(one.pairs)
    had = set(other.pairs)
    if _size(pair for pair in one.pairs if pair not in had) > allowed:
        return False
    if len(one.pairs) <= PLACE:
        return True
    near = {(pair, at // PLACE + by) for at, pair in enumerate(other.pairs) for by in (-1, 0, 1)}
    return _size(pair for at, pair in enumerate(one.pairs) if (pair, at // PLACE) not in near) <= allowed


def _size(pairs: Iterable[Pair]) -> int:
    return sum(len(word) for _, word in pairs)


def vary(rounds: Sequence[Round]) -> bool:
    """Whether they do so at all: one change alone is where equal rounds begin."""
    return sum(before.text != after.text for before, after in pairwise(rounds)) > 1


def say_nothing(rounds: Sequence[Round]) -> bool:
    """Whether such rounds, that are all alike, are a loop."""
    news = _news(rounds)
    if news.share > MAX_NEWS or news.themes >= OFTEN or keep_record(rounds):
        return False
    return all(is_prose(one.text) for one in rounds)


def is_prose(text: str) -> bool:
    letters = digits = words = 0
    marks = (MARK_WEIGHT - 1) * len(QUOTE.findall(text))
    for token in TOKEN.findall(text):
        if token.isalpha():
            letters += _letters(token)
            words += token < FIRST_WIDE
        elif DIGIT.search(token):
            digits += _digits(token)
        else:
            marks += MARK_WEIGHT if token in MARKS else 1
    return (
        letters >= MIN_LETTERS
        and letters >= MIN_PROSE * (letters + marks)
        and digits <= MAX_DIGITS * (letters + digits)
        and words <= MAX_JOINED * len(text.split())
    )


def _digits(token: str) -> int:
    if TIME.match(token):
        return 0
    return len(token) if PLAIN_NUMBER.fullmatch(token) else min(len(token), MAX_ID)


def _letters(word: str) -> int:
    return WIDE_LETTER if len(word) == 1 and not word.isascii() else len(word)


def _news(rounds: Sequence[Round]) -> News:
    first, *others = rounds
    said = set(first.pairs)
    words = {word for _, word in first.pairs}
    new = newsy = themes = 0
    for one in others:
        fresh = _size(pair for pair in one.pairs if pair not in said)
        new += fresh
        newsy += fresh > 0
        first_said = [word for _, word in one.pairs if word not in words]
        themes += len(first_said) > len(set(first_said))
        said.update(one.pairs)
        words.update(first_said)
    total = sum(_size(one.pairs) for one in others)
    often = newsy > 1 and newsy >= OFTEN * len(others)
    return News(new / total, often, themes / len(others))


def keep_record(rounds: Sequence[Round]) -> bool:
    """A record is something that varies, and with it something that can't be foreseen; or a count to its end."""
    columns = [_column(values) for values in zip(*(one.numbers for one in rounds), strict=True)]
    if "down" in columns:
        return True
    words = _news(rounds).often
    varying = len(columns) - columns.count("constant") + words
    unforeseen = columns.count("news") + words
    return unforeseen > 0 and varying > 1


def _column(values: Sequence[str]) -> Column:
    if len(set(values)) == 1:
        return "constant"
    if all(TIME.match(value) for value in values):
        return "time"
    if not all(value.isdecimal() for value in values):
        return "news"
    counts = [int(value) for value in values]
    steps = {after - before for before, after in pairwise(counts)}
    if len(steps) > 1:
        return "news"
    return "counting" if steps.pop() > 0 else "down"
