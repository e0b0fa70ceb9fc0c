"""Composition root: settings and a bus to a running upstream worker."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from random import Random

from services.upstream.alerts import Alerts
from services.upstream.balances import Balances
from services.upstream.board import Board
from services.upstream.call import client_session
from services.upstream.calls import Caller, Key, Keys
from services.upstream.desk import Desk
from services.upstream.gates import Gates
from services.upstream.google_tokens import Tokens, credentials_of
from services.upstream.hearing import Ears
from services.upstream.replay import BUCKET, BUCKET_BYTES, MAX_AGE_S, Replay
from services.upstream.rules.budget import Budget
from services.upstream.rules.latencies import Latencies
from services.upstream.worker import Upstream
from shared.alerts import Receiver
from shared.bus import Bus
from shared.config import Provider, Settings
from shared.ids import new_instance
from shared.seal import SealKey
from shared.secrets import Secrets
from shared.subjects import Subjects
from shared.worker import Craft, Identity, Worker


@asynccontextmanager
async def upstream(bus: Bus, settings: Settings, secrets: Secrets) -> AsyncIterator[Worker]:
    """A worker that calls providers while the block lasts."""
    keys = provider_keys(settings, secrets)
    async with client_session() as session:
        identity = Identity(
            service="upstream",
            instance=new_instance("upstream"),
            capacity=settings.upstream.max_in_flight,
            seal_key=keys.seal.public,
        )
        ears = Ears(Replay(await bus.state(BUCKET, MAX_AGE_S, BUCKET_BYTES)), keys.seal)
        caller = Caller(settings, keys, session, ears)
        worker = Worker(bus, Subjects(settings.bus.root), identity, drain_s=settings.upstream.drain_s)
        caller.worker = worker
        board = Board(settings.providers, worker)
        balances = Balances(settings, caller, session, board)
        board.on_change.append(balances.confirm)
        receivers = tuple(Receiver(alert.shape, secrets.get(alert.url)) for alert in settings.alerts.values())
        board.listeners.append(Alerts(receivers, session, worker).heard)
        desk = Desk(
            settings=settings,
            caller=caller,
            budgets={name: Budget(provider.retry.budget) for name, provider in settings.providers.items()},
            latencies=Latencies(),
            board=board,
            gates=Gates(settings.providers, worker),
            random=Random(),  # noqa: S311 - pauses and choices, no secrets
            worker=worker,
        )
        worker.craft = Craft(stage="upstream", leg="raw", handle=Upstream(desk).handle, stops_on_cancel=True)
        async with worker.running():
            worker.start_soon(board.follow)
            worker.start_soon(balances.watch)
            for tokens in keys.tokens:
                worker.start_soon(tokens.keep_fresh)
            for tokens in keys.tokens:
                await tokens.until_first()
            yield worker


def provider_keys(settings: Settings, secrets: Secrets) -> Keys:
    """Every secret that the providers' settings refer to."""
    providers = settings.providers.items()
    reference = settings.upstream.seal_key
    return Keys(
        providers={name: key for name, provider in providers if (key := _key(name, provider, secrets))},
        headers={
            name: {header.lower(): secrets.text(value) for header, value in provider.headers.items()}
            for name, provider in providers
        },
        seal=SealKey.from_hex(secrets.get(reference)) if reference else SealKey.generate(),
    )


def _key(name: str, provider: Provider, secrets: Secrets) -> Key | None:
    """What a provider is called with; None where that is the client's own key, or none at all."""
    if provider.api_key:
        return secrets.get(provider.api_key)
    if provider.kind != "vertex":
        return None
    reference = provider.credentials
    return Tokens(name, credentials_of(secrets.get(reference).reveal()) if reference else None)
