"""Jobs to repaired legs: the engine between the raw leg and the normal one."""

from __future__ import annotations

import msgspec

from services.normalizer import facts_of
from services.normalizer.mending import Mending
from shared.bodies import get_body
from shared.contracts import Job
from shared.legs import LegWriter
from shared.worker import Worker


class Normalizer:
    """The handler of a worker's jobs."""

    def __init__(self) -> None:
        self.worker: Worker

    async def handle(self, job: Job, leg: LegWriter) -> None:
        with self.worker.following(job, "raw") as course:
            asked = msgspec.structs.replace(job, to=self.worker.instance, stitched=job.streamed)
            await self.worker.offer("upstream", asked, course)
            facts = facts_of(await get_body(self.worker.bus, job.request.body))  # while the provider is being called
            await Mending(self.worker, job, facts, leg).run(course)
