"""What happens right now, for those who look: nothing is subscribed to while nobody does."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import anyio
import msgspec
import structlog

from services.dashboard.rules.growth import Growth, Row
from shared.bus import BusUnavailable, Delivery, Subscription
from shared.config import Settings
from shared.contracts import ProviderState, decode
from shared.secrets import scrub
from shared.subjects import PROVIDERS_BUCKET
from shared.worker import Worker

MOST_STREAMS = 64  # open at a time: pages that are looked at

log = structlog.get_logger("dashboard")


class Listener:
    """One page's view of what has changed since it was last told. It holds names only: whoever reads slowly gets the
    newest state, and costs no memory."""

    def __init__(self) -> None:
        self.changed: set[str] = set()


class Hub:
    def __init__(self, worker: Worker, settings: Settings) -> None:
        self.worker = worker
        self.closing = False
        self._settings = settings
        self._growth = Growth()
        self._listeners: set[Listener] = set()
        self._subscriptions: list[Subscription] = []
        self._lock = anyio.Lock()
        self._streams = 0

    def adopt(self, settings: Settings) -> None:
        """The providers that are configured now."""
        self._settings = settings

    @property
    def has_room(self) -> bool:
        return self._streams < MOST_STREAMS and not self.closing

    @asynccontextmanager
    async def stream(self) -> AsyncIterator[None]:
        """One page that is kept up to date."""
        self._streams += 1
        try:
            yield
        finally:
            self._streams -= 1

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[Listener]:
        """The first one subscribes, the last one leaves."""
        listener = Listener()
        async with self._lock:
            self._listeners.add(listener)
            if not self._subscriptions:
                await self._subscribe()
        try:
            yield listener
        finally:
            with anyio.CancelScope(shield=True):
                async with self._lock:
                    self._listeners.discard(listener)
                    if not self._listeners:
                        await self._leave()

    async def _subscribe(self) -> None:
        bus, subjects = self.worker.bus, self.worker.subjects
        for subject in (subjects.requests, subjects.frames_of("raw"), subjects.dones):
            self._subscriptions.append(await bus.subscribe(subject, self._hear))

    async def _leave(self) -> None:
        subscriptions, self._subscriptions = self._subscriptions, []
        self._growth = Growth()
        for subscription in subscriptions:
            with suppress(BusUnavailable):
                await subscription.leave()

    async def _hear(self, message: Delivery) -> None:
        tokens = self.worker.subjects.below_request(message.subject)
        id = self._growth.take(tokens, message.data, time.time())
        if id is not None:
            for listener in self._listeners:
                listener.changed.add(id)

    def news(self, listener: Listener) -> list[Row]:
        """The rows that changed since the last time; those that are done are let go of once everybody knows."""
        ids, listener.changed = listener.changed, set()
        rows = [row for id in ids if (row := self._growth.row(id)) is not None]
        told = [dict(row) for row in rows]
        waiting = {id for other in self._listeners for id in other.changed}
        self._growth.sweep([id for id in ids if id not in waiting])
        return told

    async def state(self) -> dict[str, Any]:
        """The live workers, and every provider with its circuits."""
        beats = sorted(self.worker.roster.live(), key=lambda beat: (beat.service, beat.instance))
        told = [msgspec.structs.asdict(beat) for beat in beats]
        for facts in told:
            del facts["seal_key"]
        is_connected = self.worker.bus.is_connected
        return {"workers": told, "providers": await self._providers(), "connected": is_connected, "at": time.time()}

    async def _providers(self) -> list[dict[str, Any]]:
        states = await self._states()
        known = [
            {"provider": name, "kind": provider.kind, **_told([one for one in states if one.provider == name])}
            for name, provider in self._settings.providers.items()
        ]
        unknown = {one.provider for one in states} - set(self._settings.providers)
        return known + [
            {"provider": name, "kind": None, **_told([one for one in states if one.provider == name])}
            for name in sorted(unknown)
        ]

    async def _states(self) -> list[ProviderState]:
        try:
            bucket = await self.worker.bus.state(PROVIDERS_BUCKET)
            entries = await bucket.entries()
        except BusUnavailable as error:
            log.info("dashboard.no_states", error=str(error))
            return []
        found = []
        for data in entries.values():
            with suppress(msgspec.DecodeError):
                found.append(decode(ProviderState, data))
        return found


def _told(states: list[ProviderState]) -> dict[str, Any]:
    """A provider's own circuit, and those of single models that are not closed."""
    whole = next((state for state in states if state.model is None), None)
    models = [state for state in states if state.model is not None and state.state != "closed"]
    own = _circuit(whole) if whole is not None else {"state": "closed"}
    return {**own, "models": [{"model": state.model, **_circuit(state)} for state in models]}


def _circuit(state: ProviderState) -> dict[str, Any]:
    facts = {"state": state.state, "until": state.until, "why": state.why, "balance": state.balance}
    return {**facts, "message": scrub(state.message), "trips": state.trips}
