"""Composition root: settings and a bus to a running sentinel."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from services.sentinel.worker import Sentinel
from shared.bus import Bus
from shared.config import Settings
from shared.ids import new_instance
from shared.subjects import Subjects
from shared.worker import Identity, Worker


@asynccontextmanager
async def sentinel(bus: Bus, settings: Settings) -> AsyncIterator[Worker]:
    """A worker that looks for loops while the block lasts."""
    capacity = settings.sentinel.max_in_flight
    identity = Identity(service="sentinel", instance=new_instance("sentinel"), capacity=capacity)
    worker = Worker(bus, Subjects(settings.bus.root), identity, drain_s=settings.sentinel.drain_s)
    worker.resizes_with(lambda settings: settings.sentinel)
    async with worker.running():
        await Sentinel(worker).listen()
        yield worker
