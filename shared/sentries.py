"""Somebody to watch each answer: sentinels that are found, and replaced when they die.

Nobody waits for a sentinel. Whoever has a request in hand offers its watch, remembers who took it, and offers it again
when that one is gone, or when nobody had room. The next one reads what has passed out of the capture stream.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import msgspec
import structlog

from shared.bus import Bus, BusUnavailable, NoReply, NoResponders
from shared.contracts import Accepted, Watch, decode, encode
from shared.offers import ACCEPT_TIMEOUT_S
from shared.roster import Roster
from shared.subjects import STAGE_OF_SERVICE, Stage, Subjects
from shared.takeovers import MOST_TAKEOVERS, Tell

SERVICE = "sentinel"
STAGE: Stage = STAGE_OF_SERVICE[SERVICE]
AT_ONCE = 64
"""Watches that are offered again at one look: where every sentinel is full, each is a question in vain."""
MOST_UNANSWERED = 3
"""Offers that were heard and not answered, until it is left at that: a sentinel of an older version takes them in
silence."""

log = structlog.get_logger("sentries")


@dataclass(eq=False)
class _Post:
    """One answer that is to be watched."""

    watch: Watch
    sentry: str | None = None
    former: str | None = None  # who died
    takeovers: int = 0
    unanswered: int = 0
    is_offered: bool = False  # just now

    @property
    def is_open(self) -> bool:
        """Whether it may be offered."""
        is_hopeless = self.unanswered >= MOST_UNANSWERED or self.takeovers > MOST_TAKEOVERS
        return self.sentry is None and not self.is_offered and not is_hopeless


class Sentries:
    """Those of the answers that one worker has in hand."""

    def __init__(self, bus: Bus, subjects: Subjects, roster: Roster, tell: Tell) -> None:
        self._bus = bus
        self._subjects = subjects
        self._roster = roster
        self._tell = tell
        self._posts: dict[str, _Post] = {}

    @contextmanager
    def watching(self, watch: Watch, start_soon: Callable[..., None]) -> Iterator[None]:
        """Somebody, if there is somebody, watches while the block lasts."""
        post = self._posts[watch.id] = _Post(watch)
        self._offer_soon(post, start_soon)
        try:
            yield
        finally:
            del self._posts[watch.id]

    @property
    def on_duty(self) -> set[str]:
        return {post.sentry for post in self._posts.values() if post.sentry is not None}

    def relieve(self, dead: set[str], start_soon: Callable[..., None]) -> None:
        """Called at each look: what the dead have watched, and what nobody has taken yet, is offered again."""
        for post in self._posts.values():
            if post.sentry in dead:
                post.former, post.sentry = post.sentry, None
                post.takeovers += 1
        if not self._roster.has(SERVICE):
            return
        for post in [post for post in self._posts.values() if post.is_open][:AT_ONCE]:
            self._offer_soon(post, start_soon)

    def _offer_soon(self, post: _Post, start_soon: Callable[..., None]) -> None:
        post.is_offered = True
        start_soon(self._offer, post)

    async def _offer(self, post: _Post) -> None:
        try:
            post.sentry = await self._taker(post)
        finally:
            post.is_offered = False
            post.watch = msgspec.structs.replace(post.watch, again=True)
        if post.sentry is not None and post.former is not None:
            await self._announce(post.watch.id, {"stage": STAGE, "from": post.former, "to": post.sentry})
            post.former = None

    async def _taker(self, post: _Post) -> str | None:
        try:
            data = await self._bus.request(self._subjects.work(STAGE), encode(post.watch), ACCEPT_TIMEOUT_S)
            accepted = decode(Accepted, data)
        except (NoResponders, BusUnavailable):
            return None
        except (NoReply, msgspec.DecodeError):
            post.unanswered += 1
            return None
        return None if accepted.busy else accepted.worker

    async def _announce(self, id: str, facts: dict[str, Any]) -> None:
        log.warning("watch.taken-over", request=id, **facts)
        try:
            await self._tell(id, "taken-over", None, facts)
        except BusUnavailable as error:
            log.warning("takeover.not_told", request=id, error=str(error))
