"""The pipeline of today in this process, on a bus in memory: nothing leaves the machine, nothing is recorded."""

from __future__ import annotations

from collections import Counter
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import anyio
from yarl import URL

from services.cli.replaying.player import Player
from services.cli.replaying.recording import Piece, Recording
from services.ingress.main import Listening
from services.ingress.main import ingress as run_ingress
from services.normalizer.main import normalizer as run_normalizer
from services.sentinel.main import sentinel as run_sentinel
from services.upstream.main import upstream as run_upstream
from shared.bus.memory import MemoryBus, MemoryServer
from shared.config import CircuitPolicy, Ingress, Model, Provider, Retry, Settings, Sink, Target
from shared.contracts import Done, decode
from shared.records.told import Told, told
from shared.secrets import Secret, Secrets
from shared.subjects import Subjects

KEY = "env:MOONTIDE_REPLAYED_KEY"  # a reference: the player takes any key
READY_WITHIN_S = 10.0
PATIENCE_S = 60.0  # beyond what the recording takes
PATIENT = CircuitPolicy(failures=1_000_000)
NOBODY = "player"  # the provider of a recording that names none


@dataclass(frozen=True, kw_only=True)
class Played:
    """What the client got this time."""

    status: int
    content_type: str | None
    body: bytes
    was_cut: bool  # the connection broke before the answer's end
    asked: list[str]  # the providers, in the order of the calls
    first_byte_s: float | None = None
    total_s: float | None = None
    outcome: str | None = None
    repairs: dict[str, int] = field(default_factory=dict)

    @property
    def told(self) -> Told:
        return told(self.body, self.content_type)


async def play(recording: Recording, speed: float | None = None) -> Played:
    """The recording through the pipeline; `speed` 1 takes as long as it took then, None no longer than it must."""
    subjects = Subjects()
    async with AsyncExitStack() as stack:
        tasks = await stack.enter_async_context(anyio.create_task_group())
        stack.callback(tasks.cancel_scope.cancel)
        player = await stack.enter_async_context(Player(recording.calls, speed).playing())
        server = MemoryServer(subjects, tasks)
        settings = _settings(recording, player.url, hurries=speed is None)
        listening = await _services(stack, server, settings)
        answer = await _ask(listening.url, recording, _limit_s(recording, speed))
        await listening.worker.bus.flush()
        done = await _done(server, subjects)
        return Played(
            **answer,
            asked=player.asked,
            first_byte_s=done.first_byte_s if done else None,
            total_s=done.total_s if done else None,
            outcome=done.outcome if done else None,
            repairs=done.repairs if done else {},
        )


async def _services(stack: AsyncExitStack, server: MemoryServer, settings: Settings) -> Listening:
    secrets = Secrets({KEY: Secret("replayed")})
    listening = await stack.enter_async_context(run_ingress(MemoryBus(server), settings, None, tell=_say_nothing))
    await stack.enter_async_context(run_upstream(MemoryBus(server), settings, secrets))
    await stack.enter_async_context(run_normalizer(MemoryBus(server), settings))
    if any(model.repeat.is_on for model in settings.models.values()):
        await stack.enter_async_context(run_sentinel(MemoryBus(server), settings))
    with anyio.fail_after(READY_WITHIN_S):
        while listening.missing():  # noqa: ASYNC110 - what changes it are heartbeats
            await anyio.sleep(0.005)
    return listening


def _say_nothing(*_: object) -> None:
    """The account of a request that is played is nobody's business."""


def _settings(recording: Recording, url: str, hurries: bool) -> Settings:
    """As many calls as were recorded, to whom they were made, and no limits."""
    made = Counter(call.provider or NOBODY for call in recording.calls)
    pause = {"base_s": 0.0, "cap_s": 0.0} if hurries else {}
    providers = {}
    for name, count in made.items():
        spoken = recording.providers.get(name)
        providers[name] = Provider(
            kind=spoken.kind if spoken else "openai",
            continues=spoken.continues if spoken else None,
            version=spoken.version if spoken else "2023-06-01",
            base_url=f"{url}/{name}/v1",
            api_key=KEY,
            retry=Retry(attempts=count, budget=1.0, **pause),
            circuit=PATIENT,
        )
    return Settings(
        records=(Sink(url="sqlite:////nowhere"),),  # nobody records
        ingress=Ingress(port=0, force_stream=recording.force_stream, drain_s=1.0),
        providers=providers,
        models={recording.model.name or "*": _model(recording)},
    )


def _model(recording: Recording) -> Model:
    treated = recording.model
    places = dict.fromkeys((call.provider or NOBODY, call.model) for call in recording.calls)
    targets = tuple(
        Target(provider=provider, model=model, tier=tier) for tier, (provider, model) in enumerate(places, start=1)
    )
    return Model(
        targets=targets,
        repair=treated.repair,
        repeat=treated.repeat,
        defaults=treated.defaults,
        force=treated.force,
        drop=tuple(treated.drop),
    )


async def _ask(url: str, recording: Recording, limit_s: float) -> dict[str, Any]:
    asked = recording.asked
    body, was_cut = bytearray(), False
    timeout = aiohttp.ClientTimeout(total=limit_s)
    skipped = ("User-Agent", "Accept", "Content-Type")
    async with (
        aiohttp.ClientSession(timeout=timeout, skip_auto_headers=skipped, auto_decompress=False) as session,
        session.request(
            asked.method,
            URL(url + asked.path, encoded=True),
            data=asked.body.bytes or None,
            headers=asked.headers,
            allow_redirects=False,
        ) as response,
    ):
        try:
            async for piece in response.content.iter_any():
                body += piece
        except aiohttp.ClientPayloadError:
            was_cut = True
        content_type = response.headers.get("Content-Type")
        return {"status": response.status, "content_type": content_type, "body": bytes(body), "was_cut": was_cut}


async def _done(server: MemoryServer, subjects: Subjects) -> Done | None:
    """The exchange's final account; it comes right behind the answer."""
    with anyio.move_on_after(1.0):
        while True:
            for captured in reversed(server.captured):
                if subjects.below_request(captured.subject)[1:] == ["done"]:
                    return decode(Done, captured.data)
            await server.grown.wait()
    return None


def _limit_s(recording: Recording, speed: float | None) -> float:
    """What the recording takes, and patience."""
    if speed is None:
        return PATIENCE_S
    return PATIENCE_S + sum(call.first_byte_s + _length_s(call.pieces) for call in recording.calls) / speed


def _length_s(pieces: list[Piece]) -> float:
    return max((piece.at_us for piece in pieces), default=0) / 1e6
