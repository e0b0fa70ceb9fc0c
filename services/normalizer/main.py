"""Composition root: settings and a bus to a running normalizer."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from services.normalizer.worker import Normalizer
from shared.bus import Bus
from shared.config import Settings
from shared.ids import new_instance
from shared.jobs import Craft
from shared.subjects import Subjects
from shared.worker import Identity, Worker


@asynccontextmanager
async def normalizer(bus: Bus, settings: Settings) -> AsyncIterator[Worker]:
    """A worker that repairs while the block lasts."""
    service = Normalizer()
    capacity = settings.normalizer.max_in_flight
    identity = Identity(service="normalizer", instance=new_instance("normalizer"), capacity=capacity)
    craft = Craft(stage="normalize", leg="normal", handle=service.handle)
    service.worker = Worker(bus, Subjects(settings.bus.root), identity, craft, settings.normalizer.drain_s)
    service.worker.resizes_with(lambda settings: settings.normalizer)
    async with service.worker.running():
        yield service.worker
