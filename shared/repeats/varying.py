"""Rounds that are nearly the same: found by something that comes back at nearly equal distances.

An anchor is a few newest characters that don't hold a number. Where it occurs again and again, what lies between two
occurrences is a round; `rounds` judges whether such rounds make a loop.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

from shared.repeats.history import WINDOW, History
from shared.repeats.loop import Loop, RepeatSettings
from shared.repeats.rounds import (
    DIGIT,
    FEW,
    FIRST_WIDE,
    Round,
    are_alike,
    is_prose,
    keep_record,
    read,
    say_nothing,
    vary,
)

MIN_PERIOD, WIDE_MIN_PERIOD = 8, 4
"""Characters of the shortest round, in an alphabet and in scripts whose letters are syllables or words."""
MAX_PERIOD = 1_200
"""Characters of the longest round: ten of them fit into the history."""
PLACES = range(0, 96, 12)
"""Where anchors are taken, in characters before the end: one of them misses the word that varies."""
ANCHOR, WIDE_ANCHOR = 7, 4
"""Characters of an anchor, in an alphabet and in scripts whose letters are syllables or words."""
JUDGED = 2
"""Anchors judged at one look."""
REST = 0.12
"""Of a chain's length, in which no other is judged after it: its other anchors would get the same verdict."""
MAX_REST = 256
"""Characters."""
UNEVEN = 0.3
"""By how much of the newest round's length another may be longer or shorter, with SLACK characters more."""
SLACK = 4
EARLY = 0.93
"""Of the length that makes a loop: looks are 64 characters apart, and half a round may be unlike the others."""
FAR_ENOUGH = 1.5
"""How far a chain is followed, in lengths that are enough."""


@dataclass(slots=True)
class Chain:
    """Occurrences of an anchor, newest first, in characters before the end."""

    at: list[int]

    @property
    def period(self) -> float:
        return (self.at[-1] - self.at[0]) / (len(self.at) - 1)


class VaryingRounds:
    """Looks for them each time that it is asked; rests a little after rounds that turned out to say something."""

    def __init__(self, settings: RepeatSettings) -> None:
        self._settings = settings
        self._rests_until = 0.0

    def look(self, history: History) -> Loop | None:
        for judged, chain in enumerate(_chains(history.newest_first, self._settings)):
            if judged == JUDGED or history.length < self._rests_until:
                break
            if loop := self._judged(history, chain):
                return loop
        return None

    def _judged(self, history: History, chain: Chain) -> Loop | None:
        rounds = _alike(history.newest_first, chain)
        if len(rounds) < FEW or not vary(rounds):
            return None
        kept = Chain(chain.at[: len(rounds) + 1])
        length = _length(history, kept)
        enough = length >= EARLY * self._settings.enough(kept.period)
        if enough and say_nothing(rounds):
            period = round(kept.period)
            return Loop(period=period, start=history.length - length, repeats=length // period, kind="varying")
        if keep_record(rounds[-FEW:]):
            self._rests_until = history.length + MAX_REST
        elif enough:
            self._rests_until = history.length + min(REST * length, MAX_REST)
        return None


def _alike(text: str, chain: Chain) -> list[Round]:
    """The last rounds that are alike, oldest first. None unless they are prose, FEW where those keep record."""
    rounds: list[Round] = []
    for newer, older in pairwise(chain.at):
        said = text[newer:older][::-1]
        if not rounds and not is_prose(said):
            break
        one = read(said)
        if rounds and not are_alike(one, rounds[-1]):
            break
        rounds.append(one)
        if len(rounds) == FEW and keep_record(rounds[::-1]):
            break
    return rounds[::-1]


def _chains(text: str, settings: RepeatSettings) -> Iterator[Chain]:
    """Those that are long enough, or nearly."""
    for place in PLACES:
        anchor, shortest = text[place : place + ANCHOR], MIN_PERIOD
        if not anchor or DIGIT.search(anchor):
            continue
        if max(anchor) > FIRST_WIDE:
            anchor, shortest = anchor[:WIDE_ANCHOR], WIDE_MIN_PERIOD
        second = text.find(anchor, place + 1, place + MAX_PERIOD + len(anchor))
        enough = settings.enough(second - place)
        if second - place >= shortest and enough <= WINDOW:
            chain = Chain(_occurrences(text, anchor, place, second, enough))
            if chain.at[-1] + chain.period >= EARLY * settings.enough(chain.period):
                yield chain


def _occurrences(text: str, anchor: str, first: int, second: int, enough: float) -> list[int]:
    """All in a row whose distances are alike, as far back as a verdict may need."""
    at = [first, second]
    length = second - first
    shortest = max(1, int(length * (1 - UNEVEN)) - SLACK)
    longest = int(length * (1 + UNEVEN)) + SLACK + len(anchor)
    while second < FAR_ENOUGH * enough:
        second = text.find(anchor, second + shortest, second + longest)
        if second < 0:
            break
        at.append(second)
    return at


def _length(history: History, chain: Chain) -> int:
    """From the oldest anchor, and what before it belongs to the round that it ends, to the newest character."""
    before = history.agreement(chain.at[-2], chain.at[-1])
    return chain.at[-1] + min(before, round(chain.period))
