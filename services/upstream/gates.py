"""The providers' limits at work: calls go through a gate, or wait in front of it.

A limit is the provider's as a whole. Every worker keeps to its share of it, the limit divided by the live upstream
workers; nothing has to be asked of the bus before a call.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

import anyio

from services.upstream.rules.limits import Gate, Waiter
from shared.config import Provider, Target
from shared.contracts import Fault
from shared.errors import Refused
from shared.worker import Worker

SHORTEST_LOOK_S = 0.01


@dataclass
class Door:
    """A gate, and what those wait for who wait in front of it."""

    gate: Gate
    look: anyio.Event | None = None

    def look_again(self) -> None:
        if self.look is not None:
            self.look.set()
            self.look = None


class Passage:
    """A call on its way through."""

    def __init__(self) -> None:
        self.used_tokens: int | None = None  # as the provider counted them


class Gates:
    """One for each provider. After a reload a provider that is still the same keeps its gate, and whoever is in it."""

    def __init__(
        self, providers: Mapping[str, Provider], worker: Worker, kept: Mapping[str, Door] | None = None
    ) -> None:
        self._worker = worker
        known = kept or {}
        self._doors = {name: known.get(name) or Door(Gate(one.limits)) for name, one in providers.items()}
        self._limits = {name: provider.limits for name, provider in providers.items()}

    def of(self, names: Collection[str]) -> dict[str, Door]:
        return {name: door for name, door in self._doors.items() if name in names}

    def take_over(self) -> None:
        """These limits hold from now on, for whoever is in the gates already, too."""
        for name, door in self._doors.items():
            door.gate.limit(self._limits[name])
            door.look_again()

    def has_room(self, provider: str, tokens: float) -> bool:
        gate = self._doors[provider].gate
        return gate.is_unlimited or gate.has_room(tokens, self._workers(), time.monotonic())

    def are_needed(self, targets: Sequence[Target]) -> bool:
        return not all(self._doors[target.provider].gate.is_unlimited for target in targets)

    def _workers(self) -> int:
        """The live upstream workers, this one included."""
        live = [beat for beat in self._worker.roster.live() if beat.service == "upstream" and not beat.draining]
        return max(1, len(live))

    @asynccontextmanager
    async def through(self, provider: str, client: str, tokens: float) -> AsyncIterator[Passage]:
        """A call's place while the block lasts; raises Refused when none was free in time."""
        door, passage = self._doors[provider], Passage()
        gate = door.gate
        if gate.is_unlimited:
            yield passage
            return
        if gate.has_room(tokens, self._workers(), time.monotonic()):
            gate.enter(tokens, self._workers(), time.monotonic())
        else:
            await self._wait(provider, door, gate.join(client, tokens))
        try:
            yield passage
        finally:
            gate.leave()
            if passage.used_tokens is not None:
                gate.correct(tokens, passage.used_tokens, self._workers(), time.monotonic())
            door.look_again()

    async def _wait(self, provider: str, door: Door, waiter: Waiter) -> None:
        gate = door.gate
        try:
            with anyio.move_on_after(self._limits[provider].queue_timeout_s):
                while not waiter.is_let_in:
                    await self._next_look(door)
        except BaseException:
            if waiter.is_let_in:
                gate.leave()
            raise
        finally:
            gate.give_up(waiter)
        if not waiter.is_let_in:
            raise Refused(self._full(provider, gate, waiter))

    async def _next_look(self, door: Door) -> None:
        """Whoever waits lets in those whose turn it is, itself or others."""
        let_in, wait_s = door.gate.let_in(self._workers(), time.monotonic())
        if let_in:
            door.look_again()
            return
        door.look = look = door.look or anyio.Event()
        with anyio.move_on_after(max(SHORTEST_LOOK_S, wait_s) if wait_s is not None else None):
            await look.wait()

    def _full(self, provider: str, gate: Gate, waiter: Waiter) -> Fault:
        limits = self._limits[provider]
        message = (
            f"The provider {provider} is at its limits here; nothing came free within {limits.queue_timeout_s:g} s. "
            f"{gate.waiting} others wait."
        )
        retry_after_s = gate.retry_after_s(waiter.tokens, self._workers(), time.monotonic())
        return Fault(
            status=429, code="provider_limit", type="rate_limit_error", message=message, retry_after_s=retry_after_s
        )
