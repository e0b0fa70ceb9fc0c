"""Files that settings come from, looked at every second: mounted ones are swapped by symlink, and tell nobody.

A file is read only when its inode, size or time has changed; what counts is its content. A change is one when it has
lasted from one look to the next, so that a file that is being written is left to its writer.
"""

from __future__ import annotations

import os
from collections.abc import Collection
from hashlib import sha256
from pathlib import Path

import anyio
import anyio.to_thread

from services.cli.orders import Order, Orders

LOOK_S = 1.0
LARGEST_BYTES = 16 * 1024 * 1024  # of which the content is compared; more than a settings file ever has

Stat = tuple[int, int, int] | None
State = dict[str, bytes]


def _stat(name: str) -> Stat:
    try:
        found = os.stat(name)
    except OSError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns


def _digest(name: str) -> bytes:
    try:
        with Path(name).open("rb") as file:
            return sha256(file.read(LARGEST_BYTES)).digest()
    except OSError:
        return b""


class Watch:
    """`run` orders a reload whenever the files have changed since `follow`."""

    def __init__(self, names: Collection[str]) -> None:
        self.follow(names)

    def follow(self, names: Collection[str]) -> None:
        """From now on these are looked at; as they are, they are known."""
        self._names = frozenset(names)
        self._stats: dict[str, Stat] = {}
        self._seen: State = {}
        self._known = self._seen = self.look()

    async def run(self, orders: Orders) -> None:
        while True:
            await anyio.sleep(LOOK_S)
            if self.is_new(await anyio.to_thread.run_sync(self.look)):
                orders.give(Order.RELOAD)

    def look(self) -> State:
        """The digest of each file's content; empty where it can't be read."""
        before, self._stats = self._stats, {name: _stat(name) for name in self._names}
        return {
            name: self._seen[name] if name in self._seen and before.get(name) == stat else _digest(name)
            for name, stat in self._stats.items()
        }

    def is_new(self, state: State) -> bool:
        """Whether a change has lasted."""
        lasted, self._seen = self._seen == state, state
        if state.keys() != self._known.keys() or not lasted or state == self._known:
            return False
        self._known = state
        return True
