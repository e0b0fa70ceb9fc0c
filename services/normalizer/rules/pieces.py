"""What goes out of a text, and who it is written to."""

from __future__ import annotations

from typing import Literal, NamedTuple, Protocol

from services.normalizer.rules.grammar import RawCall
from services.normalizer.rules.spacing import Seam

SLICE_CHARS = 4096
"""Of a longer text at once, so that copying what is left of it stays cheap."""


class Piece(NamedTuple):
    """A piece of output: text of a channel, or a call with the name of the repair that found it."""

    kind: Literal["content", "reasoning", "call"]
    text: str
    call: RawCall | None = None
    repair: str = ""


class Judge(Protocol):
    """Who knows which calls can be sent: the desk."""

    def takes(self, raw: RawCall) -> bool: ...
    def offers(self, raw: RawCall) -> bool: ...


class Seams(NamedTuple):
    """The two texts of a choice, which both of its scanners write to."""

    content: Seam
    reasoning: Seam


def slices(text: str) -> list[str]:
    """A text in slices, the first one last."""
    return [text[at : at + SLICE_CHARS] for at in range(0, len(text), SLICE_CHARS)][::-1] or [""]
