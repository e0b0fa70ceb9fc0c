"""Who has died: each worker answers pings, and where nobody answers, nobody is there.

A killed process loses its connection at once and its subscriptions with it, so that a ping to it comes back with "no
responders" within a millisecond: that is far sooner than a heartbeat is missed. A worker whose connection was lost
looks the same until it is back, which takes a tenth of a second; hence the second ping. One that is there and doesn't
answer, as when its process is stopped, counts as dead when its heartbeats are missing too.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable

import anyio

from shared.bus import Bus, BusUnavailable, Delivery, NoReply, NoResponders
from shared.roster import Roster
from shared.subjects import Subjects

LOOK_S = 0.5  # between two looks for dead workers
ANSWER_WITHIN_S = 0.4
PAUSE_S = 0.3  # before the second ping: a client that lost its connection tries again after 0.1 s
UNHEARD_LOOKS = 8  # without an answer, until a worker of which no heartbeat was ever heard counts as dead
SETTLE_S = 3.0  # after our own connection came back: the others come back in their own time


class Vitals:
    """What one worker knows of the others' lives."""

    def __init__(
        self, bus: Bus, subjects: Subjects, roster: Roster, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._bus = bus
        self._subjects = subjects
        self._roster = roster
        self._clock = clock
        self._trusts_from = 0.0
        self._unanswered: Counter[str] = Counter()  # by a worker that was never heard

    async def listen(self, instance: str) -> None:
        """Answers pings from here on."""
        self._bus.on_reconnect(self._settle)
        await self._bus.subscribe(self._subjects.ping(instance), self._answer)

    async def _answer(self, message: Delivery) -> None:
        await self._bus.publish(message.reply, b"")

    def _settle(self) -> None:
        self._trusts_from = self._clock() + SETTLE_S
        self._unanswered.clear()

    @property
    def _may_judge(self) -> bool:
        return self._bus.is_connected and self._clock() >= self._trusts_from

    async def dead(self, instances: Iterable[str]) -> set[str]:
        """Those of the workers that are not there any more. Nobody, while our own connection is no good."""
        found: set[str] = set()

        async def look(instance: str) -> None:
            if await self._is_dead(instance):
                found.add(instance)

        async with anyio.create_task_group() as tasks:
            for instance in instances:
                tasks.start_soon(look, instance)
        return found if self._may_judge else set()

    async def _is_dead(self, instance: str) -> bool:
        beat = self._roster.beat_of(instance)
        if beat is not None and not beat.answers_pings:
            return self._roster.is_gone(instance)
        is_there = await self.is_there(instance)
        if is_there is None:
            return self._roster.is_gone(instance)
        if is_there:
            self._unanswered.pop(instance, None)
            return False
        if beat is None:
            return self._is_overdue(instance)
        await anyio.sleep(PAUSE_S)
        return await self.is_there(instance) is False

    def _is_overdue(self, instance: str) -> bool:
        self._unanswered[instance] += 1
        if self._unanswered[instance] < UNHEARD_LOOKS:
            return False
        del self._unanswered[instance]
        return True

    async def is_there(self, instance: str) -> bool | None:
        """None where nobody can say: it has a subscription and gives no answer, or we have no connection."""
        try:
            await self._bus.request(self._subjects.ping(instance), b"", ANSWER_WITHIN_S)
        except NoResponders:
            return False
        except (NoReply, BusUnavailable):
            return None
        return True
