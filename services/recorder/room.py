"""How much room the records take, without adding it all up each time that somebody asks.

SQLite knows it. Postgres doesn't, and adding it up reads every row: so it is done only where the files are larger than
what may be kept, and then once an hour, or once a hundredth of what was added up is gone. In between, an exchange
takes what it took on average.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy import Connection

from shared.records.space import file_bytes, used_bytes

ADDED_UP_FOR_S = 3600.0
GONE_SHARE = 0.01


@dataclass(frozen=True)
class _Sum:
    at: float
    used: int
    count: int


class Room:
    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._sum: _Sum | None = None
        self._gone = 0  # exchanges deleted since

    def deleted(self, exchanges: int) -> None:
        self._gone += exchanges

    def used(self, connection: Connection, count: int, keep_bytes: float) -> float:
        """What `count` exchanges take; where all files fit into `keep_bytes`, no more than that is known."""
        if connection.dialect.name != "postgresql":
            return used_bytes(connection)
        files = file_bytes(connection)
        if files <= keep_bytes:
            return files
        known = self._sum
        if known is None or self._is_old(known):
            known = self._sum = _Sum(self._monotonic(), used_bytes(connection), count)
            self._gone = 0
        return known.used * count / max(1, known.count)

    def _is_old(self, known: _Sum) -> bool:
        return self._gone > known.count * GONE_SHARE or self._monotonic() - known.at > ADDED_UP_FOR_S
