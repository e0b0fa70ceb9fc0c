"""Requests that are refused before their exchange begins: answered in the caller's dialect, and recorded."""

from __future__ import annotations

import time
from collections.abc import Callable

import msgspec
import structlog
from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from services.ingress.answers import Reply, error_reply
from services.ingress.dialects import ANTHROPIC, CHAT, PASSTHROUGH, RESPONSES
from services.ingress.dialects.base import Dialect
from services.ingress.exchange import REQUEST_ID_HEADER
from services.ingress.intake import VISIT, fault
from services.ingress.rules.doors import CHAT_PATH, RESPONSES_PATH, speaks_anthropic
from services.ingress.rules.refused import (
    MESSAGE_CHARACTERS,
    Allowance,
    is_recorded,
    shown_body,
    shown_headers,
    shown_path,
)
from shared.bus import BusUnavailable
from shared.contracts import Body, Done, Fault, HttpRequest, encode
from shared.errors import Refused
from shared.ids import new_id
from shared.secrets import scrub
from shared.traces import PARENT_HEADER
from shared.worker import Worker

log = structlog.get_logger("ingress")


class Refusals:
    """The middleware around every handler. What is refused gets an id, an answer, and an account of both."""

    def __init__(self, worker: Worker, strangers_per_s: float, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._worker = worker
        self._strangers = Allowance(strangers_per_s)
        self._monotonic = monotonic

    def allow(self, strangers_per_s: float) -> None:
        """What is recorded of callers without a valid key, from now on."""
        if strangers_per_s != self._strangers.per_s:
            self._strangers = Allowance(strangers_per_s)

    @property
    def middleware(self) -> Middleware:
        @web.middleware
        async def refused(request: web.Request, handler: Handler) -> web.StreamResponse:
            at, began = time.time(), self._monotonic()
            try:
                return await handler(request)
            except Exception as error:
                found = _fault_of(request, error)
                if found is None:
                    raise
            return await self._answered(request, found, at, began)

        return refused

    async def _answered(self, http: web.Request, found: Fault, at: float, began: float) -> web.StreamResponse:
        id = new_id()
        refusal = dialect_of(http).refusal(found, id)
        reply = error_reply(refusal, found, {REQUEST_ID_HEADER: id})
        self._worker.metrics.add("refusals", str(found.status), found.code)
        found = msgspec.structs.replace(found, message=scrub(found.message[:MESSAGE_CHARACTERS]))
        why, path = found.message, shown_path(http.raw_path)
        log.info("request.refused", request=id, method=http.method, path=path, status=found.status, why=why)
        if is_recorded(http.method, http.path):
            request = _request(http, id, at)
            done = self._done(reply, found, began, request.headers.get(PARENT_HEADER))
            await self._record(request, done, is_known=VISIT in http)
        return reply.response or web.Response(status=refusal.status)

    def _done(self, reply: Reply, found: Fault, began: float, traceparent: str | None) -> Done:
        return Done(
            at=time.time(),
            worker=self._worker.instance,
            status=reply.status,
            outcome="refused",
            body_bytes=reply.body_bytes,
            total_s=self._monotonic() - began,
            body=Body(data=scrub(reply.body.decode("utf-8", "replace")).encode(), size=len(reply.body)),
            headers=reply.headers,
            fault=found,
            traceparent=traceparent,
        )

    async def _record(self, request: HttpRequest, done: Done, is_known: bool) -> None:
        """Never in the answer's way: without a bus there is no record."""
        missed = 0 if is_known else self._strangers.take(self._monotonic())
        if missed is None:
            return
        worker = self._worker
        try:
            await worker.bus.publish(worker.subjects.request(request.id), encode(request))
            if missed:
                await worker.event(request.id, "unrecorded", refused_before_this=missed)
            await worker.bus.publish(worker.subjects.done(request.id), encode(done))
        except BusUnavailable as error:
            log.warning("refusal.unrecorded", request=request.id, error=str(error))


def dialect_of(http: web.Request) -> Dialect:
    """What a caller of this path expects to be answered in."""
    if speaks_anthropic(http.path, http.headers):
        return ANTHROPIC
    if http.path == CHAT_PATH:
        return CHAT
    return RESPONSES if http.path == RESPONSES_PATH or http.path.startswith(f"{RESPONSES_PATH}/") else PASSTHROUGH


def _request(http: web.Request, id: str, at: float) -> HttpRequest:
    visit = http.get(VISIT)
    read = visit.body if visit is not None else None
    asked = PASSTHROUGH.read(read) if read is not None else None
    return HttpRequest(
        id=id,
        at=at,
        method=http.method,
        path=shown_path(http.raw_path),
        dialect=dialect_of(http).name,
        headers=shown_headers(http.headers, is_known=visit is not None),
        body=shown_body(read, http.content_length),
        client=visit.client if visit is not None else None,
        peer=http.remote,
        model=asked.model[:MESSAGE_CHARACTERS] if asked is not None and asked.model is not None else None,
    )


def _fault_of(http: web.Request, error: Exception) -> Fault | None:
    """What went wrong; None for what aiohttp itself has to see."""
    match error:
        case Refused():
            return error.fault
        case BusUnavailable():
            return fault(503, "bus_unavailable", str(error), retry_after_s=1)
        case web.HTTPNotFound():
            return fault(404, "unknown_path", f"There is nothing at {http.path}. The API is at /v1/….")
        case web.HTTPMethodNotAllowed():
            allowed = ", ".join(sorted(error.allowed_methods))
            return fault(405, "method_not_allowed", f"{http.path} takes {allowed}, not {http.method}.")
        case web.HTTPException() | ConnectionError():
            return None
    log.error("ingress.failed", path=shown_path(http.raw_path), exc_info=error)
    return fault(500, "ingress_failed", f"The ingress failed: {type(error).__name__}. Its log says more.")
