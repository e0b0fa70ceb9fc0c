"""The circuits of all providers, shared by all upstream workers.

What changes a circuit goes into the bucket `providers`, where every worker watches it and whoever comes late finds it,
and out on `provider.<name>.state` for anybody who looks on. A worker decides by what it knows: no call is kept waiting
for the bus, and without the bus each worker has circuits of its own.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing
from hashlib import blake2b
from typing import Any, cast

import anyio
import msgspec
import structlog

from services.upstream.rules import circuits
from services.upstream.rules.circuits import CLOSED, Circuit
from services.upstream.rules.remedies import remedy
from services.upstream.rules.retries import Standing
from services.upstream.rules.verdicts import Judgement, Verdict
from shared.bus import Bus, BusUnavailable
from shared.config import Provider, Target
from shared.contracts import Fault, ProviderState, decode, encode
from shared.subjects import PROVIDERS_BUCKET, Subjects
from shared.worker import Worker

MOST_MODELS = 1024  # missing ones that are remembered
STATES = ("closed", "half_open", "open", "shut")  # as figures, from 0
AGAIN_AFTER_S = 1.0  # a watch that the bus broke off

log = structlog.get_logger("circuits")

Key = tuple[str, str | None]  # a provider, and the model that it doesn't have
Changed = Callable[[ProviderState], Awaitable[None]]


class Board:
    """What this worker knows of every provider."""

    def __init__(self, worker: Worker) -> None:
        self._worker = worker
        self.accounts: Mapping[str, object] = {}  # as whom each provider is spoken to
        self._circuits: dict[Key, Circuit] = {}
        self._balances: dict[str, str] = {}
        self._sharing = anyio.Lock()  # states are stored in the order of the changes, whoever has to wait for the bus
        self.on_change: list[Changed] = []  # told of what this worker changed itself
        self.listeners: list[Callable[[ProviderState], None]] = []  # told of every change, whoever made it

    def circuit(self, provider: str, model: str | None = None) -> Circuit:
        return self._circuits.get((provider, model), CLOSED)

    def adopt(self, accounts: Mapping[str, object]) -> None:
        """Providers as they are spoken to from now on. What was found out about one that has changed is void."""
        changed = {name for name, account in self.accounts.items() if accounts.get(name) != account}
        for key in [key for key in self._circuits if key[0] in changed]:
            if key[0] in accounts:
                log.info("circuit.reset", provider=key[0], model=key[1], why="its address, key or headers changed")
                self._change(key, CLOSED)
            else:
                del self._circuits[key]
        self.accounts = dict(accounts)
        self._worker.metrics.clear("circuit_state")
        for name in accounts:
            self._show(name)

    def _show(self, provider: str) -> None:
        if provider in self.accounts:
            figure = STATES.index(self.circuit(provider).state)
            self._worker.metrics.set("circuit_state", float(figure), provider)

    # -- what the calls want to know, and what they tell

    def look(self, target: Target) -> Standing:
        now = time.time()
        both = [circuits.standing(self.circuit(*key), now) for key in self._keys(target)]
        return max(both, key=_SEVERITY.index)

    def why_not(self, targets: Sequence[Target]) -> Fault:
        """What a client is told when none of its targets can be asked."""
        now = time.time()
        found = [(key[0], self.circuit(*key)) for target in targets for key in self._keys(target)]
        said = {name: circuit.why for name, circuit in found if circuit.until > now}
        retry_after_s = min((circuit.until - now for _, circuit in found if circuit.until > now), default=1.0)
        reasons = ", ".join(f"{name} ({why})" for name, why in said.items()) or "no call is left to try"
        message = f"No provider of this model can be asked now: {reasons}.{_remedies(found, now)}"
        return Fault(status=503, code="no_provider", type="server_error", message=message, retry_after_s=retry_after_s)

    def called(self, target: Target) -> None:
        now = time.time()
        for key in self._keys(target):
            self._change(key, circuits.called(self.circuit(*key), now))

    def succeeded(self, target: Target) -> None:
        """The provider answered, were it with a refusal that is the client's own affair."""
        now = time.time()
        for key in self._keys(target):
            self._change(key, circuits.succeeded(self.circuit(*key), now))

    def failed(self, target: Target, provider: Provider, judgement: Judgement, fault: Fault, our_key: bool) -> None:
        """The provider failed a call. With a client's own key, what is wrong with that key says nothing of others."""
        now = time.time()
        verdict = judgement.verdict
        key = (target.provider, target.model if verdict is Verdict.MISSING else None)
        before = self.circuit(*key)
        if verdict.counts or verdict is Verdict.MISSING or (verdict.shuts and our_key):
            self._change(key, circuits.failed(before, judgement, fault.message, now, provider.circuit))
        elif verdict is Verdict.RATE_LIMITED and our_key:
            wait_s = provider.retry.max_wait_s
            self._change(key, circuits.rested(before, judgement, fault.message, now, wait_s))
        else:
            self.succeeded(target)

    def set(self, provider: str, circuit: Circuit, balance: str | None) -> None:
        """What was found out besides calls."""
        if balance is not None:
            self._balances[provider] = balance
        self._change((provider, None), circuit, anyway=balance is not None)

    @staticmethod
    def _keys(target: Target) -> tuple[Key, Key]:
        return (target.provider, None), (target.provider, target.model)

    def _change(self, key: Key, after: Circuit, anyway: bool = False) -> None:
        before = self.circuit(*key)
        if after.state == "closed":
            self._forget_balance(key)
        if after == CLOSED:
            self._circuits.pop(key, None)
        else:
            self._circuits[key] = after
            self._forget_old()
        self._show(key[0])
        if anyway or before.state != after.state or before.until != after.until:
            self._worker.start_soon(self._publish, self._as_state(key, after))

    def _forget_balance(self, key: Key) -> None:
        """The next time that there is no money, it is another figure."""
        if key[1] is None:
            self._balances.pop(key[0], None)

    def _forget_old(self) -> None:
        """Clients may ask for any number of models that no provider has."""
        models = [key for key in self._circuits if key[1] is not None]
        for key in models[: len(models) - MOST_MODELS] if len(models) > MOST_MODELS else ():
            del self._circuits[key]

    # -- what the workers tell each other

    def _as_state(self, key: Key, circuit: Circuit) -> ProviderState:
        provider, model = key
        facts = {name: getattr(circuit, name) for name in ("state", "since", "until", "why", "message", "trips")}
        balance = None if circuit.state == "closed" else self._balances.get(provider)
        return ProviderState(
            provider=provider, model=model, worker=self._worker.instance, at=time.time(), balance=balance, **facts
        )

    async def _publish(self, state: ProviderState) -> None:
        log.info(
            f"circuit.{state.state}",
            provider=state.provider,
            model=state.model,
            why=state.why,
            until=state.until,
            balance=state.balance,
        )
        for hear in self.listeners:
            hear(state)
        async with self._sharing:
            await share(self._worker.bus, self._worker.subjects, state)
        for tell in self.on_change:
            await tell(state)

    async def follow(self) -> None:
        """Takes over what other workers find, and what was found before, for as long as it runs."""
        while True:
            try:
                bucket = await self._worker.bus.state(PROVIDERS_BUCKET)
                async with aclosing(cast("Any", bucket.watch())) as changes:
                    async for _key, data in changes:
                        self._hear(data)
            except BusUnavailable as error:
                log.warning("circuits.not_watched", error=str(error))
            await anyio.sleep(AGAIN_AFTER_S)

    def _hear(self, data: bytes) -> None:
        try:
            state = decode(ProviderState, data)
        except msgspec.DecodeError as error:
            log.warning("worker.poison", subject=PROVIDERS_BUCKET, error=str(error))
            return
        if state.worker != self._worker.instance:
            known = self.circuit(state.provider, state.model)
            if state.state == "closed":
                self._forget_balance((state.provider, state.model))
            self._circuits[state.provider, state.model] = as_circuit(state, known.failures)
            self._show(state.provider)
            for hear in self.listeners:
                hear(state)


def _remedies(found: Sequence[tuple[str, Circuit]], now: float) -> str:
    """What whoever runs Moontide can do about providers that nobody asks."""
    shut = {name: circuit.why for name, circuit in found if circuit.state == "shut" and circuit.until > now}
    return "".join(f" {remedy(name, why)}" for name, why in shut.items())


_SEVERITY = [Standing.READY, Standing.BUSY, Standing.OPEN, Standing.SHUT]


async def share(bus: Bus, subjects: Subjects, state: ProviderState) -> None:
    try:
        await bus.publish(subjects.provider_state(state.provider), encode(state))
        await (await bus.state(PROVIDERS_BUCKET)).put(state_key(state), encode(state))
    except BusUnavailable as error:
        log.warning("circuit.not_shared", provider=state.provider, error=str(error))


def as_circuit(state: ProviderState, failures: int) -> Circuit:
    if state.state == "closed":
        return CLOSED
    return Circuit(
        state=state.state,
        failures=failures,
        trips=state.trips,
        since=state.since,
        until=state.until,
        why=state.why,
        message=state.message,
    )


def state_key(state: ProviderState) -> str:
    """The key in the bucket: a model's name may hold what a key must not."""
    if state.model is None:
        return state.provider
    return f"{state.provider}.{blake2b(state.model.encode(), digest_size=8).hexdigest()}"
