"""The HTTP application: paths, limits and keys in front of the exchanges."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from urllib.parse import unquote

import anyio.to_thread
import structlog
from aiohttp import web
from aiohttp.typedefs import Handler

from services.ingress.answers import Plain, Streamed, Through, error_reply
from services.ingress.dialects import ANTHROPIC, CHAT, PASSTHROUGH
from services.ingress.dialects.base import Dialect
from services.ingress.exchange import REQUEST_ID_HEADER, Tell
from services.ingress.intake import Intake, fault
from services.ingress.launch import Launch
from services.ingress.model_list import ModelList, anthropic_list, anthropic_model, merged, openai_list
from services.ingress.responses_api import ResponsesApi
from services.ingress.rules.doors import speaks_anthropic
from shared.bus import BusUnavailable
from shared.config import Model, Settings, is_glob, may_be_continued, model_for, plain_name, served_models
from shared.config.client_keys import ClientKeys
from shared.contracts import RepairSettings
from shared.errors import Refused
from shared.worker import Worker

log = structlog.get_logger("ingress")

NO_REPAIR = RepairSettings(enabled=False)


class Ingress:
    """The handlers, and what they share."""

    def __init__(self, settings: Settings, client_keys: ClientKeys | None, worker: Worker, tell: Tell) -> None:
        self._settings = settings
        self._worker = worker
        self._intake = Intake(settings, client_keys, worker)
        self._launch = Launch(settings, worker, self._intake, tell)
        self._responses = ResponsesApi(settings, worker, self._intake, self._launch)

    def application(self, beside: Mapping[str, web.Application] | None = None) -> web.Application:
        app = web.Application(
            client_max_size=self._settings.ingress.max_body_bytes,
            middlewares=[_errors],
        )
        app.router.add_get("/healthz", self._healthz)
        app.router.add_get("/readyz", self._readyz)
        app.router.add_post("/v1/chat/completions", self._chat)
        app.router.add_post("/v1/messages", self._messages)
        app.router.add_post("/v1/messages/count_tokens", self._count_tokens)
        self._responses.add_routes(app.router)
        app.router.add_get("/v1/models", self._models)
        app.router.add_get("/v1/models/{name:.+}", self._model)
        app.router.add_route("*", "/v1/{path:.*}", self._through)
        for prefix, other in (beside or {}).items():
            app.add_subapp(prefix, other)
        if beside:
            app.router.add_get("/", partial(_lead_to, next(iter(beside))))
        return app

    # -- is it well?

    async def _healthz(self, http: web.Request) -> web.Response:
        return web.json_response({"status": "ok"})

    async def _readyz(self, http: web.Request) -> web.Response:
        missing = self.missing()
        return web.json_response({"ready": not missing, "missing": missing}, status=503 if missing else 200)

    def missing(self) -> list[str]:
        """What the pipeline still lacks before a request can go through it."""
        needed = ["upstream"]
        models = self._settings.models.values()
        if any(map(self._needs_normalizer, models)):
            needed.append("normalizer")
        missing = [service for service in needed if not self._worker.roster.has(service)]
        return missing if self._worker.bus.is_connected else ["bus", *missing]

    def _needs_normalizer(self, model: Model) -> bool:
        return model.repair.enabled or model.repeat.is_on or may_be_continued(self._settings, model)

    # -- answers of a model

    async def _chat(self, http: web.Request) -> web.StreamResponse:
        return await self._answered(http, CHAT)

    async def _messages(self, http: web.Request) -> web.StreamResponse:
        return await self._answered(http, ANTHROPIC)

    async def _answered(self, http: web.Request, dialect: Dialect) -> web.StreamResponse:
        client = self._intake.client(http)
        body = await self._intake.body(http)
        asked = dialect.read(body)
        decision = self._intake.decided(http, asked.model or "", client)
        request = await self._intake.request(http, dialect, asked, client, body)
        answering = asked.answering(request.id, request.at)
        headers = {REQUEST_ID_HEADER: request.id, **answering.headers}
        plan = self._launch.plan(
            http,
            request,
            canonical=await self._intake.canonical(request, asked, body),
            dropped=asked.dropped,
            streamed=asked.stream or self._settings.ingress.force_stream or decision.model.repeat.is_on,
            repair=decision.model.repair,
            repeat=decision.model.repeat,
            choices=asked.choices,
            may_be_continued=may_be_continued(self._settings, decision.model),
        )
        return await self._launch.run(
            plan, Streamed(http, answering, headers) if asked.stream else Plain(answering, headers)
        )

    async def _count_tokens(self, http: web.Request) -> web.StreamResponse:
        """An estimate: nothing is asked of a provider, and nothing is recorded."""
        self._intake.client(http)
        counted = await anyio.to_thread.run_sync(ANTHROPIC.count, await self._intake.body(http))
        return web.json_response({"input_tokens": counted})

    # -- everything else

    async def _through(self, http: web.Request) -> web.StreamResponse:
        client = self._intake.client(http)
        if _leads_elsewhere(http.raw_path):
            raise Refused(fault(404, "unknown_path", "A path must not hold `.` or `..` as a part."))
        body = await self._intake.body(http)
        asked = PASSTHROUGH.read(body)
        request = await self._intake.request(http, PASSTHROUGH, asked, client, body)
        answer = Through(http, asked.answering(request.id, request.at), {REQUEST_ID_HEADER: request.id})
        return await self._launch.run(self._launch.plan(http, request, streamed=False, repair=NO_REPAIR), answer)

    async def _models(self, http: web.Request) -> web.StreamResponse:
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
        answering = _dialect(http).answering(request.id)
        answer = ModelList(answering, names, {REQUEST_ID_HEADER: request.id, **answering.headers}, shape)
        return await self._launch.run(self._launch.plan(http, request, streamed=False, repair=NO_REPAIR), answer)

    async def _model(self, http: web.Request) -> web.StreamResponse:
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
        return await self._through(http)


@web.middleware
async def _errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Everything that goes wrong before an exchange begins, in the caller's dialect."""
    try:
        return await handler(request)
    except Refused as refused:
        found = refused.fault
    except BusUnavailable as error:
        found = fault(503, "bus_unavailable", str(error), retry_after_s=1)
    except web.HTTPNotFound:
        found = fault(404, "unknown_path", f"There is nothing at {request.path}. The API is at /v1/….")
    except web.HTTPMethodNotAllowed as error:
        allowed = ", ".join(sorted(error.allowed_methods))
        found = fault(405, "method_not_allowed", f"{request.path} takes {allowed}, not {request.method}.")
    except (web.HTTPException, ConnectionError):
        raise
    except Exception as error:
        log.error("ingress.failed", path=request.path, exc_info=error)
        found = fault(500, "ingress_failed", f"The ingress failed: {type(error).__name__}. Its log says more.")
    refusal = _dialect(request).refusal(found)
    log.info("request.refused", method=request.method, path=request.path, status=found.status, why=found.message)
    return error_reply(refusal, found, {}).response or web.Response(status=refusal.status)


async def _lead_to(path: str, _http: web.Request) -> web.StreamResponse:
    raise web.HTTPFound(path)


def _leads_elsewhere(path: str) -> bool:
    """Whether a server may read the path as one outside of the provider's base, where our key has no business."""
    return any(unquote(part) in (".", "..") for part in path.partition("?")[0].replace("\\", "/").split("/"))


def _dialect(http: web.Request) -> Dialect:
    return ANTHROPIC if speaks_anthropic(http.path, http.headers) else PASSTHROUGH
