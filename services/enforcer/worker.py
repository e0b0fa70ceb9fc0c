"""Jobs to answers: asks, listens, and asks again until the answer will do."""

from __future__ import annotations

import time

from services.enforcer.enforcing import Enforcing
from services.enforcer.rules import finished
from services.enforcer.rules.attempt import TooLong
from services.enforcer.rules.demand import Demand, demand_of
from services.enforcer.rules.request import Request
from services.enforcer.rules.turn import Turn
from shared.bodies import get_body
from shared.contracts import Cancel, Enforcement, Fault, Head, Job
from shared.errors import Refused
from shared.legs import LegWriter
from shared.sse import OversizedEvent
from shared.worker import Worker


class Enforcer:
    """The handler of a worker's jobs."""

    def __init__(self) -> None:
        self.worker: Worker

    async def handle(self, job: Job, leg: LegWriter) -> None:
        body = await get_body(self.worker.bus, job.request.body)
        request = Request(body)
        demand = demand_of(request, job.enforce or Enforcement())
        if demand.finished is not None:
            await self._repeat(job, leg, demand)
            return
        turn = Turn(request, demand, streamed=job.request.stream)
        try:
            await Enforcing(self.worker, job, turn, leg, body).run()
        except (TooLong, OversizedEvent) as error:
            why = f"The answer can't be enforced: {error}"
            await self.worker.cancels.send(job.id, Cancel(by="enforcer", why=why))
            raise Refused(Fault(status=502, code="answer_too_long", type="server_error", message=why)) from error

    async def _repeat(self, job: Job, leg: LegWriter, demand: Demand) -> None:
        """The turn has ended already."""
        message = demand.finished or {}
        ending = demand.ending
        now = time.time()
        envelope = {"id": f"chatcmpl-{job.id}", "created": int(now), "model": job.request.model}
        await leg.head(Head(status=200, worker=self.worker.instance, at=now, content_type="text/event-stream"))
        await leg.data(finished.answer(message, ending, envelope))
        reason = finished.finish_reason(message, ending)
        facts = {"finish_reason": reason, "completion_id": envelope["id"], "done_seen": True, "calls": 0, "attempts": 0}
        await leg.end(self.worker.end(leg, "complete", **facts))
