"""Exchanges as one webhook is posted them: put together from the capture stream, redacted, signed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import aiohttp

from services.recorder.rules.exchange import Records, assemble
from services.recorder.rules.messages import Message
from services.recorder.rules.posting import exchange_json, post_body, post_headers, post_id
from services.recorder.rules.redaction import Redaction
from services.recorder.stream import PAGE_MESSAGES, Stream
from shared.bus import Bus
from shared.secrets import scrub
from shared.subjects import Subjects

POSTED_WITHIN_S = 30.0
REFUSED = frozenset({400, 413, 422})  # the receiver will never take this post
REFUSALS = 5  # of one exchange alone, before it is left out


class NotTaken(Exception):
    """The receiver has not accepted a post; `status` where it said so."""

    def __init__(self, why: str, status: int | None = None) -> None:
        super().__init__(why)
        self.status = status


@dataclass(frozen=True, kw_only=True)
class Receiver:
    """Where to, and how."""

    url: str
    place: str  # for logs: without what may be secret
    secret: str | None = None
    with_bodies: bool = False


@dataclass(frozen=True)
class Posted:
    """One exchange, ready to be posted."""

    id: str
    json: bytes


class Poster:
    """Reads exchanges and posts them; inside of `async with`."""

    def __init__(
        self,
        bus: Bus,
        subjects: Subjects,
        receiver: Receiver,
        feed: str,
        redaction: Redaction,
        clock: Callable[[], float],
    ) -> None:
        self.place = receiver.place
        self._bus = bus
        self._subjects = subjects
        self._receiver = receiver
        self._redaction = redaction
        self._clock = clock
        self._stream = Stream(bus, subjects, feed)
        self._session: aiohttp.ClientSession

    async def __aenter__(self) -> Poster:
        self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=POSTED_WITHIN_S))
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._session.close()

    async def messages(self, id: str) -> list[Message]:
        """All that passed about an exchange. What is said later is too late for a post."""
        messages: list[Message] = []
        seq = 1
        while page := await self._bus.history(self._subjects.of_request(id), seq, PAGE_MESSAGES):
            understood = [self._stream.understand(one) for one in page]
            messages += [message for _, message in await self._stream.with_bodies(understood)]
            seq = page[-1].seq + 1
        return messages

    async def finished(self, id: str) -> Posted:
        return self.ready(assemble(id, await self.messages(id)))

    def ready(self, records: Records) -> Posted:
        redacted = self._redaction.records(records)
        return Posted(records.exchange["id"], exchange_json(redacted, self._receiver.with_bodies))

    async def post(self, some: Sequence[Posted]) -> None:
        """Raises NotTaken."""
        body = post_body([one.json for one in some])
        headers = post_headers(post_id([one.id for one in some]), self._clock(), body, self._receiver.secret)
        request = self._session.post(self._receiver.url, data=body, headers=headers, allow_redirects=False)
        try:
            async with request as answer:
                if answer.status >= 300:
                    raise NotTaken(f"it answered {answer.status}", answer.status)
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise NotTaken(scrub(f"it can't be reached: {type(error).__name__}")) from error
