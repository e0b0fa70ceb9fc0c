"""Composition root: settings and a bus to a listening ingress."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

from aiohttp import web

from services.ingress.app import Doors, Ingress, Shared
from services.ingress.exchange import Tell
from services.ingress.ledger import Ledger
from services.ingress.memory import Memory
from services.ingress.refusals import Refusals
from services.ingress.rules.account import account
from services.ingress.sealer import Sealer
from services.ingress.unreadable import SERVER, without_contents
from shared.bus import Bus
from shared.config import Loaded, Settings
from shared.config.client_keys import ClientKeys
from shared.contracts import Done, Head, HttpRequest
from shared.errors import MoontideError
from shared.ids import new_instance
from shared.subjects import Subjects
from shared.worker import Commit, Identity, Worker

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
    bus: Bus,
    settings: Settings,
    client_keys: ClientKeys | None,
    tell: Tell | None = None,
    beside: Mapping[str, web.Application] | None = None,
) -> AsyncIterator[Listening]:
    """Answers HTTP while the block lasts; exchanges in hand are finished on the way out.

    `tell` hears each exchange's account; without it, stderr does. `beside` are applications that share its address.
    """
    capacity = settings.ingress.max_in_flight
    identity = Identity(service="ingress", instance=new_instance("ingress"), capacity=capacity, is_scraped=True)
    worker = Worker(bus, Subjects(settings.bus.root), identity, drain_s=settings.ingress.drain_s)
    logging.getLogger(SERVER).addFilter(without_contents)
    ledger = Ledger(settings, worker.metrics, tell or print_account)
    shared = Shared(
        worker=worker,
        sealer=Sealer(worker.roster),
        memory=Memory(worker, settings.bus.capture.max_age_s),
        tell=ledger.tell,
    )
    refusals = Refusals(worker, settings.ingress.refused_per_s)
    doors = Doors(Ingress(settings, client_keys, shared), refusals)

    async def prepare(loaded: Loaded) -> Commit:
        fresh = Ingress(loaded.settings, loaded.client_keys, shared)

        def commit() -> None:
            doors.now = fresh
            refusals.allow(loaded.settings.ingress.refused_per_s)
            ledger.adopt(loaded.settings)
            worker.resize(loaded.settings.ingress.max_in_flight, loaded.settings.ingress.drain_s)

        return commit

    worker.on_settings(prepare)
    runner = web.AppRunner(
        doors.application(settings.ingress.max_body_bytes, beside or {}),
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
                yield Listening(worker, url, lambda: doors.now.missing())
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
