"""The bus without a server, for unit tests: the same contract, one process, one event loop."""

from __future__ import annotations

import itertools
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field

import anyio
import structlog
from anyio.abc import TaskGroup

from shared.bus import STATE_BYTES, BusUnavailable, Captured, Handler, NoReply, NoResponders, NoSuchClaim
from shared.subjects import Subjects

HISTORY_MESSAGES = 512  # of one page

log = structlog.get_logger("bus")


@dataclass(frozen=True, slots=True)
class _Message:
    subject: str
    data: bytes
    reply: str = ""
    headers: Mapping[str, str] | None = None


@dataclass(eq=False)
class _Subscription:
    server: MemoryServer
    pattern: list[str]
    queue: str
    inbox: deque[_Message] = field(default_factory=deque)
    wake: anyio.Event = field(default_factory=anyio.Event)
    has_left: bool = False

    def put(self, message: _Message) -> None:
        self.inbox.append(message)
        self.wake.set()

    async def run(self, handler: Handler) -> None:
        """One message after the other, until it has left and all is handled."""
        while True:
            while self.inbox:
                await _handled(handler, self.inbox.popleft())
            if self.has_left:
                return
            self.wake = anyio.Event()
            await self.wake.wait()

    async def leave(self) -> None:
        if not self.has_left:
            self.has_left = True
            self.server.subscriptions.remove(self)
            self.wake.set()


async def _handled(handler: Handler, message: _Message) -> None:
    try:
        await handler(message)
    except Exception as error:  # noqa: BLE001 - the boundary: a handler's defect costs one message
        log.warning("bus.error", error=repr(error))


class MemoryServer:
    """What a NATS server is to its clients; `drop` makes it lose chosen messages on the hot path."""

    def __init__(self, subjects: Subjects, tasks: TaskGroup, max_payload: int = 1024 * 1024) -> None:
        self.subjects = subjects
        self.tasks = tasks
        self.max_payload = max_payload
        self.subscriptions: list[_Subscription] = []
        self.captured: list[Captured] = []
        self.claims: dict[str, bytes] = {}
        self.feeds: dict[str, _Held] = {}
        self.states: dict[str, MemoryState] = {}
        self.drop: Callable[[str], bool] = lambda _subject: False
        self.grown = anyio.Event()
        self.turn = itertools.count()
        self.now = itertools.count(1)

    def route(self, message: _Message) -> int:
        """Delivers to every matching subscription, and to one of each queue group; how many got it."""
        self._capture(message)
        if self.drop(message.subject):
            return 0
        tokens = message.subject.split(".")
        matching = [s for s in self.subscriptions if matches(s.pattern, tokens)]
        chosen = [s for s in matching if not s.queue]
        for group in sorted({s.queue for s in matching if s.queue}):
            members = [s for s in matching if s.queue == group]
            chosen.append(members[next(self.turn) % len(members)])
        for subscription in chosen:
            subscription.put(message)
        return len(chosen)

    def _capture(self, message: _Message) -> None:
        if matches(self.subjects.captured.split("."), message.subject.split(".")):
            seq = len(self.captured) + 1
            headers = dict(message.headers or {})
            self.captured.append(Captured(seq, message.subject, message.data, float(next(self.now)), headers, str(seq)))
            self.grown.set()
            self.grown = anyio.Event()


class MemoryBus:
    """One client of a MemoryServer."""

    def __init__(self, server: MemoryServer) -> None:
        self._server = server
        self._inboxes = itertools.count()
        self._notify: list[Callable[[], None]] = []
        self.is_connected = True

    @property
    def max_payload(self) -> int:
        return self._server.max_payload

    async def publish(self, subject: str, data: bytes, headers: dict[str, str] | None = None) -> None:
        self._refuse_oversized(subject, data)
        self._server.route(_Message(subject, data, "", headers))

    def _refuse_oversized(self, subject: str, data: bytes) -> None:
        if len(data) > self.max_payload:
            raise BusUnavailable(f"publishing to {subject} failed: nats: maximum payload exceeded")

    async def subscribe(self, subject: str, handler: Handler, queue: str = "") -> _Subscription:
        subscription = _Subscription(self._server, subject.split("."), queue)
        self._server.subscriptions.append(subscription)
        self._server.tasks.start_soon(subscription.run, handler)
        return subscription

    async def request(self, subject: str, data: bytes, timeout_s: float) -> bytes:
        self._refuse_oversized(subject, data)
        inbox = f"_INBOX.{id(self)}.{next(self._inboxes)}"
        answers: deque[bytes] = deque()
        arrived = anyio.Event()

        async def take(message: object) -> None:
            answers.append(message.data)  # type: ignore[attr-defined]
            arrived.set()

        subscription = await self.subscribe(inbox, take)
        try:
            if not self._server.route(_Message(subject, data, inbox)):
                raise NoResponders(subject)
            with anyio.move_on_after(timeout_s):
                await arrived.wait()
                return answers[0]
            raise NoReply(subject)
        finally:
            await subscription.leave()

    async def flush(self) -> None:
        await anyio.lowlevel.checkpoint()

    def on_reconnect(self, notify: Callable[[], None]) -> None:
        self._notify.append(notify)

    def reconnect(self) -> None:
        """Tells the subscribers what they hear after a lost connection came back."""
        for notify in self._notify:
            notify()

    async def ensure_capture(self, max_age_s: float, max_bytes: int) -> None:
        """The memory server captures always, without limits."""

    async def history(self, subject_filter: str, first_seq: int = 1, limit: int = HISTORY_MESSAGES) -> list[Captured]:
        pattern = subject_filter.split(".")
        found = (c for c in self._server.captured[first_seq - 1 :] if matches(pattern, c.subject.split(".")))
        return list(itertools.islice(found, limit))

    async def follow(self, subject_filter: str) -> AsyncIterator[Captured]:
        seq = 1
        while True:
            grown = self._server.grown
            page = await self.history(subject_filter, seq)
            for captured in page:
                seq = captured.seq + 1
                yield captured
            if not page:
                await grown.wait()

    async def feed(self, name: str, subject_filter: str | None = None) -> _MemoryFeed:
        held = self._server.feeds.setdefault(
            name, _Held((subject_filter or ">").split("."), subject_filter is not None)
        )
        return _MemoryFeed(self._server, held)

    async def put_claim(self, name: str, data: bytes) -> None:
        self._server.claims[name] = data

    async def get_claim(self, name: str) -> bytes:
        if name not in self._server.claims:
            raise NoSuchClaim(name)
        return self._server.claims[name]

    async def state(self, bucket: str, max_age_s: float = 0.0, max_bytes: int = STATE_BYTES) -> MemoryState:
        return self._server.states.setdefault(bucket, MemoryState(max_age_s, max_bytes))

    async def close(self) -> None:
        self.is_connected = False


class MemoryState:
    """A bucket of values, the oldest put first."""

    def __init__(self, max_age_s: float, max_bytes: int) -> None:
        self._max_age_s = max_age_s
        self._max_bytes = max_bytes
        self._values: dict[str, tuple[float, bytes]] = {}
        self._puts: list[tuple[str, bytes]] = []
        self._grown = anyio.Event()

    async def get(self, key: str) -> bytes | None:
        self._let_go()
        return self._values[key][1] if key in self._values else None

    async def put(self, key: str, value: bytes) -> None:
        self._values.pop(key, None)
        self._values[key] = (time.monotonic(), value)
        self._let_go()
        self._puts.append((key, value))
        self._grown.set()
        self._grown = anyio.Event()

    async def create(self, key: str, value: bytes) -> bytes:
        there = await self.get(key)
        if there is None:
            await self.put(key, value)
        return value if there is None else there

    async def entries(self) -> dict[str, bytes]:
        self._let_go()
        return {key: value for key, (_, value) in self._values.items()}

    async def watch(self) -> AsyncIterator[tuple[str, bytes]]:
        seen = len(self._puts)
        for key, (_, value) in list(self._values.items()):
            yield key, value
        while True:
            while seen < len(self._puts):
                seen += 1
                yield self._puts[seen - 1]
            await self._grown.wait()

    def _let_go(self) -> None:
        now = time.monotonic()
        size = sum(len(value) for _, value in self._values.values())
        for key, (at, value) in list(self._values.items()):
            is_old = self._max_age_s and now - at >= self._max_age_s
            if not is_old and size <= self._max_bytes:
                break
            del self._values[key]
            size -= len(value)


@dataclass
class _Held:
    """A feed's state, which outlives its readers."""

    pattern: list[str]
    is_settled_one_by_one: bool
    looked_at: int = 0  # messages of the stream
    open: dict[int, Captured] = field(default_factory=dict)  # given out and not acknowledged


class _MemoryFeed:
    def __init__(self, server: MemoryServer, held: _Held) -> None:
        self._server = server
        self._held = held

    async def fetch(self, limit: int, wait_s: float) -> list[Captured]:
        with anyio.move_on_after(wait_s):
            while not any(map(self._is_mine, self._ahead())):
                await self._server.grown.wait()
        batch: list[Captured] = []
        for message in self._ahead():
            if len(batch) == limit:
                break
            self._held.looked_at += 1
            if self._is_mine(message):
                batch.append(message)
        self._held.open |= {message.seq: message for message in batch}
        return batch

    async def acknowledge(self, last: Captured) -> None:
        alone = self._held.is_settled_one_by_one
        for seq in [seq for seq in self._held.open if seq == last.seq or (seq < last.seq and not alone)]:
            del self._held.open[seq]

    async def lag(self) -> int:
        return len(self._held.open) + sum(map(self._is_mine, self._ahead()))

    async def close(self) -> None: ...

    def _ahead(self) -> list[Captured]:
        return self._server.captured[self._held.looked_at :]

    def _is_mine(self, message: Captured) -> bool:
        return matches(self._held.pattern, message.subject.split("."))


def matches(pattern: list[str], tokens: list[str]) -> bool:
    """NATS wildcards: `*` is one token, a final `>` one or more."""
    if pattern[-1] == ">":
        return (
            len(tokens) >= len(pattern) and matches(pattern[:-1], tokens[: len(pattern) - 1]) if pattern[:-1] else True
        )
    return len(pattern) == len(tokens) and all(p in ("*", t) for p, t in zip(pattern, tokens, strict=True))
