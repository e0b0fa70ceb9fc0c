"""Composition root: settings and a bus to a running upstream worker."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from random import Random
from typing import TYPE_CHECKING

from services.upstream.alerts import Alerts
from services.upstream.balances import Balances
from services.upstream.board import Board
from services.upstream.call import Connections, connections
from services.upstream.desks import Bench, desk_for
from services.upstream.hearing import Ears
from services.upstream.replay import BUCKET_BYTES, MAX_AGE_S, Replay
from services.upstream.rules.latencies import Latencies
from services.upstream.worker import Upstream
from shared.alerts import Receiver
from shared.bus import Bus
from shared.config import Loaded, Settings
from shared.ids import new_instance
from shared.jobs import Craft
from shared.seal import SealKey
from shared.secrets import Secrets
from shared.subjects import THOUGHTS_BUCKET, Subjects
from shared.worker import Commit, Identity, Worker

if TYPE_CHECKING:  # google-auth takes long to import, and most installations have no use for it
    from services.upstream.google_tokens import Tokens


@asynccontextmanager
async def upstream(bus: Bus, settings: Settings, secrets: Secrets) -> AsyncIterator[Worker]:
    """A worker that calls providers while the block lasts."""
    async with connections() as kept:
        service = await _service(bus, settings, secrets, kept)
        worker = service.worker
        worker.on_settings(service.prepare)
        worker.craft = Craft(stage="upstream", leg="raw", handle=service.upstream.handle, stops_on_cancel=True)
        async with worker.running():
            worker.start_soon(service.bench.board.follow)
            worker.start_soon(service.balances.watch)
            await service.with_tokens(service.upstream.desk.caller.keys.tokens)
            yield worker


async def _service(bus: Bus, settings: Settings, secrets: Secrets, kept: Connections) -> Service:
    reference = settings.upstream.seal_key
    seal = SealKey.from_hex(secrets.get(reference)) if reference else SealKey.generate()
    identity = Identity(
        service="upstream",
        instance=new_instance("upstream"),
        capacity=settings.upstream.max_in_flight,
        seal_key=seal.public,
    )
    worker = Worker(bus, Subjects(settings.bus.root), identity, drain_s=settings.upstream.drain_s)
    bench = Bench(
        connections=kept,
        ears=Ears(Replay(await bus.state(THOUGHTS_BUCKET, MAX_AGE_S, BUCKET_BYTES)), seal),
        seal=seal,
        worker=worker,
        board=Board(worker),
        latencies=Latencies(),
        random=Random(),  # noqa: S311 - pauses and choices, no secrets
    )
    return Service(bench, settings, secrets)


class Service:
    """One upstream worker's parts, and how new settings reach them."""

    def __init__(self, bench: Bench, settings: Settings, secrets: Secrets) -> None:
        desk = desk_for(bench, settings, secrets)
        self.bench = bench
        self.worker = bench.worker
        self.upstream = Upstream(desk)
        self.balances = Balances(desk, bench.connections.kept)
        self._alerts = Alerts(receivers(settings, secrets), bench.connections.kept, bench.worker)
        bench.board.adopt(desk.accounts)
        bench.board.on_change.append(self.balances.confirm)
        bench.board.listeners.append(self._alerts.heard)

    async def prepare(self, loaded: Loaded) -> Commit:
        """New settings: a provider that needs tokens has its first one before anybody is sent there."""
        before = self.upstream.desk
        desk = desk_for(self.bench, loaded.settings, loaded.secrets, before)
        told = receivers(loaded.settings, loaded.secrets)
        known = before.caller.keys.tokens
        await self.with_tokens([tokens for tokens in desk.caller.keys.tokens if tokens not in known])

        def commit() -> None:
            self.upstream.turn_to(desk)
            self.balances.desk = desk
            self._alerts.receivers = told
            desk.gates.take_over()
            self.bench.board.adopt(desk.accounts)
            for tokens in known:
                if tokens not in desk.caller.keys.tokens:
                    tokens.retire()
            mine = loaded.settings.upstream
            self.worker.resize(mine.max_in_flight, mine.drain_s)

        return commit

    async def with_tokens(self, found: list[Tokens]) -> None:
        """Returns when each was asked for once."""
        for tokens in found:
            self.worker.start_soon(tokens.keep_fresh)
        for tokens in found:
            await tokens.until_first()


def receivers(settings: Settings, secrets: Secrets) -> tuple[Receiver, ...]:
    return tuple(Receiver(alert.shape, secrets.get(alert.url)) for alert in settings.alerts.values())
