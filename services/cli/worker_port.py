"""`GET /metrics` and `/healthz` of one worker that has no HTTP side of its own."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web

from shared.config import MetricsPort
from shared.errors import MoontideError
from shared.metrics import CONTENT_TYPE
from shared.worker import Worker

SHUTDOWN_S = 1.0


class MetricsPortInUse(MoontideError):
    """Tell the operator: somebody else listens there."""


@asynccontextmanager
async def metrics_port(worker: Worker, settings: MetricsPort) -> AsyncIterator[str]:
    """Answers while the block lasts; gives the address."""
    app = web.Application()
    port = _Port(worker)
    app.router.add_get("/metrics", port.metrics)
    app.router.add_get("/healthz", port.healthz)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=SHUTDOWN_S)
    await runner.setup()
    try:
        await _listen(runner, settings)
        host, number = runner.addresses[0][:2]
        yield f"http://{f'[{host}]' if ':' in host else host}:{number}/metrics"
    finally:
        await runner.cleanup()


async def _listen(runner: web.AppRunner, settings: MetricsPort) -> None:
    where = f"{settings.host}:{settings.port}"
    try:
        await web.TCPSite(runner, settings.host, settings.port).start()
    except OSError as error:
        why = os.strerror(error.errno) if error.errno else str(error)
        raise MetricsPortInUse(f"can't listen on {where}: {why}. Choose another --metrics-port.") from error


class _Port:
    def __init__(self, worker: Worker) -> None:
        self._worker = worker

    async def metrics(self, _http: web.Request) -> web.Response:
        return web.Response(body=self._worker.exposition(), headers={"Content-Type": CONTENT_TYPE})

    async def healthz(self, _http: web.Request) -> web.Response:
        """Alive, and heard by the others."""
        is_well = self._worker.bus.is_connected
        return web.json_response({"status": "ok" if is_well else "no bus"}, status=200 if is_well else 503)
