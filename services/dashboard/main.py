"""Composition root: settings and a bus to a dashboard, as an application that the ingress can carry or on a port."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial

from aiohttp import web

from services.dashboard.app import Dashboard
from services.dashboard.archive import Archive
from services.dashboard.guard import Guard
from services.dashboard.live import MOST_STREAMS, Hub
from shared.bus import Bus
from shared.config import Loaded
from shared.errors import MoontideError
from shared.ids import new_instance
from shared.subjects import Subjects
from shared.worker import Commit, Identity, Worker

PREFIX = "/ui/"
SHUTDOWN_S = 1.0


class PortInUse(MoontideError):
    """Tell the operator: somebody else listens there."""


@dataclass(frozen=True)
class Page:
    """An application to be mounted at PREFIX, and the worker that it works as."""

    worker: Worker
    application: web.Application


@asynccontextmanager
async def dashboard(bus: Bus, loaded: Loaded) -> AsyncIterator[Page]:
    """It works while the block lasts."""
    settings = loaded.settings
    identity = Identity(service="dashboard", instance=new_instance("dashboard"), capacity=MOST_STREAMS)
    worker = Worker(bus, Subjects(settings.bus.root), identity, drain_s=SHUTDOWN_S)
    archive = Archive(next(iter(loaded.databases()), None))
    hub = Hub(worker, settings)
    guard = Guard(loaded.dashboard_keys, settings.dashboard.hosts)
    worker.on_settings(partial(_prepare, hub, guard))
    try:
        async with worker.running():
            try:
                yield Page(worker, Dashboard(archive, hub, guard).application())
            finally:
                hub.closing = True
    finally:
        archive.close()


async def _prepare(hub: Hub, guard: Guard, loaded: Loaded) -> Commit:
    """Keys, names and providers as they are now; the address and the records stay those of the start."""

    def commit() -> None:
        hub.adopt(loaded.settings)
        guard.adopt(loaded.dashboard_keys, loaded.settings.dashboard.hosts)

    return commit


@asynccontextmanager
async def listening(application: web.Application, host: str, port: int) -> AsyncIterator[str]:
    """The application on a port of its own; gives its address."""
    app = web.Application()
    app.router.add_get("/", to_the_page)
    app.router.add_get("/healthz", _healthz)
    app.add_subapp(PREFIX, application)
    runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=SHUTDOWN_S)
    await runner.setup()
    try:
        try:
            await web.TCPSite(runner, host, port).start()
        except OSError as error:
            why = os.strerror(error.errno) if error.errno and error.errno > 0 else error.strerror or str(error)
            raise PortInUse(f"can't listen on {host}:{port}: {why}. Choose another --port.") from error
        address = runner.addresses[0]
        shown = f"[{address[0]}]" if ":" in address[0] else address[0]
        yield f"http://{shown}:{address[1]}{PREFIX}"
    finally:
        await runner.cleanup()


async def to_the_page(_http: web.Request) -> web.StreamResponse:
    raise web.HTTPFound(PREFIX)


async def _healthz(_http: web.Request) -> web.StreamResponse:
    return web.json_response({"status": "ok"})
