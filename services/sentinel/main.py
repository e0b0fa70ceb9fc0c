"""Composition root: settings and a bus to a running sentinel."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

from services.sentinel.worker import Sentinel
from shared.bus import Bus
from shared.config import Loaded, Settings
from shared.ids import new_instance
from shared.subjects import Subjects
from shared.worker import Commit, Identity, Worker


@asynccontextmanager
async def sentinel(bus: Bus, settings: Settings) -> AsyncIterator[Worker]:
    """A worker that looks for loops while the block lasts."""
    capacity = settings.sentinel.max_in_flight
    identity = Identity(service="sentinel", instance=new_instance("sentinel"), capacity=capacity)
    worker = Worker(bus, Subjects(settings.bus.root), identity, drain_s=settings.sentinel.drain_s)
    worker.on_settings(partial(_prepare, worker))
    async with worker.running():
        await Sentinel(worker).listen()
        yield worker


async def _prepare(worker: Worker, loaded: Loaded) -> Commit:
    mine = loaded.settings.sentinel
    return lambda: worker.resize(mine.max_in_flight, mine.drain_s)
