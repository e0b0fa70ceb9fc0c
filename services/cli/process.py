"""Services in this process, each with a connection of its own."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field

import anyio
import structlog

from services.cli.connecting import connect
from services.dashboard.main import PREFIX, Page, listening
from services.dashboard.main import dashboard as run_dashboard
from services.enforcer.main import enforcer as run_enforcer
from services.ingress.main import Listening
from services.ingress.main import ingress as run_ingress
from services.normalizer.main import normalizer as run_normalizer
from services.recorder.main import recorder as run_recorder
from services.sentinel.main import sentinel as run_sentinel
from services.upstream.main import upstream as run_upstream
from shared import log
from shared.bus.nats import NatsBus
from shared.config import Loaded, Settings
from shared.rights import KEEPERS
from shared.worker import Worker

IN_ORDER = (
    "recorder",
    "sentinel",
    "upstream",
    "normalizer",
    "dashboard",
    "enforcer",
    "ingress",
)  # they stop the other way round: nothing is cut off
READY_WITHIN_S = 10.0
SERVICE_PATIENCE_S = 5.0  # with a NATS server that may be starting just now

logger = structlog.get_logger("process")


@dataclass
class Running:
    """The services of this process."""

    listening: Listening | None = None
    page: Page | None = None  # of the dashboard, which the ingress carries
    page_url: str | None = None
    workers: list[Worker] = field(default_factory=list)


@asynccontextmanager
async def running(loaded: Loaded, names: Collection[str], url: str | None = None) -> AsyncIterator[Running]:
    """The named services, each with a connection of its own, while the block lasts."""
    settings = loaded.settings
    state = Running()
    async with AsyncExitStack() as stack:
        for name in (name for name in IN_ORDER if name in names):
            bus = await connect(settings, loaded, name, url, SERVICE_PATIENCE_S)
            stack.push_async_callback(bus.close)
            if name in KEEPERS:
                await bus.ensure_capture(settings.bus.capture.max_age_s, settings.bus.capture.max_bytes)
            await _enter(stack, name, bus, loaded, state)
            logger.debug(log.SERVICE_STARTED, service=name)
        if state.page is not None:
            state.page_url = await _page_url(stack, state.page, state.listening, settings)
        yield state


async def _enter(stack: AsyncExitStack, name: str, bus: NatsBus, loaded: Loaded, state: Running) -> None:
    settings = loaded.settings
    if name == "recorder":
        worker = await stack.enter_async_context(run_recorder(bus, settings, loaded.secrets))
    elif name == "upstream":
        worker = await stack.enter_async_context(run_upstream(bus, settings, loaded.secrets))
    elif name == "normalizer":
        worker = await stack.enter_async_context(run_normalizer(bus, settings))
    elif name == "enforcer":
        worker = await stack.enter_async_context(run_enforcer(bus, settings))
    elif name == "sentinel":
        worker = await stack.enter_async_context(run_sentinel(bus, settings))
    elif name == "dashboard":
        state.page = await stack.enter_async_context(run_dashboard(bus, loaded))
        worker = state.page.worker
    else:
        beside = {PREFIX: state.page.application} if state.page is not None else None
        state.listening = await stack.enter_async_context(run_ingress(bus, settings, loaded.client_keys, beside=beside))
        worker = state.listening.worker
    state.workers.append(worker)


async def _page_url(stack: AsyncExitStack, page: Page, carrier: Listening | None, settings: Settings) -> str:
    """Where the dashboard is: beside the ingress of this process, or on its own port where there is none."""
    if carrier is not None:
        return f"{carrier.url}{PREFIX}"
    mine = settings.dashboard
    return await stack.enter_async_context(listening(page.application, mine.host, mine.port))


async def until_ready(listening: Listening) -> list[str]:
    """Waits until every needed stage was heard; what is missing after a while."""
    with anyio.move_on_after(READY_WITHIN_S):
        while listening.missing():  # noqa: ASYNC110 - what changes it are other processes' heartbeats
            await anyio.sleep(0.01)
    return listening.missing()
