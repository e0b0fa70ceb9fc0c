"""Workers killed in the middle of a stream, one at a time, each at a place that the test has chosen."""

from __future__ import annotations

import signal
import time
from pathlib import Path
from typing import Any

import aiohttp
import anyio
import pytest

from shared.contracts import Cancel, EnsureToolCall, Head, decode
from tests.fixtures.assembled import PATIENCE_S, Shape, events
from tests.fixtures.fleet import TAKEN_OVER, Fleet, fleet
from tests.fixtures.turns import WEATHER

pytestmark = [pytest.mark.backend, pytest.mark.once]

MODEL = "sim/reasoning+hold?thoughts=8&chunks=40&after=24"
TAKEN_OVER_WITHIN_S = 2.0  # what the design aims at
IN_FRONT = Shape(normalizers=0, repair=True, has_key=False)


async def read_events(response: aiohttp.ClientResponse, count: int) -> bytes:
    data = b""
    with anyio.fail_after(PATIENCE_S):
        while data.count(b"\n\n") < count:
            data += await response.content.readany()
    return data


async def rest_of(response: aiohttp.ClientResponse) -> bytes:
    with anyio.fail_after(3 * PATIENCE_S):
        return await response.read()


def id_of(response: aiohttp.ClientResponse) -> str:
    return response.headers["X-Moontide-Request-Id"]


async def undisturbed(them: Fleet, model: str, **more: Any) -> bytes:
    """The same answer when nobody dies; the gate that held the first one is open by now."""
    return (await them.it.answer(model, **more))[1]


async def test_a_killed_normalizer_costs_the_client_nothing(nats_url: str, bus_root: str, tmp_path: Path) -> None:
    async with fleet(nats_url, bus_root, tmp_path, IN_FRONT, "normalizer", "normalizer") as them:
        async with them.it.ask(MODEL) as response:
            early = await read_events(response, 20)
            killed_at = time.time()
            await them.kill(await them.holder())
            event = (await them.events(id_of(response), TAKEN_OVER))[0]
            them.it.release()
            rest = await rest_of(response)
        done = (await them.it.dones())[0]

        assert early + rest == await undisturbed(them, MODEL)
    assert event.at - killed_at < TAKEN_OVER_WITHIN_S
    assert (event.facts["stage"], done.outcome) == ("normalize", "complete")


async def test_a_second_death_is_taken_over_as_well(nats_url: str, bus_root: str, tmp_path: Path) -> None:
    async with fleet(nats_url, bus_root, tmp_path, IN_FRONT, *["normalizer"] * 3) as them:
        async with them.it.ask(MODEL) as response:
            early = await read_events(response, 20)
            for count in (1, 2):
                await them.kill(await them.holder())
                await them.events(id_of(response), TAKEN_OVER, count)
            them.it.release()
            rest = await rest_of(response)

        assert early + rest == await undisturbed(them, MODEL)


async def test_a_plain_answer_survives_its_normalizer(nats_url: str, bus_root: str, tmp_path: Path) -> None:
    model = "sim/k2-markers+held-first-byte"
    got: list[tuple[int, bytes]] = []

    async def ask(them: Fleet) -> None:
        got.append(await them.it.answer(model, stream=False))

    async with fleet(nats_url, bus_root, tmp_path, IN_FRONT, "normalizer", "normalizer") as them:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(ask, them)
            await them.it.until_held()
            await them.kill(await them.holder())
            await them.events("*", TAKEN_OVER)
            them.it.release()
        again = await them.it.answer(model, stream=False)
        asked = len(them.it.asked)

    assert got == [again]
    assert asked == 2  # the provider was not asked a second time


async def test_with_all_normalizers_gone_the_client_gets_an_error_in_time(
    nats_url: str, bus_root: str, tmp_path: Path
) -> None:
    shape = Shape(normalizers=0, repair=True, has_key=False, ingress={"queue_timeout_s": 0.5})
    async with fleet(nats_url, bus_root, tmp_path, shape, "normalizer") as them, them.it.ask(MODEL) as response:
        await read_events(response, 20)
        killed_at = time.monotonic()
        await them.kill(await them.holder())
        rest = await rest_of(response)
        took_s = time.monotonic() - killed_at
        await them.it.until(lambda: them.it.asked[0].outcome != "open")
        done = (await them.it.dones())[0]

    assert [one["error"]["code"] for one in events(rest)] == ["no_capacity"]
    assert took_s < TAKEN_OVER_WITHIN_S + 0.5
    assert done.outcome == "lost"
    assert them.it.asked[0].outcome == "disconnected"  # nobody works on for nobody


async def test_a_worker_that_is_stuck_is_replaced_and_not_heard_when_it_wakes(
    nats_url: str, bus_root: str, tmp_path: Path
) -> None:
    async with fleet(nats_url, bus_root, tmp_path, IN_FRONT, *["normalizer"] * 4) as them:  # it is offered jobs, too
        async with them.it.ask(MODEL) as response:
            early = await read_events(response, 20)
            stuck = await them.holder()
            await them.kill(stuck, signal.SIGSTOP)
            await them.events(id_of(response), TAKEN_OVER)
            await them.kill(stuck, signal.SIGCONT)
            them.it.release()
            rest = await rest_of(response)

        assert early + rest == await undisturbed(them, MODEL)


async def test_a_client_that_leaves_during_a_takeover_cancels_the_provider(
    nats_url: str, bus_root: str, tmp_path: Path
) -> None:
    async with fleet(nats_url, bus_root, tmp_path, IN_FRONT, "normalizer", "normalizer") as them:
        response = await them.it.ask(MODEL)
        await read_events(response, 20)
        await them.kill(await them.holder())
        response.close()
        await them.it.until(lambda: them.it.asked[0].outcome != "open")
        done = (await them.it.dones())[0]

    assert (them.it.asked[0].outcome, done.outcome) == ("disconnected", "cancelled")


# -- an enforcer

FORGETFUL = "sim/forgetful?thoughts=25&delay_ms=30"


@pytest.mark.parametrize("attempt", [1, 2])
async def test_a_killed_enforcer_costs_the_client_nothing(
    nats_url: str, bus_root: str, tmp_path: Path, attempt: int
) -> None:
    shape = Shape(repair=True, has_key=False, model={"ensure_tool_call": EnsureToolCall()})
    async with fleet(nats_url, bus_root, tmp_path, shape, "enforcer", "enforcer") as them:
        async with them.it.ask(FORGETFUL, tools=[WEATHER]) as response:
            early = await read_events(response, 10)
            if attempt == 2:
                await them.events(id_of(response), "re-prompted")
                early += await read_events(response, 5)
            await them.kill(await them.holder())
            rest = await rest_of(response)
        await them.events(id_of(response), TAKEN_OVER)
        told = await them.events(id_of(response), "re-prompted")
        asked = len(them.it.asked)

        assert early + rest == await undisturbed(them, FORGETFUL, tools=[WEATHER])
    assert b"get_weather" in rest
    assert (len(told), asked) == (1, 2)  # nothing was told or asked a second time


# -- an upstream worker


async def kill_upstream(them: Fleet) -> None:
    """The process that calls the provider; the normalizer runs beside the ingress."""
    normalizer = next(worker for worker in them.it.workers if worker.identity.service == "normalizer")
    producer = normalizer.inbox.courses()[0].producer
    assert producer is not None
    await them.kill(them.pid_of(producer))


BEHIND = Shape(upstreams=0, repair=True, has_key=False)


@pytest.mark.parametrize("continues", [True, False])
async def test_a_killed_upstream_worker_is_as_a_provider_that_breaks(
    nats_url: str, bus_root: str, tmp_path: Path, continues: bool
) -> None:
    async with fleet(nats_url, bus_root, tmp_path, BEHIND, *["upstream"] * 2) as them:
        provider = {"kind": "openai", "base_url": them.it.sim.base_url, "continues": continues}
        them.settings["providers"] = {"sim": provider}
        for pid in them.pids("upstream"):
            await them.kill(pid)
        await them.start("upstream", "upstream")
        async with them.it.ask(MODEL) as response:
            early = await read_events(response, 20)
            killed_at = time.time()
            await kill_upstream(them)
            event = (await them.events(id_of(response), TAKEN_OVER))[0]
            them.it.release()
            rest = await rest_of(response)
        done = (await them.it.dones())[0]
        whole = await undisturbed(them, MODEL)

    assert event.at - killed_at < TAKEN_OVER_WITHIN_S
    assert event.facts["stage"] == "upstream"
    if continues:
        assert said(early + rest) == said(whole)
        assert (done.outcome, done.calls) == ("complete", 2)
    else:
        assert [one["error"]["code"] for one in events(rest) if "error" in one] == ["worker_lost"]
        assert said(whole).startswith(said(early + rest))
        assert done.outcome == "lost"


async def test_an_upstream_worker_killed_before_the_first_byte_is_asked_for_elsewhere(
    nats_url: str, bus_root: str, tmp_path: Path
) -> None:
    model = "sim/text+held-first-byte"
    got: list[tuple[int, bytes]] = []

    async def ask(them: Fleet) -> None:
        got.append(await them.it.answer(model))

    async with fleet(nats_url, bus_root, tmp_path, BEHIND, "upstream", "upstream") as them:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(ask, them)
            await them.it.until_held()
            await kill_upstream(them)
            await them.events("*", TAKEN_OVER)
            them.it.release()
        exchange = (await them.it.dones())[0]
        again = await them.it.answer(model)

    assert got == [again]
    assert (exchange.outcome, exchange.calls) == ("complete", 2)


async def test_both_workers_of_a_stream_killed_at_once_are_taken_over(
    nats_url: str, bus_root: str, tmp_path: Path
) -> None:
    shape = Shape(upstreams=0, normalizers=0, repair=True, has_key=False)
    async with fleet(nats_url, bus_root, tmp_path, shape, *["normalizer", "upstream"] * 2) as them:
        them.settings["providers"] = {"sim": {"kind": "openai", "base_url": them.it.sim.base_url, "continues": True}}
        for pid in [*them.pids("upstream")]:
            await them.kill(pid)
        await them.start("upstream", "upstream")
        async with them.it.ask(MODEL) as response:
            early = await read_events(response, 20)
            head = (await them.it.bus.history(f"{them.it.subjects.root}.req.*.c1.raw.*.head"))[0]
            await them.kill(them.pid_of(decode(Head, head.data).worker))
            await them.kill(await them.holder())
            await them.events(id_of(response), TAKEN_OVER, 2)
            them.it.release()
            rest = await rest_of(response)
        whole = await undisturbed(them, MODEL)

    assert said(early + rest) == said(whole)


# -- the ingress


async def test_a_killed_ingress_leaves_no_call_behind(nats_url: str, bus_root: str, tmp_path: Path) -> None:
    shape = Shape(repair=True, has_key=False)
    async with fleet(nats_url, bus_root, tmp_path, shape, "ingress", ingress={"port": 0}) as them:
        url = await them.url_of("ingress")
        async with them.it.client.post(f"{url}/v1/chat/completions", json=them.it.body(MODEL)) as response:
            await read_events(response, 20)
            await them.kill(them.pids("ingress")[0])
        await them.it.until(lambda: them.it.asked[0].outcome != "open")
        cancels = await them.it.bus.history(them.it.subjects.cancel(id_of(response)))

    assert them.it.asked[0].outcome == "disconnected"
    assert "nobody waits" in decode(Cancel, cancels[0].data).why


def said(stream: bytes) -> str:
    chunks = [one for one in events(stream) if isinstance(one, dict) and one.get("choices")]
    deltas = [chunk["choices"][0]["delta"] for chunk in chunks]
    return "".join((delta.get("reasoning_content") or "") + (delta.get("content") or "") for delta in deltas)
