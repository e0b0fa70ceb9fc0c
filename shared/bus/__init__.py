"""The bus as the services see it: publish, subscribe, request, and the memory of the capture stream.

`nats.py` is the real one and the only module that imports nats; `memory.py` is held to the same contract tests and
serves unit tests. Delivery is at most once on the hot path; the capture stream remembers what passed.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

STATE_BYTES = 16 * 1024 * 1024  # of a bucket of states, unless its owner says otherwise


class BusUnavailable(Exception):
    """The bus doesn't answer: try again later."""


class NoResponders(Exception):
    """Nobody listens on that subject: for a stage, no worker with room."""


class NoReply(Exception):
    """Somebody listens, but no answer came in time."""


class NoSuchClaim(Exception):
    """The object store doesn't hold that body (any more)."""


class Delivery(Protocol):
    """A message as a handler gets it."""

    @property
    def subject(self) -> str: ...
    @property
    def reply(self) -> str: ...
    @property
    def data(self) -> bytes: ...
    @property
    def headers(self) -> Mapping[str, str] | None: ...


Handler = Callable[[Delivery], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Captured:
    """A message out of the capture stream."""

    seq: int  # position in the stream, from 1, never used twice
    subject: str
    data: bytes
    at: float  # Unix seconds, when the stream took it
    headers: Mapping[str, str] = field(default_factory=dict)
    receipt: str = ""  # what acknowledges it


class Subscription(Protocol):
    async def leave(self) -> None:
        """Takes no new messages; those already delivered are still handled."""


class Feed(Protocol):
    """A durable reading position in the capture stream; it outlives its reader."""

    async def fetch(self, limit: int, wait_s: float) -> list[Captured]:
        """Up to `limit` messages that nobody acknowledged; empty when none came in time."""

    async def acknowledge(self, last: Captured) -> None:
        """`last` and everything before it is dealt with for good; of a feed of some subjects, `last` alone."""

    async def lag(self) -> int:
        """Messages in the stream that were not acknowledged yet."""

    async def close(self) -> None: ...


class State(Protocol):
    """A bucket of small values that all workers share. The last put of a key wins."""

    async def get(self, key: str) -> bytes | None:
        """The value; None where there is none (any more). Keys are letters, digits, `-`, `_` and `.`."""

    async def put(self, key: str, value: bytes) -> None: ...

    async def create(self, key: str, value: bytes) -> bytes:
        """Puts the value where there is none; what is there then. Of several that create at once one wins."""

    async def entries(self) -> dict[str, bytes]:
        """Every key with its value as they are now."""

    def watch(self) -> AsyncIterator[tuple[str, bytes]]:
        """Every key with its value as they are now, then each put as it happens, until the caller stops."""


class Bus(Protocol):
    @property
    def max_payload(self) -> int:
        """The largest message that the server takes, in bytes."""

    @property
    def is_connected(self) -> bool: ...

    async def publish(self, subject: str, data: bytes, headers: dict[str, str] | None = None) -> None: ...

    async def subscribe(self, subject: str, handler: Handler, queue: str = "") -> Subscription: ...

    async def request(self, subject: str, data: bytes, timeout_s: float) -> bytes:
        """One answer; raises NoResponders, NoReply or BusUnavailable."""

    async def flush(self) -> None:
        """Returns when the server has everything that was published before."""

    def on_reconnect(self, notify: Callable[[], None]) -> None:
        """Calls `notify` whenever a lost connection is back: messages may have passed meanwhile."""

    async def ensure_capture(self, max_age_s: float, max_bytes: int) -> None:
        """Makes the capture stream and the object store, or brings their limits up to date."""

    async def history(self, subject_filter: str, first_seq: int = 1, limit: int = 512) -> list[Captured]:
        """What the capture stream holds for a filter, oldest first."""

    def follow(self, subject_filter: str) -> AsyncIterator[Captured]:
        """History, then whatever comes, without a seam, until the caller stops."""

    async def feed(self, name: str, subject_filter: str | None = None) -> Feed:
        """The feed of that name, made if need be. A further reader takes nothing from those that are there: what they
        were given and have not acknowledged comes again after a minute, to any of them. Until then it can be read
        from the history. With a filter it is a feed of some subjects, each message of which is settled by itself."""

    async def put_claim(self, name: str, data: bytes) -> None: ...

    async def get_claim(self, name: str) -> bytes:
        """Raises NoSuchClaim."""

    async def state(self, bucket: str, max_age_s: float = 0.0, max_bytes: int = STATE_BYTES) -> State:
        """The bucket, made if need be. Values are gone `max_age_s` after their put (0: never), the oldest before
        the bucket grows past `max_bytes`."""

    async def close(self) -> None: ...
