"""A desk for each state of the settings: what a reload makes anew, and what it leaves as it is.

A provider that is spoken to as before (address, key, headers) keeps its circuit, its limits' state, its retry budget
and its tokens. One that is spoken to otherwise begins afresh: a circuit that a wrong key has shut closes with the
right one. Jobs keep the desk that they began with, so a provider that is gone from the settings finishes what it has.
"""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from services.upstream.board import Board
from services.upstream.call import Connections
from services.upstream.calls import Caller, Key, Keys
from services.upstream.desk import Desk
from services.upstream.gates import Gates
from services.upstream.hearing import Ears
from services.upstream.rules.budget import Budget
from services.upstream.rules.latencies import Latencies
from shared.config import Provider, Settings
from shared.seal import SealKey
from shared.secrets import Secret, Secrets
from shared.worker import Worker


@dataclass(kw_only=True)
class Bench:
    """What outlives every reload."""

    connections: Connections
    ears: Ears
    seal: SealKey
    worker: Worker
    board: Board
    latencies: Latencies
    random: Random


def desk_for(bench: Bench, settings: Settings, secrets: Secrets, before: Desk | None = None) -> Desk:
    """Raises SecretError where a provider's credentials can't be used; nothing has changed then."""
    keys = provider_keys(settings, secrets, bench.seal, before.caller.keys if before else None)
    caller = Caller(settings, keys, bench.connections, bench.ears)
    caller.worker = bench.worker
    same = {name for name in settings.providers if before is not None and before.account(name) == caller.account(name)}
    return Desk(
        settings=settings,
        caller=caller,
        budgets=_budgets(settings, before, same),
        latencies=bench.latencies,
        board=bench.board,
        gates=Gates(settings.providers, bench.worker, before.gates.of(same) if before else None),
        random=bench.random,
        worker=bench.worker,
    )


def _budgets(settings: Settings, before: Desk | None, same: set[str]) -> dict[str, Budget]:
    return {
        name: before.budgets[name]
        if before and name in same and before.settings.providers[name].retry.budget == provider.retry.budget
        else Budget(provider.retry.budget)
        for name, provider in settings.providers.items()
    }


def provider_keys(settings: Settings, secrets: Secrets, seal: SealKey, before: Keys | None = None) -> Keys:
    """Every secret that the providers' settings refer to."""
    providers = settings.providers.items()
    known = before.providers if before else {}
    return Keys(
        providers={
            name: key for name, provider in providers if (key := _key(name, provider, secrets, known.get(name)))
        },
        headers={
            name: {header.lower(): secrets.text(value) for header, value in provider.headers.items()}
            for name, provider in providers
        },
        seal=seal,
    )


def _key(name: str, provider: Provider, secrets: Secrets, before: Key | None) -> Key | None:
    """What a provider is called with; None where that is the client's own key, or none at all."""
    if provider.api_key:
        return secrets.get(provider.api_key)
    if provider.kind != "vertex":
        return None
    from services.upstream.google_tokens import Tokens, credentials_of, credentials_text  # a fifth of all imports

    reference = provider.credentials
    source = Secret(credentials_text(secrets.get(reference).reveal())) if reference else None
    if isinstance(before, Tokens) and before.source == source:
        return before
    return Tokens(name, credentials_of(source.reveal()) if source else None, source)
