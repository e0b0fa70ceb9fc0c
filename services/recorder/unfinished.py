"""Exchanges whose ingress died, for a webhook: nobody says that they are over, so they are looked for.

Now and then the requests that are old enough are gone through, in the stream's order. One without an account, about
which nothing was said for `abandoned_after_s`, is posted as abandoned. How far that is done, and which exchanges still
run, is kept beside the stream, so that whichever recorder does it next goes on from there.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import msgspec
import structlog

from services.recorder.poster import REFUSALS, REFUSED, NotTaken, Poster
from services.recorder.rules.exchange import abandoned, assemble
from services.recorder.rules.walk import Walk
from services.recorder.worker import Rhythm
from shared.bus import Bus, State
from shared.subjects import RECORDER_BUCKET, Subjects

REQUESTS_AT_ONCE = 50  # each may be as large as a message can be

log = structlog.get_logger("recorder")


class Unfinished:
    """Looks for them; `look` is to be called again and again."""

    def __init__(
        self, bus: Bus, subjects: Subjects, poster: Poster, feed: str, rhythm: Rhythm, is_mine: Callable[[], bool]
    ) -> None:
        """`is_mine`: of several recorders one does it."""
        self._bus = bus
        self._subjects = subjects
        self._poster = poster
        self._key = f"{feed}.walk"
        self._rhythm = rhythm
        self._is_mine = is_mine
        self._refusals: Counter[str] = Counter()

    async def look(self) -> None:
        """Once through what is old enough; raises BusUnavailable."""
        if not self._is_mine():
            return
        bucket = await self._bus.state(RECORDER_BUCKET)
        until = self._rhythm.clock() - self._rhythm.abandoned_after_s
        walk, is_more = await self._begin(bucket), True
        while is_more:
            before = walk
            page = await self._bus.history(self._subjects.requests, walk.seq + 1, REQUESTS_AT_ONCE)
            walk, is_more = walk.beyond(page, until)
            walk = walk.without({id for id in walk.open if await self._is_dealt_with(id, until)})
            if walk != before:
                await bucket.put(self._key, msgspec.json.encode(walk))
        self._refusals = Counter({id: self._refusals[id] for id in walk.open if self._refusals[id]})

    async def _begin(self, bucket: State) -> Walk:
        value = await bucket.get(self._key)
        walk = msgspec.json.decode(value, type=Walk) if value is not None else Walk()
        first = await self._bus.history(self._subjects.requests, 1, 1)
        return Walk() if first and walk.is_of_another_stream(first[0]) else walk

    async def _is_dealt_with(self, id: str, until: float) -> bool:
        """Whether it is over, in one way or another: its account tells the feed, what is abandoned is posted here."""
        if await self._bus.history(self._subjects.done(id), 1, 1):
            return True
        messages = await self._poster.messages(id)
        if not messages:
            return True  # the stream has let go of it
        if max(message.at for message in messages) >= until:
            return False
        one = self._poster.ready(abandoned(assemble(id, messages), self._rhythm.abandoned_after_s))
        try:
            await self._poster.post([one])
        except NotTaken as error:
            return self._is_refused(id, error)
        log.info("recorder.abandoned_posted", exchange=id, sink=self._poster.place)
        return True

    def _is_refused(self, id: str, error: NotTaken) -> bool:
        """Whether the receiver will never take it; else the next look tries again."""
        self._refusals[id] += error.status in REFUSED
        if self._refusals[id] < REFUSALS:
            return False
        log.error("recorder.webhook_refused", exchange=id, sink=self._poster.place, why=str(error))
        return True
