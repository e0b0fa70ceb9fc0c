"""The text that a chat stream spells, in one decode of all its chunks: a short cut for the usual stream.

Usual is: one choice, whose pieces are texts. Of any other stream nothing is said here, and all of it has to be merged.
"""

from __future__ import annotations

from typing import Any

import msgspec

from shared.assembly import TEXT_FIELDS
from shared.records.answers import events_of

DONE = b"[DONE]"


class _Choice(msgspec.Struct):
    index: Any = 0
    delta: dict[str, msgspec.Raw] | None = None


class _Chunk(msgspec.Struct):
    choices: list[_Choice] | None = None
    type: Any = msgspec.UNSET


_chunks = msgspec.json.Decoder(list[_Chunk]).decode
_texts = msgspec.json.Decoder(list[str | None]).decode


def is_text(path: tuple[str | int, ...]) -> bool:
    """Whether a path leads to a text of the first choice."""
    return len(path) == 4 and path[:3] == ("choices", 0, "message") and path[3] in TEXT_FIELDS


def spoken(data: bytes, name: str) -> str | None:
    """What the pieces of a message's field make; None where they have to be merged with care, or are nothing."""
    events = [text for event in events_of(data) if (text := event.strip()) not in (b"", DONE)]
    try:
        chunks = _chunks(b"[" + b",".join(events) + b"]")
        choices = [choice for chunk in chunks for choice in chunk.choices or ()]
        if any(choice.index != 0 for choice in choices) or any(chunk.type is not msgspec.UNSET for chunk in chunks):
            return None
        pieces = [choice.delta[name] for choice in choices if choice.delta is not None and name in choice.delta]
        texts = _texts(b"[" + b",".join(map(bytes, pieces)) + b"]")
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return "".join(filter(None, texts)) or None
