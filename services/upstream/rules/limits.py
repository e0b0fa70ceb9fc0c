"""Limits of one provider, and who waits for room in which order.

Counts of calls at once, and of requests and tokens in a moving minute (a bucket that fills evenly, so that a minute's
worth may go at once). Whoever finds no room waits: clients take turns, and within a client it is first come, first
served. State and event in, state and decisions out: times are on one monotonic clock.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from dataclasses import dataclass

from shared.config import Limits

MINUTE_S = 60.0


class Bucket:
    """So many a minute; None is any number."""

    def __init__(self, per_minute: float | None) -> None:
        self._per_minute = per_minute
        self._level: float | None = None  # what is left; None: full
        self._at = 0.0

    def fill(self, per_minute: float | None) -> None:
        """Another rate from now on; the bucket stays as full as it is."""
        if self._per_minute is None or per_minute is None:
            self._level = None
        elif self._level is not None:
            self._level *= per_minute / self._per_minute
        self._per_minute = per_minute

    def _left(self, share: float, now: float) -> float:
        full = (self._per_minute or 0.0) * share
        if self._level is None:
            return full
        return min(full, self._level + (now - self._at) / MINUTE_S * full)

    def wait_s(self, wanted: float, share: float, now: float) -> float:
        """How long until so many may go. More than a minute's worth goes when the bucket is full."""
        if self._per_minute is None:
            return 0.0
        full = self._per_minute * share
        missing = min(wanted, full) - self._left(share, now)
        return max(0.0, missing / full * MINUTE_S)

    def take(self, wanted: float, share: float, now: float) -> None:
        if self._per_minute is not None:
            self._level, self._at = self._left(share, now) - wanted, now


@dataclass(eq=False)
class Waiter:
    """One call that waits for room."""

    client: str
    tokens: float
    is_let_in: bool = False


class Gate:
    """One provider's limits, of which this worker has a share, as it is one of so many live ones."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._requests = Bucket(limits.requests_per_minute)
        self._tokens = Bucket(limits.tokens_per_minute)
        self._queues: OrderedDict[str, deque[Waiter]] = OrderedDict()  # by client; the first one's turn is next
        self.in_flight = 0

    def limit(self, limits: Limits) -> None:
        """Other limits from now on."""
        self._limits = limits
        self._requests.fill(limits.requests_per_minute)
        self._tokens.fill(limits.tokens_per_minute)

    @property
    def is_unlimited(self) -> bool:
        limits = self._limits
        return limits.max_in_flight is limits.requests_per_minute is limits.tokens_per_minute is None

    @property
    def waiting(self) -> int:
        return sum(map(len, self._queues.values()))

    def has_room(self, tokens: float, workers: int, now: float) -> bool:
        """A call may go at once: there is room, and nobody waits for it."""
        return not self._queues and self._wait_s(tokens, workers, now) == 0.0

    def _wait_s(self, tokens: float, workers: int, now: float) -> float | None:
        """Until a call of so many tokens may go; None where that depends on others to end."""
        at_once = self._limits.max_in_flight
        if at_once is not None and self.in_flight >= max(1, at_once // workers):
            return None
        share = 1.0 / workers
        return max(self._requests.wait_s(1.0, share, now), self._tokens.wait_s(tokens, share, now))

    def enter(self, tokens: float, workers: int, now: float) -> None:
        """A call goes."""
        self.in_flight += 1
        self._requests.take(1.0, 1.0 / workers, now)
        self._tokens.take(tokens, 1.0 / workers, now)

    def leave(self) -> None:
        self.in_flight -= 1

    def correct(self, estimated: float, used: float, workers: int, now: float) -> None:
        """An answer has come: what it really used takes the estimate's place."""
        self._tokens.take(used - estimated, 1.0 / workers, now)

    def join(self, client: str, tokens: float) -> Waiter:
        waiter = Waiter(client, tokens)
        self._queues.setdefault(client, deque()).append(waiter)
        return waiter

    def give_up(self, waiter: Waiter) -> None:
        """Waits no longer."""
        queue = self._queues.get(waiter.client)
        if queue is not None and waiter in queue:
            queue.remove(waiter)
            if not queue:
                del self._queues[waiter.client]

    def let_in(self, workers: int, now: float) -> tuple[list[Waiter], float | None]:
        """Those whose turn has come, and when to look again (None: when a call ends)."""
        let_in: list[Waiter] = []
        while self._queues:
            client, queue = next(iter(self._queues.items()))
            wait_s = self._wait_s(queue[0].tokens, workers, now)
            if wait_s is None or wait_s > 0.0:
                return let_in, wait_s
            waiter = queue.popleft()
            waiter.is_let_in = True
            self.enter(waiter.tokens, workers, now)
            let_in.append(waiter)
            self._queues.move_to_end(client)
            if not queue:
                del self._queues[client]
        return let_in, None

    def retry_after_s(self, tokens: float, workers: int, now: float) -> float:
        """What a client is told that got no room: a guess where that depends on others to end."""
        return max(1.0, self._wait_s(tokens, workers, now) or 1.0)
