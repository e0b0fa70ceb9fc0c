"""Composition root: settings and a bus to a listening ingress."""

from __future__ import annotations

import os
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

from aiohttp import web

from services.ingress.app import Ingress
from services.ingress.rules.account import account
from shared.bus import Bus
from shared.config import Settings
from shared.config.client_keys import ClientKeys
from shared.contracts import Done, Head, HttpRequest
from shared.errors import MoontideError
from shared.ids import new_instance
from shared.subjects import Subjects
from shared.worker import Identity, Worker

SHUTDOWN_S = 1.0  # what connections get once their exchanges are over


class PortInUse(MoontideError):
    """Tell the operator: somebody else listens there."""


@dataclass(frozen=True)
class Listening:
    """Where the ingress answers, and what it still waits for."""

    worker: Worker
    url: str
    missing: Callable[[], list[str]]


@asynccontextmanager
async def ingress(
    bus: Bus, settings: Settings, client_keys: ClientKeys | None, beside: Mapping[str, web.Application] | None = None
) -> AsyncIterator[Listening]:
    """Answers HTTP while the block lasts; exchanges in hand are finished on the way out.

    `beside` are applications that share its address, by their paths; `/` leads to the first of them.
    """
    capacity = settings.ingress.max_in_flight
    identity = Identity(service="ingress", instance=new_instance("ingress"), capacity=capacity)
    worker = Worker(bus, Subjects(settings.bus.root), identity, drain_s=settings.ingress.drain_s)
    service = Ingress(settings, client_keys, worker, print_account)
    runner = web.AppRunner(
        service.application(beside or {}),
        access_log=None,
        handler_cancellation=True,
        keepalive_timeout=settings.ingress.keepalive_s,
        max_line_size=settings.ingress.max_header_bytes,
        max_field_size=settings.ingress.max_header_bytes,
        shutdown_timeout=SHUTDOWN_S,
    )
    await runner.setup()
    try:
        async with worker.running():
            site, url = await _listen(runner, settings.ingress.host, settings.ingress.port)
            try:
                yield Listening(worker, url, service.missing)
            finally:
                await site.stop()
    finally:
        await runner.cleanup()


async def _listen(runner: web.AppRunner, host: str, port: int) -> tuple[web.TCPSite, str]:
    site = web.TCPSite(runner, host, port)
    try:
        await site.start()
    except OSError as error:
        why = os.strerror(error.errno) if error.errno and error.errno > 0 else error.strerror or str(error)
        raise PortInUse(f"can't listen on {host}:{port}: {why}. Choose another --port.") from error
    address = runner.addresses[0]
    shown = f"[{address[0]}]" if ":" in address[0] else address[0]
    return site, f"http://{shown}:{address[1]}"


def print_account(request: HttpRequest, head: Head | None, done: Done) -> None:
    """The block of a finished request, on stderr."""
    print(account(request, head, done), file=sys.stderr, flush=True)
