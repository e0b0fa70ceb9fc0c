"""Sentinels that die in the middle of what they watch: the loop is still cut, and no healthy answer is harmed."""

from __future__ import annotations

import os
import signal
import time
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from random import Random
from typing import Any

import anyio
import pytest

from shared.contracts import Event, RepeatSettings
from tests.fixtures.assembled import Shape, events
from tests.fixtures.fleet import TAKEN_OVER, Fleet, fleet

pytestmark = [pytest.mark.backend, pytest.mark.once]

KILLS = int(os.environ.get("CHAOS_KILLS", "4"))
PATIENCE_S = 60.0
TAKEN_OVER_WITHIN_S = 2.0
LENGTH = 40_000  # of a loop that nobody cuts
HEALTHY = 200  # characters before the loop
FOUND = 600  # characters of it in which it is found
LATE = 1_200  # until the provider's connection is closed, on a busy machine
HELD = f"sim/loop+hold?length={LENGTH}&after=70&delay_ms=1"  # in the middle of those 600
LOOP = f"sim/loop?length={LENGTH}&delay_ms=6"


def watched(action: Any = "stop") -> Shape:
    return Shape(repair=True, has_key=False, model={"repeat": RepeatSettings(action=action)})


def on_duty(them: Fleet) -> int | None:
    """The process that watches the one answer; None while it is offered."""
    sentries = list(them.it.listening.worker.sentries.on_duty)
    return them.pid_of(sentries[0]) if sentries else None


async def kill_on_duty(them: Fleet, sig: signal.Signals = signal.SIGKILL) -> None:
    with anyio.fail_after(PATIENCE_S):
        while (pid := on_duty(them)) is None or pid not in them.pids("sentinel"):  # noqa: ASYNC110 - nobody tells of it
            await anyio.sleep(0.01)
    await them.kill(pid, sig)


def said(body: bytes) -> str:
    return "".join(choice["delta"].get("content") or "" for choice in choices(body))


def reasons(body: bytes) -> list[str]:
    return [choice["finish_reason"] for choice in choices(body) if choice.get("finish_reason")]


def choices(body: bytes) -> list[dict[str, Any]]:
    return [choice for one in events(body) if isinstance(one, dict) for choice in one.get("choices", ())]


@dataclass
class Asked:
    body: bytes = b""
    told: list[Event] = field(default_factory=list)  # taken-over
    found: list[Event] = field(default_factory=list)


async def held_answer(them: Fleet, meanwhile: Any, took_over: int = 1) -> Asked:
    """A loop in whose middle the provider waits until `meanwhile` is over and the watch was taken over."""
    asked = Asked()
    async with them.it.ask(HELD) as response:
        id = response.headers["X-Moontide-Request-Id"]
        await them.it.until_held()
        await meanwhile()
        asked.told = await them.events(id, TAKEN_OVER, took_over) if took_over else []
        them.it.release()
        with anyio.fail_after(PATIENCE_S):
            asked.body = await response.read()
    asked.found = await them.events(id, "loop-found")
    return asked


def was_cut_as_ever(asked: Asked) -> None:
    assert reasons(asked.body) == ["repeat"]
    assert len(said(asked.body)) < HEALTHY + FOUND + LATE
    assert [event.facts["start"] <= HEALTHY for event in asked.found] == [True]  # what the dead one had heard counts


async def test_what_a_killed_sentinel_watched_is_watched_on(nats_url: str, bus_root: str, tmp_path: Path) -> None:
    killed_at: list[float] = []
    async with fleet(nats_url, bus_root, tmp_path, watched(), "sentinel", "sentinel") as them:

        async def kill() -> None:
            killed_at.append(time.time())
            await kill_on_duty(them)

        asked = await held_answer(them, kill)

    was_cut_as_ever(asked)
    assert [event.facts["stage"] for event in asked.told] == ["watch"]
    assert asked.told[0].facts["to"] == asked.found[0].worker
    assert asked.told[0].at - killed_at[0] < TAKEN_OVER_WITHIN_S


async def test_a_second_death_is_taken_over_as_well(nats_url: str, bus_root: str, tmp_path: Path) -> None:
    async with fleet(nats_url, bus_root, tmp_path, watched(), *["sentinel"] * 3) as them:

        async def kill_twice() -> None:
            await kill_on_duty(them)
            await kill_on_duty(them)

        asked = await held_answer(them, kill_twice, took_over=2)

    was_cut_as_ever(asked)


async def test_one_that_drains_hands_over_what_it_cannot_finish(nats_url: str, bus_root: str, tmp_path: Path) -> None:
    them_all = fleet(nats_url, bus_root, tmp_path, watched(), "sentinel", "sentinel", sentinel={"drain_s": 0.1})
    async with them_all as them:

        async def terminate() -> None:
            await kill_on_duty(them, signal.SIGTERM)

        asked = await held_answer(them, terminate)

    was_cut_as_ever(asked)


async def test_one_that_comes_late_knows_all_that_was_said(nats_url: str, bus_root: str, tmp_path: Path) -> None:
    async with fleet(nats_url, bus_root, tmp_path, watched()) as them:

        async def start() -> None:
            await them.start("sentinel")
            with anyio.fail_after(PATIENCE_S):
                while not them.it.listening.worker.sentries.on_duty:  # noqa: ASYNC110 - nobody tells of it
                    await anyio.sleep(0.01)

        asked = await held_answer(them, start, took_over=0)

    was_cut_as_ever(asked)


async def test_what_the_dead_one_has_told_is_not_told_again(nats_url: str, bus_root: str, tmp_path: Path) -> None:
    model = "sim/loop+hold?length=2000&after=250"  # past the place where the loop is found
    async with fleet(nats_url, bus_root, tmp_path, watched("warn"), "sentinel", "sentinel") as them:
        async with them.it.ask(model) as response:
            id = response.headers["X-Moontide-Request-Id"]
            await them.it.until_held()
            (first,) = await them.events(id, "loop-found")
            await kill_on_duty(them)
            await them.events(id, TAKEN_OVER)
            them.it.release()
            body = await response.read()
        await them.it.dones()
        told = await them.events(id, "loop-found")

    assert reasons(body) == ["length"]
    assert told == [first]


async def test_sentinels_killed_at_random_harm_nobody(
    nats_url: str, bus_root: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """CHAOS_KILLS=60 .venv/bin/python -m pytest -s tests/integration/test_sentinel_takeover.py"""
    models = (LOOP, "sim/text?chunks=90&delay_ms=15", f"{LOOP}&kind=counter", "sim/reasoning?chunks=60&delay_ms=15")
    numbers, is_over = count(), anyio.Event()
    loops: list[bytes] = []
    healthy: list[tuple[str, bytes]] = []
    async with fleet(nats_url, bus_root, tmp_path, watched(), *["sentinel"] * 3) as them:
        expected = {model: (await them.it.answer(model))[1] for model in models[1::2]}

        async def client() -> None:
            while not is_over.is_set():
                model = models[next(numbers) % len(models)]
                body = (await them.it.answer(model))[1]
                healthy.append((model, body)) if model in expected else loops.append(body)

        chance = Random(5)
        async with anyio.create_task_group() as tasks:
            for _ in range(8):
                tasks.start_soon(client)
            for _ in range(KILLS):
                await anyio.sleep(chance.uniform(0.2, 1.0))
                await them.kill(chance.choice(them.pids("sentinel")))
                await them.start("sentinel")
            is_over.set()
        taken_over = await them.events("*", TAKEN_OVER)

    longest = max(len(said(body)) for body in loops)
    capfd.readouterr()
    with capfd.disabled():
        print(
            f"\nchaos: {KILLS} sentinels killed, {len(taken_over)} watches taken over; all of {len(loops)} loops cut,"
            f" the longest after {longest:,} of {LENGTH:,} characters; {len(healthy)} healthy answers unharmed"
        )
    assert [reasons(body) for body in loops] == [["repeat"]] * len(loops)
    assert longest < LENGTH / 4
    assert all(body == expected[model] for model, body in healthy)
