"""Composition root: settings and a bus to a running enforcer."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from services.enforcer.worker import Enforcer
from shared.bus import Bus
from shared.config import Settings
from shared.ids import new_instance
from shared.jobs import Craft
from shared.subjects import Subjects
from shared.worker import Identity, Worker


@asynccontextmanager
async def enforcer(bus: Bus, settings: Settings) -> AsyncIterator[Worker]:
    """A worker that enforces while the block lasts."""
    service = Enforcer()
    capacity = settings.enforcer.max_in_flight
    identity = Identity(service="enforcer", instance=new_instance("enforcer"), capacity=capacity)
    craft = Craft(stage="enforce", leg="out", handle=service.handle)
    service.worker = Worker(bus, Subjects(settings.bus.root), identity, craft, settings.enforcer.drain_s)
    service.worker.resizes_with(lambda settings: settings.enforcer)
    async with service.worker.running():
        yield service.worker
