"""What was published last, for a server that dies: bytes that lay in its sockets then are lost with it.

A client that comes back sends what it had not written yet; of what it had written, nobody tells it whether the server
had read it. So the last messages that belong to requests are kept, and after a lost connection those that the capture
stream doesn't have are published again.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Mapping

from shared.bus import Captured

KEPT_MESSAGES = 1024  # measured: 32 were lost with a server killed under 6,400/s; keeping 8192 cost 1.5 µs a chunk
KEPT_BYTES = 4 * 1024 * 1024
COMPARED_SUBJECTS = 256  # the newest ones

Sent = tuple[str, bytes, Mapping[str, str] | None]
"""Subject, data and headers of a message."""

LastOf = Callable[[list[str], float], Awaitable[Iterable[Captured]]]
"""The newest message of each subject that the capture stream took before a Unix time."""

Identity = tuple[str, str, bytes]
"""What tells a message of a request from every other one: its subject, its frame header and its data."""


class Recent:
    """The last messages, oldest first. `add` is on the hot path."""

    def __init__(self, frame_header: str) -> None:
        self._header = frame_header
        self._sent: deque[Sent] = deque(maxlen=KEPT_MESSAGES)
        self._bytes = 0
        self._at_risk: list[Sent] = []
        self._lost_at = 0.0

    def add(self, sent: Sent) -> None:
        self._sent.append(sent)
        self._bytes += len(sent[1])
        if self._bytes > KEPT_BYTES:
            self._let_go()

    def _let_go(self) -> None:
        """Keeps half. The count runs ahead of what is kept, as messages fall out at the other end; here it is right."""
        self._bytes = sum(len(data) for _, data, _ in self._sent)
        while self._bytes > KEPT_BYTES // 2:
            self._bytes -= len(self._sent.popleft()[1])

    def lose(self, at: float) -> None:
        """The connection is lost, at this Unix time: what was published until now may be lost too."""
        self._lost_at = at
        self._at_risk += self._sent
        self._sent.clear()
        self._bytes = 0

    async def missing(self, root: str, last_of: LastOf) -> list[Sent]:
        """The messages below `root` that were at risk, and that the capture stream doesn't have.

        A connection is read in its order, so they are all those after the last one that was stored. Where that can't be
        found, as by a clock that is wrong, more are given than are missing: readers of frames drop what they have.
        """
        at_risk = [sent for sent in self._at_risk if sent[0].startswith(root)]
        places = {self._identity(*sent): place for place, sent in enumerate(at_risk)}
        subjects = list(dict.fromkeys(sent[0] for sent in reversed(at_risk)))[:COMPARED_SUBJECTS]
        stored = -1
        for last in await last_of(subjects, self._lost_at) if subjects else ():
            stored = max(stored, places.get(self._identity(last.subject, last.data, last.headers), -1))
        self._at_risk.clear()
        return at_risk[stored + 1 :]

    def _identity(self, subject: str, data: bytes, headers: Mapping[str, str] | None) -> Identity:
        return subject, (headers or {}).get(self._header, ""), data
