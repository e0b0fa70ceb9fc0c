"""The paths of OpenAI's Responses: asking, and coming back to what was asked."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import aclosing
from typing import Any

import anyio
import anyio.to_thread
import msgspec
from aiohttp import web
from aiohttp.typedefs import Handler

from services.ingress.answers import STREAM_HEADERS, Plain, Streamed
from services.ingress.dialects import RESPONSES
from services.ingress.dialects.base import Asked
from services.ingress.dialects.estimate import tokens_in
from services.ingress.dialects.responses import ResponsesAnswering
from services.ingress.dialects.responses.items import listed
from services.ingress.exchange import REQUEST_ID_HEADER, Plan
from services.ingress.intake import Intake, fault
from services.ingress.launch import Launch
from services.ingress.memory import Memory, Remembered, Retelling
from services.ingress.rules.doors import RESPONSES_PATH
from services.ingress.rules.recall import DELETED, Recall
from shared.config import Settings
from shared.contracts import Cancel, End, Fault
from shared.errors import Refused
from shared.worker import Worker

CANCELLED_WITHIN_S = 5.0  # in which a call that was told to stop has ended


class ResponsesApi:
    def __init__(self, settings: Settings, memory: Memory, worker: Worker, intake: Intake, launch: Launch) -> None:
        self._settings = settings
        self._worker = worker
        self._intake = intake
        self._launch = launch
        self._memory = memory

    # -- asking

    async def create(self, http: web.Request) -> web.StreamResponse:
        client = self._intake.client(http)
        body = await self._intake.body(http)
        asked = await self._asked(body, client)
        decision = self._intake.decided(http, asked.model or "", client)
        request = await self._intake.request(http, RESPONSES, asked, client, body)
        answering = RESPONSES.answering_of(body, request.id, request.at)
        wire = answering.frame.request.wire
        canonical = await self._intake.canonical(request, asked, body)
        streamed = asked.stream or bool(wire.background)
        plan = self._launch.of_model(http, request, asked, decision.model, canonical=canonical, streamed=streamed)
        headers = {REQUEST_ID_HEADER: request.id, **answering.headers}
        if wire.background:
            return await self._in_background(http, plan, answering, headers)
        answer = Streamed(http, answering, headers) if asked.stream else Plain(answering, headers)
        return await self._launch.run(plan, answer)

    async def _asked(self, body: bytes, client: str | None) -> Asked:
        names = RESPONSES.references(body)
        try:
            earlier = await self._memory.earlier(names, client)
        except Refused as refused:
            message = refused.fault.message.replace("Response with", "Previous response with", 1)
            param = "previous_response_id"
            raise Refused(fault(400, "previous_response_not_found", message, param=param)) from refused
        return RESPONSES.read(body, earlier)

    async def _in_background(
        self, http: web.Request, plan: Plan, answering: ResponsesAnswering, headers: dict[str, str]
    ) -> web.StreamResponse:
        self._launch.start(plan)
        if not plan.request.stream:
            await self._memory.until_known(plan.request.id)
            return _json(answering.codec().response, headers)
        return await self._streamed(http, answering, -1, headers)

    async def count(self, http: web.Request) -> web.StreamResponse:
        """An estimate: nothing is asked of a provider, and nothing is recorded."""
        client = self._intake.client(http)
        asked = await self._asked(await self._intake.body(http), client)
        counted = await anyio.to_thread.run_sync(tokens_in, msgspec.json.decode(asked.body))
        return web.json_response({"object": "response.input_tokens", "input_tokens": counted})

    # -- coming back

    async def get(self, http: web.Request) -> web.StreamResponse:
        remembered = await self._remembered(http)
        if http.query.get("stream") != "true":
            return _json(remembered.response(), remembered.answering.headers)
        try:
            after = int(http.query.get("starting_after", "-1"))
        except ValueError:
            message = "Invalid request: starting_after: must be the sequence_number of an event."
            raise Refused(fault(400, "invalid_request", message, param="starting_after")) from None
        return await self._streamed(http, remembered.answering, after, remembered.answering.headers)

    async def delete(self, http: web.Request) -> web.StreamResponse:
        """Forgotten by this API; the record stays until its time."""
        remembered = await self._remembered(http)
        id = remembered.answering.frame.id
        await self._worker.event(id, DELETED)
        await self._worker.bus.flush()
        return web.json_response({"id": f"resp_{id}", "object": "response", "deleted": True})

    async def cancel(self, http: web.Request) -> web.StreamResponse:
        remembered = await self._remembered(http)
        if not remembered.answering.frame.request.wire.background:
            message = "Only a background response can be cancelled: of any other one, close the connection."
            raise Refused(fault(400, "invalid_request", message))
        if not remembered.recall.is_over:
            id = remembered.answering.frame.id
            await self._worker.cancels.send(id, Cancel(by="client", why="the client asked for it"))
            await self._until_over(id)
            remembered = await self._remembered(http)
        return _json(remembered.response(), remembered.answering.headers)

    async def _until_over(self, id: str) -> None:
        with anyio.move_on_after(CANCELLED_WITHIN_S):
            async with aclosing(self._memory.follow(id, Recall(), None)) as following:
                async for _ in following:
                    pass

    async def input_items(self, http: web.Request) -> web.StreamResponse:
        remembered = await self._remembered(http)
        frame = remembered.answering.frame
        data = listed(frame.request.wire.input, frame.id)
        first, last = (data[0]["id"], data[-1]["id"]) if data else (None, None)
        page = {"object": "list", "data": data, "first_id": first, "last_id": last, "has_more": False}
        return web.json_response(page)

    async def _remembered(self, http: web.Request) -> Remembered:
        return await self._memory.remembered(http.match_info["id"], self._intake.client(http))

    async def _streamed(
        self, http: web.Request, answering: ResponsesAnswering, after: int, headers: dict[str, str]
    ) -> web.StreamResponse:
        """The events behind number `after`, those that were and those that come."""
        response = web.StreamResponse(headers={**STREAM_HEADERS, **headers})
        await response.prepare(http)
        codec, recall = answering.resumed(after), Recall()
        told, ping_s = Retelling(codec, recall), self._settings.ingress.ping_s or None
        async with aclosing(self._memory.follow(answering.frame.id, recall, ping_s)) as following:
            async for data in following:
                if data is None and self._is_dead(recall):
                    await response.write(codec.finish(_lost(recall)))
                    return response
                if out := codec.keep_alive() if data is None else told.feed(data):
                    await response.write(out)
        if out := told.finish():
            await response.write(out)
        return response

    def _is_dead(self, recall: Recall) -> bool:
        return recall.ingress is not None and self._worker.roster.is_gone(recall.ingress)


ROUTES: tuple[tuple[str, str, Callable[[ResponsesApi], Handler]], ...] = (
    ("POST", RESPONSES_PATH, lambda api: api.create),
    ("POST", f"{RESPONSES_PATH}/input_tokens", lambda api: api.count),
    ("GET", f"{RESPONSES_PATH}/{{id}}", lambda api: api.get),
    ("DELETE", f"{RESPONSES_PATH}/{{id}}", lambda api: api.delete),
    ("POST", f"{RESPONSES_PATH}/{{id}}/cancel", lambda api: api.cancel),
    ("GET", f"{RESPONSES_PATH}/{{id}}/input_items", lambda api: api.input_items),
)


def _lost(recall: Recall) -> End:
    message = f"The ingress {recall.ingress} died while it answered."
    lost = Fault(status=502, code="worker_lost", type="server_error", message=message)
    return End(outcome="lost", worker=recall.ingress or "", at=0, fault=lost)


def _json(value: Any, headers: dict[str, str]) -> web.Response:
    return web.Response(body=msgspec.json.encode(value), content_type="application/json", headers=headers)
