"""Taking out of a recording what must not leave the machine: what looks like a key, and who asked."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from services.cli.replaying.recording import Answered, Data, Piece, Recording
from shared.contracts import Recorded
from shared.records.told import Told
from shared.secrets import SECRET_SHAPE, scrub

ASKING = frozenset(
    {"accept", "content-type", "anthropic-version", "anthropic-beta", "openai-beta", "x-moontide-provider"}
)
ANSWERING = frozenset({"content-type", "content-encoding", "retry-after", "retry-after-ms"})
"""Headers that shape an answer; all others may say who asked, from where, and on whose account."""


class SecretLeft(Exception):
    """What looks like a key is spread over several pieces, where it can't be taken out by itself."""


def scrubbed(recording: Recording) -> tuple[Recording, list[str]]:
    """The recording without them, and what was taken out of it; raises SecretLeft."""
    notes: list[str] = []
    asked = recording.asked
    clean = msgspec.structs.replace(
        recording,
        asked=msgspec.structs.replace(
            asked,
            path=scrub(asked.path),
            headers=_kept(asked.headers, ASKING, "request", notes),
            body=_masked(asked.body, "the request's body", notes),
        ),
        calls=[_call(call, notes) for call in recording.calls],
        told=_told(recording.told),
        earlier=[_response(one, notes) for one in recording.earlier],
    )
    return clean, list(dict.fromkeys(notes))


def check_told(told: Told) -> None:
    """Raises SecretLeft where the answer as a whole holds what none of its pieces does."""
    text = msgspec.json.encode(told).decode()
    if SECRET_SHAPE.search(text):
        raise SecretLeft("the answer holds what looks like a key, spread over several pieces: it can't be taken out")


def _told(told: Told) -> Told:
    """With as many x as there are in the bytes that say it."""
    text = SECRET_SHAPE.sub(lambda match: "x" * len(match.group()), msgspec.json.encode(told).decode())
    return msgspec.json.decode(text, type=Told)


def _call(call: Answered, notes: list[str]) -> Answered:
    whole = b"".join(piece.data.bytes for piece in call.pieces)
    masked = _masked(Data.of(whole), f"{call.call}'s answer", notes).bytes
    pieces, at = [], 0
    for piece in call.pieces:
        size = len(piece.data.bytes)
        pieces.append(Piece(piece.at_us, Data.of(masked[at : at + size])))
        at += size
    headers = _kept(call.headers, ANSWERING, call.call, notes)
    return msgspec.structs.replace(call, headers=headers, pieces=pieces)


def _response(earlier: Recorded, notes: list[str]) -> Recorded:
    where, request = "an earlier response", earlier.request
    if request is not None:
        body = msgspec.structs.replace(request.body, data=_masked_bytes(request.body.data or b"", where, notes))
        request = msgspec.structs.replace(request, path=scrub(request.path), body=body)
    canonical, answer = (_masked_bytes(data, where, notes) for data in (earlier.canonical, earlier.answer))
    return msgspec.structs.replace(earlier, request=request, canonical=canonical, answer=answer)


def _masked_bytes(data: bytes, where: str, notes: list[str]) -> bytes:
    return _masked(Data.of(data), where, notes).bytes


def _masked(data: Data, where: str, notes: list[str]) -> Data:
    """Each key as so many x: every other byte stays where it is."""
    text = data.bytes.decode("latin-1")
    clean, count = SECRET_SHAPE.subn(lambda match: "x" * len(match.group()), text)
    if not count:
        return data
    notes.append(f"{count} in {where} that looked like a key")
    return Data.of(clean.encode("latin-1"))


def _kept(headers: Mapping[str, str], names: frozenset[str], whose: str, notes: list[str]) -> dict[str, str]:
    left_out = sorted(set(headers) - names)
    if left_out:
        notes.append(f"headers of the {whose}: {', '.join(left_out)}")
    return {name: scrub(value) for name, value in headers.items() if name in names}
