"""Jobs to provider calls, and their bytes back to the worker that asked."""

from __future__ import annotations

import time
from collections import Counter
from zlib import crc32

from services.upstream.answering import Answering, place
from services.upstream.calls import Asking
from services.upstream.desk import Desk
from services.upstream.left import left_of
from services.upstream.rules.sessions import session_of
from services.upstream.rules.strategies import Turn, ranked
from shared.bodies import get_body
from shared.config import Decision, Model, Target, decide, default_provider, provider_by_route
from shared.contracts import Fault, Job
from shared.errors import Refused
from shared.legs import LegWriter


class Upstream:
    """The handler of a worker's jobs."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._turns: Counter[str] = Counter()
        self._first_turn = crc32(desk.worker.instance.encode())  # so that not every worker begins with the same target

    async def handle(self, job: Job, leg: LegWriter) -> None:
        left = await left_of(self._desk.worker, job) if job.resume is not None else None
        body = await get_body(self._desk.worker.bus, job.request.body)
        if job.request.dialect == "passthrough" or job.request.model is None:
            if left is not None:
                raise Refused(left.fault)  # it might not bear to be done twice
            await self._pass_through(job, leg, body)
            return
        decision = self._decide(job, job.request.model)
        targets = self._able(job, ranked(decision.model, self._turn(decision, job, body)))
        if decision.is_routed or len(targets) > 1:
            await self._tell_the_way(job, decision, targets)
        await Answering(self._desk, job, leg, decision.model, targets, body, left).run()

    def _decide(self, job: Job, model: str) -> Decision:
        request = job.request
        decision = decide(self._desk.settings, model, request.client, request.headers)
        if decision is None:
            message = f"No provider serves the model {model!r}."
            raise Refused(Fault(status=404, code="model_not_found", type="invalid_request_error", message=message))
        return decision

    def _able(self, job: Job, targets: tuple[Target, ...]) -> tuple[Target, ...]:
        """Those that can do what the job needs."""
        if not job.has_prefix:
            return targets
        able = tuple(filter(self._desk.continues, targets))
        if not able:
            message = "No provider of the model goes on with a text that was begun (`continues`)."
            raise Refused(Fault(status=503, code="cannot_continue", type="server_error", message=message))
        return able

    def _turn(self, decision: Decision, job: Job, body: bytes) -> Turn:
        desk, now = self._desk, time.monotonic()
        number = self._turns[decision.key]
        self._turns[decision.key] += 1
        return Turn(
            number=self._first_turn + number,
            session=session_of(job.request.headers, body) if decision.model.strategy == "sticky" else b"",
            first_byte_s=lambda target: desk.latencies.expected(target, now),
            random=desk.random,
        )

    async def _tell_the_way(self, job: Job, decision: Decision, targets: tuple[Target, ...]) -> None:
        facts = {"why": decision.why, "strategy": decision.model.strategy, "targets": [place(one) for one in targets]}
        await self._desk.worker.event(job.id, "routed", job.call, **facts)

    async def _pass_through(self, job: Job, leg: LegWriter, body: bytes) -> None:
        """What nobody here understands is sent once: it might not bear to be done twice."""
        desk, request = self._desk, job.request
        name = provider_by_route(desk.settings, request.model, request.client, request.headers)
        target = Target(provider=name or default_provider(desk.settings))
        asking = Asking(job=job, call=job.call, body=body)
        ending = await desk.caller.call(desk.caller.route(Model(targets=()), target), asking, leg, lambda _piece: None)
        await leg.end(desk.worker.end(leg, ending.outcome, fault=ending.fault))
