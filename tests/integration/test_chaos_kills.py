"""Workers killed at random, again and again: every client gets exactly the bytes that it would have got.

    CHAOS_KILLS=200 .venv/bin/python -m pytest -s tests/integration/test_chaos_kills.py

Without the variable there are fewer kills, so that every test run can afford it.
"""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from random import Random

import anyio
import pytest

from services.recorder.main import recorder
from shared.bus.nats import NatsBus
from shared.config import Settings, Sink
from shared.config.settings import Bus
from shared.records.blobs import unpack
from tests.fixtures.assembled import Shape, events, pipeline
from tests.fixtures.embedded import NatsServer
from tests.fixtures.fleet import TAKEN_OVER, Fleet, fleet
from tests.fixtures.recording import Rows, rows, url_in

pytestmark = [pytest.mark.backend, pytest.mark.once]

KILLS = int(os.environ.get("CHAOS_KILLS", "6"))
NORMALIZERS = 4
AT_ONCE = 16  # streams
PAUSE_S = 0.8  # at most, between two kills
PATIENCE_S = 60.0
MODELS = [
    "sim/reasoning?thoughts=20&chunks=60&delay_ms=15",
    "sim/k2-markers?split=chars&calls=2&delay_ms=4",
    "sim/text+torn?chunks=20&largest=90&delay_ms=10",
    "sim/leaked-think?form=after_text&delay_ms=30",
    "sim/broken-arguments?fault=large&delay_ms=10",
    "sim/text+comments+crlf?chunks=90&delay_ms=15",
]


@dataclass
class Seen:
    """What the clients saw."""

    fine: int = 0
    wrong: list[str] = field(default_factory=list)
    bodies: dict[str, bytes] = field(default_factory=dict)  # by request
    slowest_s: float = 0.0


class Clients:
    """They ask one request after the other until they are told to stop."""

    def __init__(self, them: Fleet, expected: dict[str, bytes]) -> None:
        self._them = them
        self._expected = expected
        self._numbers: Iterator[int] = count()
        self.is_over = False
        self.seen = Seen()

    async def one(self) -> None:
        while not self.is_over:
            model = MODELS[next(self._numbers) % len(MODELS)]
            began = time.monotonic()
            with anyio.fail_after(PATIENCE_S):
                async with self._them.it.ask(model) as response:
                    body = await response.read()
            self.seen.slowest_s = max(self.seen.slowest_s, time.monotonic() - began)
            id = response.headers["X-Moontide-Request-Id"]
            self.seen.bodies[id] = body
            if body == self._expected[model]:
                self.seen.fine += 1
            else:
                self.seen.wrong.append(f"{id} {model}: {body[-300:]!r}")


async def kill_again_and_again(them: Fleet, chance: Random, *services: str) -> None:
    """One of each service in turn, at random moments."""
    for number in range(KILLS):
        service = services[number % len(services)]
        await anyio.sleep(chance.uniform(0, PAUSE_S))
        await them.kill(chance.choice(them.pids(service)))
        await them.start(service)


async def test_normalizers_killed_at_random_cost_no_client_a_byte(
    nats_url: str, bus_root: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    shape = Shape(normalizers=0, repair=True, has_key=False, ingress={"queue_timeout_s": 20.0})
    async with fleet(nats_url, bus_root, tmp_path, shape, *["normalizer"] * NORMALIZERS) as them:
        expected = {model: (await them.it.answer(model))[1] for model in MODELS}
        clients = Clients(them, expected)
        began = time.monotonic()
        async with anyio.create_task_group() as tasks:
            for _ in range(AT_ONCE):
                tasks.start_soon(clients.one)
            await kill_again_and_again(them, Random(11), "normalizer")
            clients.is_over = True
        took_s = time.monotonic() - began
        asked = len(them.it.asked)
        found = await recorded(them.it.bus, bus_root, url_in(tmp_path))

    seen, told = clients.seen, Counter(row["name"] for row in found["events"])
    capfd.readouterr()
    with capfd.disabled():
        print(
            f"\nchaos: {KILLS} normalizers killed in {took_s:.1f} s, {told[TAKEN_OVER]} streams taken over;"
            f" {seen.fine} clients got every byte, {len(seen.wrong)} didn't; the slowest stream took"
            f" {seen.slowest_s:.1f} s"
        )
    assert seen.wrong == []
    assert told[TAKEN_OVER] >= KILLS
    assert asked <= len(seen.bodies) + len(MODELS) + told[TAKEN_OVER]
    assert {row["id"]: row["outcome"] for row in found["exchanges"] if row["id"] in seen.bodies} == dict.fromkeys(
        seen.bodies, "complete"
    )
    assert normal_bytes(found, seen.bodies) == seen.bodies
    assert told["stray"] == 0


TEXTS = ["sim/reasoning?thoughts=20&chunks=60&delay_ms=15", "sim/text?chunks=90&delay_ms=15"]


async def test_workers_of_every_kind_killed_at_random_cost_no_client_a_word(
    nats_url: str, bus_root: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Behind a provider that continues a prefix: the words are the same, the bytes around them are two calls'."""
    shape = Shape(normalizers=0, upstreams=0, repair=True, has_key=False, ingress={"queue_timeout_s": 20.0})
    async with fleet(nats_url, bus_root, tmp_path, shape) as them:
        provider = {"kind": "openai", "base_url": them.it.sim.base_url, "continues": True}
        them.settings["providers"] = {"sim": provider}
        await them.start(*["normalizer", "upstream"] * 3)
        expected = {model: words((await them.it.answer(model))[1]) for model in TEXTS}
        got: list[tuple[str, bytes]] = []
        is_over = anyio.Event()

        async def client(number: int) -> None:
            model = TEXTS[number % len(TEXTS)]
            while not is_over.is_set():
                got.append((model, (await them.it.answer(model))[1]))

        async with anyio.create_task_group() as tasks:
            for number in range(AT_ONCE):
                tasks.start_soon(client, number)
            await kill_again_and_again(them, Random(12), "normalizer", "upstream")
            is_over.set()
        taken_over = await them.events("*", TAKEN_OVER)

    wrong = [body[-400:] for model, body in got if words(body) != expected[model]]
    stages = Counter(event.facts["stage"] for event in taken_over)
    capfd.readouterr()
    with capfd.disabled():
        print(
            f"\nchaos: {KILLS} workers killed, taken over: {dict(stages)};"
            f" {len(got) - len(wrong)} clients got every word, {len(wrong)} didn't"
        )
    assert wrong == []
    assert stages["upstream"] > 0
    assert stages["normalize"] > 0


async def test_nats_killed_again_and_again_costs_no_client_a_byte(own_nats: NatsServer) -> None:
    async with pipeline(own_nats.url, "chaos", Shape(repair=True)) as it:
        model = TEXTS[0].replace("delay_ms=15", "delay_ms=5").replace("chunks=60", "chunks=300")
        expected = (await it.answer(model))[1]
        got: list[bytes] = []

        async def client() -> None:
            got.append((await it.answer(model))[1])

        for _ in range(max(3, KILLS // 4)):
            async with anyio.create_task_group() as tasks:
                for _ in range(AT_ONCE):
                    tasks.start_soon(client)
                await anyio.sleep(0.7)
                await anyio.to_thread.run_sync(own_nats.kill)
                await anyio.to_thread.run_sync(own_nats.start)

    assert [body[-300:] for body in got if body != expected] == []


def words(stream: bytes) -> tuple[str, str]:
    """Reasoning and content; with the error, where there is one."""
    chunks = [one for one in events(stream) if isinstance(one, dict)]
    deltas = [chunk["choices"][0]["delta"] for chunk in chunks if chunk.get("choices")]
    errors = "".join(str(chunk["error"]) for chunk in chunks if chunk.get("error"))
    reasoning = "".join(delta.get("reasoning_content") or "" for delta in deltas)
    return reasoning, "".join(delta.get("content") or "" for delta in deltas) + errors


async def recorded(bus: NatsBus, root: str, url: str) -> Rows:
    """Everything in the capture stream, as a recorder writes it."""
    async with recorder(bus, Settings(bus=Bus(root=root), records=(Sink(url=url),))):
        pass
    return rows(url)


def normal_bytes(found: Rows, ids: dict[str, bytes]) -> dict[str, bytes]:
    """What the record says that the clients got."""
    kept = (row for row in found["bodies"] if row["part"] == "c1.normal" and row["exchange_id"] in ids)
    return {row["exchange_id"]: unpack(row["data"]) for row in kept}
