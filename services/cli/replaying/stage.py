"""The pipeline of today in this process, on a bus in memory: nothing leaves the machine, nothing is recorded."""

from __future__ import annotations

from collections import Counter
from contextlib import AsyncExitStack
from dataclasses import dataclass, field

import aiohttp
import anyio
from yarl import URL

from services.cli.replaying.earlier import Remembered
from services.cli.replaying.player import Player
from services.cli.replaying.recording import Piece, Recording
from services.ingress.main import Listening
from services.ingress.main import ingress as run_ingress
from services.normalizer.main import normalizer as run_normalizer
from services.sentinel.main import sentinel as run_sentinel
from services.upstream.main import upstream as run_upstream
from shared.bus.memory import MemoryBus, MemoryServer
from shared.config import CircuitPolicy, Ingress, Model, Provider, Retry, Settings, Sink, Target
from shared.contracts import Done, Timeouts, decode
from shared.records.told import Told, told
from shared.secrets import Secret, Secrets
from shared.subjects import Subjects

KEY = "env:MOONTIDE_REPLAYED_KEY"  # a reference: the player takes any key
READY_WITHIN_S = 10.0
PATIENCE_S = 60.0  # beyond what the recording takes
HURRIED_S = 1.0  # until a provider that says nothing more is given up, when there is no waiting
LINGERS_S = 0.3  # until a client leaves that left then: what was said comes through meanwhile
LEFT = 499  # the status of an exchange whose client left before it got any
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
        settings = _settings(recording, player.url, speed)
        await Remembered(MemoryBus(server), recording.earlier).listen(subjects)
        listening = await _services(stack, server, settings)
        answer = await _ask(listening.url, recording, player, _limit_s(recording, speed))
        await listening.worker.bus.flush()
        done = await _done(server, subjects)
        return Played(
            status=answer.status,
            content_type=answer.content_type,
            body=bytes(answer.body),
            was_cut=answer.was_cut,
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


def _settings(recording: Recording, url: str, speed: float | None) -> Settings:
    """As many calls as were recorded, to whom they were made, and no limits."""
    made = Counter(call.provider or NOBODY for call in recording.calls)
    pause = {"base_s": 0.0, "cap_s": 0.0} if speed is None else {}
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
            timeouts=_timeouts(recording, name, speed),
        )
    return Settings(
        records=(Sink(url="sqlite:////nowhere"),),  # nobody records
        ingress=Ingress(port=0, force_stream=recording.force_stream, drain_s=1.0),
        providers=providers,
        models={recording.model.name or "*": _model(recording)},
    )


def _timeouts(recording: Recording, name: str, speed: float | None) -> Timeouts:
    """Where a provider fell silent: today's at the recording's speed, or no longer than it takes to tell."""
    spoken = recording.providers.get(name)
    given = spoken.timeouts if spoken else Timeouts()
    silent = [call for call in recording.calls if call.ending == "silent" and (call.provider or NOBODY) == name]
    if not silent:
        return Timeouts()
    if speed is None and any(call.ran_out for call in silent):
        return Timeouts(total_s=HURRIED_S)
    if speed is None:
        return Timeouts(first_byte_s=HURRIED_S, idle_s=HURRIED_S)
    return Timeouts(first_byte_s=given.first_byte_s / speed, idle_s=given.idle_s / speed, total_s=given.total_s / speed)


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


@dataclass
class _Answer:
    """What has come so far."""

    status: int = LEFT
    content_type: str | None = None
    body: bytearray = field(default_factory=bytearray)
    was_cut: bool = False


async def _ask(url: str, recording: Recording, player: Player, limit_s: float) -> _Answer:
    """As the client did, who leaves where that one left."""
    answer = _Answer()
    async with anyio.create_task_group() as tasks:
        if recording.left:
            tasks.start_soon(_leave, player, tasks.cancel_scope)
        await _listen(url, recording, answer, limit_s)
        tasks.cancel_scope.cancel()
    return answer


async def _leave(player: Player, asking: anyio.CancelScope) -> None:
    await player.spent.wait()
    await anyio.sleep(LINGERS_S)
    asking.cancel()


async def _listen(url: str, recording: Recording, answer: _Answer, limit_s: float) -> None:
    asked = recording.asked
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
        answer.status, answer.content_type = response.status, response.headers.get("Content-Type")
        try:
            async for piece in response.content.iter_any():
                answer.body += piece
        except aiohttp.ClientPayloadError:
            answer.was_cut = True


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
    silent = [call.provider for call in recording.calls if call.ending == "silent"]
    quiet_s = sum(one.first_byte_s + one.idle_s for one in (_timeouts(recording, name or NOBODY, 1) for name in silent))
    spoken_s = sum(call.first_byte_s + _length_s(call.pieces) for call in recording.calls)
    return PATIENCE_S + (spoken_s + quiet_s) / speed


def _length_s(pieces: list[Piece]) -> float:
    return max((piece.at_us for piece in pieces), default=0) / 1e6
