"""The HTTP application: paths, limits and keys in front of the exchanges."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from urllib.parse import unquote

import anyio.to_thread
from aiohttp import web
from aiohttp.typedefs import Handler

from services.ingress.answers import Plain, Streamed, Through
from services.ingress.dialects import ANTHROPIC, CHAT, PASSTHROUGH
from services.ingress.dialects.base import Dialect
from services.ingress.exchange import REQUEST_ID_HEADER, Tell
from services.ingress.intake import Intake, fault
from services.ingress.launch import Launch
from services.ingress.memory import Memory
from services.ingress.model_list import ModelList, anthropic_list, anthropic_model, merged, openai_list
from services.ingress.refusals import Refusals, dialect_of
from services.ingress.responses_api import ROUTES as RESPONSES_ROUTES
from services.ingress.responses_api import ResponsesApi
from services.ingress.rules.doors import CHAT_PATH, speaks_anthropic
from services.ingress.sealer import Sealer
from shared.config import Model, Settings, is_glob, may_be_continued, model_for, plain_name, served_models
from shared.config.client_keys import ClientKeys
from shared.contracts import RepairSettings
from shared.errors import Refused
from shared.metrics import CONTENT_TYPE
from shared.worker import Worker

NO_REPAIR = RepairSettings(enabled=False)


@dataclass(frozen=True)
class Shared:
    """What outlives a reload."""

    worker: Worker
    sealer: Sealer
    memory: Memory
    tell: Tell


class Ingress:
    """The handlers with one state of the settings: a request keeps the one that it began with."""

    def __init__(self, settings: Settings, client_keys: ClientKeys | None, shared: Shared) -> None:
        self._settings = settings
        self._worker = shared.worker
        self._intake = Intake(settings, client_keys, shared.worker, shared.sealer)
        self._launch = Launch(settings, shared.worker, self._intake, shared.tell)
        self.responses = ResponsesApi(settings, shared.memory, shared.worker, self._intake, self._launch)

    # -- is it well?

    async def healthz(self, http: web.Request) -> web.Response:
        return web.json_response({"status": "ok"})

    async def metrics(self, http: web.Request) -> web.Response:
        """This worker's figures, and those of every worker that was heard; for clients, where those have keys."""
        self._intake.known(http)
        body = self._worker.exposition(fleet=True)
        return web.Response(body=body, headers={"Content-Type": CONTENT_TYPE})

    async def readyz(self, http: web.Request) -> web.Response:
        missing = self.missing()
        return web.json_response({"ready": not missing, "missing": missing}, status=503 if missing else 200)

    def missing(self) -> list[str]:
        """What the pipeline still lacks before a request can go through it."""
        needed = ["upstream"]
        models = self._settings.models.values()
        if any(map(self._needs_normalizer, models)):
            needed.append("normalizer")
        if any(model.needs_enforcer for model in models):
            needed.append("enforcer")
        missing = [service for service in needed if not self._worker.roster.has(service)]
        return missing if self._worker.bus.is_connected else ["bus", *missing]

    def _needs_normalizer(self, model: Model) -> bool:
        is_ended_here = model.repeat.is_on or may_be_continued(self._settings, model)
        return model.repair.enabled or is_ended_here or model.needs_enforcer

    # -- answers of a model

    async def chat(self, http: web.Request) -> web.StreamResponse:
        return await self._answered(http, CHAT)

    async def messages(self, http: web.Request) -> web.StreamResponse:
        return await self._answered(http, ANTHROPIC)

    async def _answered(self, http: web.Request, dialect: Dialect) -> web.StreamResponse:
        client = self._intake.client(http)
        body = await self._intake.body(http)
        asked = dialect.read(body)
        decision = self._intake.decided(http, asked.model or "", client)
        request = await self._intake.request(http, dialect, asked, client, body)
        answering = asked.answering(request.id, request.at)
        headers = {REQUEST_ID_HEADER: request.id, **answering.headers}
        canonical = await self._intake.canonical(request, asked, body)
        model = decision.model
        plan = self._launch.of_model(http, request, asked, model, canonical=canonical, streamed=asked.stream)
        return await self._launch.run(
            plan, Streamed(http, answering, headers) if asked.stream else Plain(answering, headers)
        )

    async def count_tokens(self, http: web.Request) -> web.StreamResponse:
        """An estimate: nothing is asked of a provider, and nothing is recorded."""
        self._intake.client(http)
        counted = await anyio.to_thread.run_sync(ANTHROPIC.count, await self._intake.body(http))
        return web.json_response({"input_tokens": counted})

    # -- everything else

    async def through(self, http: web.Request) -> web.StreamResponse:
        client = self._intake.client(http)
        if _leads_elsewhere(http.raw_path):
            raise Refused(fault(404, "unknown_path", "A path must not hold `.` or `..` as a part."))
        body = await self._intake.body(http)
        asked = PASSTHROUGH.read(body)
        request = await self._intake.request(http, PASSTHROUGH, asked, client, body)
        answer = Through(http, dialect_of(http).answering(request.id), {REQUEST_ID_HEADER: request.id})
        return await self._launch.run(self._launch.plan(http, request, streamed=False, repair=NO_REPAIR), answer)

    async def models(self, http: web.Request) -> web.StreamResponse:
        """What is configured, then what the provider offers where any name may be asked for."""
        client = self._intake.client(http)
        anthropic = speaks_anthropic(http.path, http.headers)
        shape = anthropic_list if anthropic else openai_list
        configured = served_models(self._settings)
        names = [name for name in configured if not is_glob(name)]
        if len(names) == len(configured):
            return web.json_response(shape(merged(names)))
        asked = PASSTHROUGH.read(b"")
        request = await self._intake.request(http, PASSTHROUGH, asked, client, b"")
        answering = dialect_of(http).answering(request.id)
        answer = ModelList(answering, names, {REQUEST_ID_HEADER: request.id, **answering.headers}, shape)
        return await self._launch.run(self._launch.plan(http, request, streamed=False, repair=NO_REPAIR), answer)

    async def model(self, http: web.Request) -> web.StreamResponse:
        """One model: of a configured name at once, of any other one as the provider has it."""
        name = http.match_info["name"]
        anthropic = speaks_anthropic(http.path, http.headers)
        client = self._intake.client(http)
        if anthropic:
            self._intake.decided(http, name, client)
            return web.json_response(anthropic_model({"id": name}))
        match = model_for(self._settings, plain_name(self._settings, name))
        if match is not None and not is_glob(match.key):
            return web.json_response(merged([name])[0])
        return await self.through(http)


class Doors:
    """The paths, each to the handlers of the settings in force."""

    def __init__(self, now: Ingress, refusals: Refusals) -> None:
        self.now = now
        self._refusals = refusals

    def application(self, max_body_bytes: int, beside: Mapping[str, web.Application]) -> web.Application:
        """`beside` are applications that share the address, by their paths; `/` leads to the first of them."""
        app = web.Application(client_max_size=max_body_bytes, middlewares=[self._refusals.middleware])
        router = app.router
        router.add_get("/healthz", self._to(lambda now: now.healthz))
        router.add_get("/readyz", self._to(lambda now: now.readyz))
        router.add_get("/metrics", self._to(lambda now: now.metrics))
        router.add_post(CHAT_PATH, self._to(lambda now: now.chat))
        router.add_post("/v1/messages", self._to(lambda now: now.messages))
        router.add_post("/v1/messages/count_tokens", self._to(lambda now: now.count_tokens))
        for method, path, chosen in RESPONSES_ROUTES:
            add = router.add_get if method == "GET" else partial(router.add_route, method)  # HEAD goes with GET
            add(path, self._to(partial(_of_responses, chosen)))
        router.add_get("/v1/models", self._to(lambda now: now.models))
        router.add_get("/v1/models/{name:.+}", self._to(lambda now: now.model))
        router.add_route("*", "/v1/{path:.*}", self._to(lambda now: now.through))
        for prefix, other in beside.items():
            app.add_subapp(prefix, other)
        if beside:
            router.add_get("/", partial(_lead_to, next(iter(beside))))
        return app

    def _to(self, choose: Callable[[Ingress], Handler]) -> Handler:
        async def handle(http: web.Request) -> web.StreamResponse:
            return await choose(self.now)(http)

        return handle


def _of_responses(choose: Callable[[ResponsesApi], Handler], now: Ingress) -> Handler:
    return choose(now.responses)


async def _lead_to(path: str, _http: web.Request) -> web.StreamResponse:
    raise web.HTTPFound(path)


def _leads_elsewhere(path: str) -> bool:
    """Whether a server may read the path as one outside of the provider's base, where our key has no business."""
    return any(unquote(part) in (".", "..") for part in path.partition("?")[0].replace("\\", "/").split("/"))
