"""From a request that was taken in to an exchange that runs."""

from __future__ import annotations

from typing import Any

import msgspec
import structlog
from aiohttp import web

from services.ingress.answers import Answer, Reply
from services.ingress.dialects.base import Asked
from services.ingress.exchange import Exchange, Plan, Tell
from services.ingress.intake import Intake
from shared.config import Model, Settings, may_be_continued
from shared.contracts import End, Enforcement, Head, HttpRequest, RepeatSettings
from shared.worker import Worker

log = structlog.get_logger("ingress")


class Launch:
    def __init__(self, settings: Settings, worker: Worker, intake: Intake, tell: Tell) -> None:
        self._settings = settings
        self._ingress = settings.ingress
        self._worker = worker
        self._intake = intake
        self._tell = tell

    def of_model(self, http: web.Request, request: HttpRequest, asked: Asked, model: Model, **parts: Any) -> Plan:
        """The plan of a request that a model answers, as its settings want it."""
        repeat = model.repeat
        if repeat.action == "retry" and asked.choices > 1:  # one that loops can't be asked again alone
            repeat = msgspec.structs.replace(repeat, action="stop")
        enforce = self._enforcement(model, repeat) if asked.choices == 1 else None
        parts["streamed"] = parts["streamed"] or self._ingress.force_stream or repeat.is_on or enforce is not None
        return self.plan(
            http,
            request,
            dropped=asked.dropped,
            repair=model.repair,
            repeat=repeat,
            choices=asked.choices,
            may_be_continued=may_be_continued(self._settings, model),
            enforce=enforce,
            **parts,
        )

    def _enforcement(self, model: Model, repeat: RepeatSettings) -> Enforcement | None:
        if not model.needs_enforcer:
            return None
        return Enforcement(
            ensure=model.ensure_tool_call,
            check=model.check_tool_calls,
            retry=repeat if repeat.is_on and repeat.action == "retry" else None,
            continues=may_be_continued(self._settings, model),
        )

    def plan(self, http: web.Request, request: HttpRequest, **parts: Any) -> Plan:
        return Plan(
            request=request,
            secret=self._intake.secret(http),
            queue_timeout_s=self._ingress.queue_timeout_s,
            buffered_bytes=self._ingress.buffered_bytes,
            ping_s=self._ingress.ping_s,
            **parts,
        )

    async def run(self, plan: Plan, answer: Answer) -> web.StreamResponse:
        """The answer, once the exchange is over; a client that leaves ends it."""
        return await Exchange(self._worker, plan, answer, self._tell).run()

    def start(self, plan: Plan) -> None:
        """Runs the exchange whether its client stays or not. The answer is in the capture stream."""
        self._worker.start_soon(self._unattended, plan)

    async def _unattended(self, plan: Plan) -> None:
        try:
            await Exchange(self._worker, plan, Unattended(), self._tell).run()
        except Exception as error:
            log.error("exchange.failed", request=plan.request.id, exc_info=error)


class Unattended:
    """Nobody listens now."""

    is_over = False

    def __init__(self) -> None:
        self._head: Head | None = None
        self._taken = 0

    def begin(self, head: Head) -> None:
        self._head = head

    def restart(self) -> None:
        self._head = None

    async def take(self, data: bytes) -> bool:
        self._taken += len(data)
        return True

    async def keep_alive(self) -> None:
        """There is nobody to tell."""

    async def close(self, end: End) -> Reply:
        return self.so_far()

    def so_far(self) -> Reply:
        return Reply(200, web.Response(), body_bytes=self._taken, is_leg=self._head is not None)
