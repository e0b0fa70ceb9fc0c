"""The capture stream as the recorder reads it: messages understood, gaps closed, bodies fetched."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import structlog

from services.recorder.rules.messages import Message, claim, claims_in, read
from services.recorder.rules.position import Position, fresh, skipped
from services.recorder.rules.rows import Row, poison_row
from services.recorder.sharing import Stretch
from shared.bus import Bus, Captured, NoSuchClaim
from shared.errors import Poison
from shared.subjects import Subjects

PAGE_MESSAGES = 200  # read from the stream itself; each may be as large as a message can be

log = structlog.get_logger("recorder")


@dataclass(frozen=True)
class Understood:
    """One captured message: what it says, or why nobody can say."""

    size: int  # bytes, with the body that is in the object store
    id: str = ""
    message: Message | None = None
    poison: Row | None = None


class Stream:
    """What passed, whoever it was delivered to."""

    def __init__(self, bus: Bus, subjects: Subjects, feed: str) -> None:
        self._bus = bus
        self._subjects = subjects
        self._feed = feed

    async def page(self, position: Position, limit: int = PAGE_MESSAGES) -> list[Captured]:
        """The next messages behind the position."""
        return await self._bus.history(self._subjects.captured, position.seq + 1, limit)

    async def with_missing(self, position: Position, rest: list[Captured]) -> list[Captured]:
        """The next messages of the stream, up to the last of `rest`; what it has let go of is lost for good."""
        page = await self.page(position)
        last = min(rest[-1].seq, page[-1].seq) if page else rest[-1].seq
        messages = fresh(position, (message for message in [*rest, *page] if message.seq <= last))
        self._tell_lost(position.seq, skipped(position, messages))
        return messages

    async def stretch(self, stretch: Stretch) -> list[Captured]:
        """What the stream still holds of it."""
        found: list[Captured] = []
        position = Position(stretch.first_seq - 1)
        while position.seq < stretch.last_seq and (page := await self.page(position)):
            found += filter(stretch.holds, page)
            position = Position(page[-1].seq)
        self._tell_lost(stretch.first_seq - 1, stretch.last_seq - stretch.first_seq + 1 - len(found))
        return found

    def _tell_lost(self, after: int, lost: int) -> None:
        if lost:
            log.warning("recorder.discarded", feed=self._feed, after=after, messages=lost)

    def understand(self, captured: Captured) -> Understood:
        try:
            id, message = read(captured, self._subjects.root)
        except Poison as poison:
            log.error("recorder.poison", subject=captured.subject, seq=captured.seq, reason=poison.reason)
            row = poison_row(captured.seq, captured.at, captured.subject, poison.reason, captured.data)
            return Understood(len(captured.data), poison=row)
        return Understood(len(captured.data) + _claimed_bytes(message), id, message)

    async def with_bodies(self, understood: Iterable[Understood]) -> list[tuple[str, Message]]:
        """The messages, and the bodies that were too large for them."""
        messages: list[tuple[str, Message]] = []
        for one in understood:
            if one.message is not None:
                messages.append((one.id, one.message))
                messages += [(one.id, body) for body in await self._claimed(one.message)]
        return messages

    async def _claimed(self, message: Message) -> Sequence[Message]:
        bodies = []
        for name in claims_in(message):
            try:
                bodies.append(claim(message, name, await self._bus.get_claim(name)))
            except NoSuchClaim:
                log.warning("recorder.body_gone", subject=message.topic, claim=name)
        return bodies


def _claimed_bytes(message: Message) -> int:
    body = getattr(message.said, "body", None)
    return int(body.size) if claims_in(message) and body is not None else 0
