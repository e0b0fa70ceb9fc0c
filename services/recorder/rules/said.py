"""What was said in an exchange, for full-text search: what is new in the request, then the answer. Bounded."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from services.recorder.rules.answers import Json, choices, dicts, message_of, text_of
from services.recorder.rules.asking import texts_in

TEXT_CHARACTERS = 16 * 1024  # of one message, or one field of an answer
SAID_CHARACTERS = 32 * 1024  # of an exchange. Postgres's tsvector knows 16,383 places and 1 MiB.


def said_in(asked: list[str], answer: Json) -> str:
    """Where there is more than has room, the answer stays, and of the request what came last."""
    answered = _fitting(_answered(answer), SAID_CHARACTERS)
    room = SAID_CHARACTERS - sum(map(len, answered))
    newest_first = _fitting(reversed(asked), room)
    return "\n\n".join([*reversed(newest_first), *answered]).replace("\x00", "")


def _answered(answer: Json) -> Iterator[str]:
    for choice in choices(answer):
        message = message_of(choice)
        yield from texts_in(message.get("content"))
        yield text_of(message.get("reasoning_content") or message.get("reasoning"))
        yield text_of(message.get("refusal"))
        yield text_of(choice.get("text"))
        for call in dicts(message.get("tool_calls")):
            function = call.get("function")
            if isinstance(function, dict):
                yield f"{text_of(function.get('name'))} {text_of(function.get('arguments'))}".strip()


def _fitting(texts: Iterable[str], room: int) -> list[str]:
    found = []
    for text in texts:
        text = text[: min(TEXT_CHARACTERS, room)]
        if text:
            found.append(text)
            room -= len(text)
    return found
