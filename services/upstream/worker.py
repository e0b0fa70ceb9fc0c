"""Jobs to provider calls, and their bytes back to the worker that asked."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from zlib import crc32

import anyio

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

SKEW_S = 3.0  # workers take new settings within this of each other
GRACE_S = 30.0  # what was accepted with the settings before is served with them


class Upstream:
    """The handler of a worker's jobs."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk  # of the settings in force; a job keeps the one that it began with
        self._before: tuple[Desk, float] | None = None  # the one until then, and when that was
        self._turned = anyio.Event()  # the next change
        self._turns: Counter[str] = Counter()
        self._first_turn = crc32(desk.worker.instance.encode())  # so that not every worker begins with the same target

    def turn_to(self, desk: Desk) -> None:
        """New jobs are for this desk from now on."""
        self._before = (self.desk, time.monotonic())
        self.desk = desk
        self._turned.set()
        self._turned = anyio.Event()

    async def handle(self, job: Job, leg: LegWriter) -> None:
        left = await left_of(self.desk.worker, job) if job.resume is not None else None
        body = await get_body(self.desk.worker.bus, job.request.body)
        if job.request.dialect == "passthrough" or job.request.model is None:
            if left is not None:
                raise Refused(left.fault)  # it might not bear to be done twice
            await self._pass_through(job, leg, body)
            return
        desk, decision = await self._decide(job, job.request.model)
        targets = _able(desk, job, ranked(decision.model, self._turn(desk, decision, job, body)))
        if decision.is_routed or len(targets) > 1:
            await self._tell_the_way(job, decision, targets)
        await Answering(desk, job, leg, decision.model, targets, body, left).run()

    async def _decide(self, job: Job, model: str) -> tuple[Desk, Decision]:
        """The ingress knew the model: where this worker doesn't, one of the two has settings that the other hasn't."""
        found = self._decided(job, model)
        if found is None:
            with anyio.move_on_after(SKEW_S):
                await self._turned.wait()
            found = self._decided(job, model)
        if found is None:
            message = f"No provider serves the model {model!r}."
            raise Refused(Fault(status=404, code="model_not_found", type="invalid_request_error", message=message))
        return found

    def _decided(self, job: Job, model: str) -> tuple[Desk, Decision] | None:
        for desk in self._desks():
            decision = decide(desk.settings, model, job.request.client, job.request.headers)
            if decision is not None:
                return desk, decision
        return None

    def _desks(self) -> Iterator[Desk]:
        yield self.desk
        if self._before is not None:
            desk, until = self._before[0], self._before[1] + GRACE_S
            if time.monotonic() < until:
                yield desk
            else:
                self._before = None

    def _turn(self, desk: Desk, decision: Decision, job: Job, body: bytes) -> Turn:
        now = time.monotonic()
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
        await self.desk.worker.event(job.id, "routed", job.call, **facts)

    async def _pass_through(self, job: Job, leg: LegWriter, body: bytes) -> None:
        """What nobody here understands is sent once: it might not bear to be done twice."""
        desk, request = self.desk, job.request
        name = provider_by_route(desk.settings, request.model, request.client, request.headers)
        target = Target(provider=name or default_provider(desk.settings))
        asking = Asking(job=job, call=job.call, body=body)
        ending = await desk.caller.call(desk.caller.route(Model(targets=()), target), asking, leg, lambda _piece: None)
        await leg.end(desk.worker.end(leg, ending.outcome, fault=ending.fault))


def _able(desk: Desk, job: Job, targets: tuple[Target, ...]) -> tuple[Target, ...]:
    """Those that can do what the job needs."""
    if not job.has_prefix:
        return targets
    able = tuple(filter(desk.continues, targets))
    if not able:
        message = "No provider of the model goes on with a text that was begun (`continues`)."
        raise Refused(Fault(status=503, code="cannot_continue", type="server_error", message=message))
    return able
