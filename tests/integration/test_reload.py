"""New settings under load: nobody notices, and what was found out about a provider stays true of it."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest
from aiohttp import web
from structlog.testing import capture_logs

from shared.contracts import ProviderState, decode
from shared.subjects import PROVIDERS_BUCKET
from tests.fixtures.pipeline import PATIENCE_S, Pipeline, pipeline, providers, received, simulators, targets

pytestmark = pytest.mark.backend

FINE = "sim/text?chunks=3"
REQUESTS = int(os.environ.get("RELOAD_REQUESTS", "2000"))
AT_ONCE = 40


async def state_of(running: Pipeline, name: str) -> ProviderState | None:
    data = await (await running.bus.state(PROVIDERS_BUCKET)).get(name)
    return decode(ProviderState, data) if data else None


async def until_state(running: Pipeline, name: str, wanted: str) -> None:
    with anyio.fail_after(PATIENCE_S):
        while (state := await state_of(running, name)) is None or state.state != wanted:  # noqa: ASYNC110 - the bus is asked
            await anyio.sleep(0.01)


async def test_thousands_of_requests_across_reloads_and_not_one_fails(nats_url: str, bus_root: str) -> None:
    seen: Counter[tuple[int, bool]] = Counter()
    left = iter(range(REQUESTS))

    async def client(it: Pipeline) -> None:
        for number in left:
            answer = await it.ask("kimi" if number % 3 else f"new-{number}", stream=bool(number % 2))
            seen[answer.status, answer.error is None and bool(answer.text())] += 1

    async with simulators(3) as three:
        both = {"providers": providers(three)}
        wide = {**both, "models": {"kimi": {"targets": targets(FINE, FINE)}, "new-*": {"targets": targets(FINE)}}}
        other = providers([three[2]])
        gone = {  # the providers are others, under other names; and the models that clients just asked for
            "providers": {"p9": other["p1"]},
            "models": {name: {"targets": [{"provider": "p9", "model": FINE}]} for name in ("kimi", "new-*")},
        }
        in_turn = {"strategy": "round_robin", "targets": targets(FINE, FINE)}
        round_robin = {**both, "models": {"kimi": in_turn, "new-*": {"targets": targets(FINE)}}}
        async with pipeline(nats_url, bus_root, wide, upstreams=2) as it, anyio.create_task_group() as tasks:
            for _ in range(AT_ONCE):
                tasks.start_soon(client, it)
            reloads = 0
            while seen.total() < REQUESTS - AT_ONCE:
                assert await it.reload([gone, round_robin, wide][reloads % 3])
                reloads += 1
                await anyio.sleep(0.05)

    print(f"{seen.total()} requests, {reloads} reloads: {dict(seen)}")
    assert seen == {(200, True): REQUESTS}
    assert reloads > 3
    assert all(received(one) for one in three)


async def test_a_circuit_stays_open_where_the_provider_is_the_same(nats_url: str, bus_root: str) -> None:
    async with simulators(2) as two:
        circuit = {"failures": 1, "open_s": 60.0}
        models = {"kimi": {"targets": targets("sim/server-error", FINE)}}
        config = {"providers": providers(two, circuit=circuit), "models": models}
        async with pipeline(nats_url, bus_root, config) as it:
            assert (await it.ask("kimi")).status == 200
            await until_state(it, "p1", "open")
            before = received(two[0])
            assert await it.reload({**config, "alerts": {}, "models": {**models, "more": models["kimi"]}})
            assert (await it.ask("more")).status == 200

        assert received(two[0]) == before


@asynccontextmanager
async def asks_for_a_key(right: str) -> AsyncIterator[tuple[str, list[str]]]:
    """A provider with one good key, and the keys that it was sent."""
    keys: list[str] = []

    async def chat(request: web.Request) -> web.Response:
        keys.append(request.headers.get("Authorization", ""))
        if keys[-1] != f"Bearer {right}":
            error = {"message": "Invalid key of org-secret-4711", "type": "invalid_authentication_error"}
            return web.json_response({"error": error}, status=401)
        choice = {"index": 0, "message": {"role": "assistant", "content": "Hello"}, "finish_reason": "stop"}
        return web.json_response({"id": "x", "object": "chat.completion", "choices": [choice]})

    app = web.Application()
    app.router.add_route("*", "/v1/{path:.*}", chat)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/v1", keys
    finally:
        await runner.cleanup()


async def test_the_right_key_opens_a_circuit_that_the_wrong_one_shut(
    nats_url: str, bus_root: str, tmp_path: Path
) -> None:
    secret = tmp_path / "key"
    secret.write_text("sk-wrong-key\n")
    async with asks_for_a_key("sk-right-key") as (base_url, keys):
        provider = {"kind": "openai", "base_url": base_url, "api_key": f"file:{secret}"}
        config: dict[str, Any] = {"providers": {"p1": provider}, "models": {"*": {"targets": [{"provider": "p1"}]}}}
        async with pipeline(nats_url, bus_root, config, upstreams=2) as it:
            refused, shut = await it.ask("kimi"), await it.ask("kimi")
            await until_state(it, "p1", "shut")
            shut = await it.ask("kimi")
            secret.write_text("sk-right-key\n")
            assert await it.reload(config)
            mended = await it.ask("kimi")

    assert (refused.status, shut.status, mended.status) == (401, 503, 200)
    for answer in (refused, shut):
        assert "org-secret" not in answer.body.decode()
        assert "moontide providers reset p1" in str(answer.error)
        assert "the key of providers.p1" in str(answer.error)
    assert keys[-1] == "Bearer sk-right-key"


async def test_what_the_provider_says_of_our_account_is_not_handed_through(
    nats_url: str, bus_root: str, tmp_path: Path
) -> None:
    async with asks_for_a_key("sk-right-key") as (base_url, _keys):
        provider = {"kind": "openai", "base_url": base_url, "api_key": "env:WRONG"}
        config = {"providers": {"p1": provider}, "models": {"*": {"targets": [{"provider": "p1"}]}}}
        async with (
            pipeline(nats_url, bus_root, config, environ={"WRONG": "sk-wrong-key"}) as it,
            it.http.get(f"{it.url}/v1/files") as answer,
        ):
            said = await answer.text()

    assert answer.status == 401
    assert "org-secret" not in said
    assert "the key of providers.p1" in said


async def test_settings_that_are_wrong_leave_the_others_in_force(nats_url: str, bus_root: str) -> None:
    async with simulators(1) as one:
        config = {"providers": providers(one), "models": {"*": {"targets": targets(FINE)}}}
        async with pipeline(nats_url, bus_root, config) as it:
            with capture_logs() as logs:
                assert not await it.reload({**config, "models": {"*": {"targets": targets(FINE, FINE)}}})
            assert (await it.ask("kimi")).status == 200

    [problem] = [entry["problem"] for entry in logs if entry["event"] == "config.refused"]
    assert "models.*.targets[1].provider: no provider is called p2" in problem


async def test_whatever_goes_wrong_with_new_settings_the_others_stay(nats_url: str, bus_root: str) -> None:
    async with simulators(1) as one:
        config = {"providers": providers(one), "models": {"*": {"targets": targets(FINE)}}}
        async with pipeline(nats_url, bus_root, config) as it:
            with capture_logs() as logs:
                assert not await it.reload({"models": RecursionError})  # what no loader was made for
            assert (await it.ask("kimi")).status == 200

    assert "config.refused" in {entry["event"] for entry in logs}


async def test_what_a_removed_provider_has_in_hand_is_finished(nats_url: str, bus_root: str) -> None:
    async with simulators(2) as two:
        both = providers(two)
        before = {"providers": both, "models": {"*": {"targets": targets("sim/text?chunks=20&delay_ms=40")}}}
        after = {
            "providers": {"p2": both["p2"]},
            "models": {"*": {"targets": [{"provider": "p2", "model": FINE}]}},
        }
        async with pipeline(nats_url, bus_root, before) as it, anyio.create_task_group() as tasks:
            answers = []

            async def ask() -> None:
                answers.append(await it.ask("kimi", stream=True))

            tasks.start_soon(ask)
            with anyio.fail_after(PATIENCE_S):
                while not received(two[0]):  # noqa: ASYNC110 - the simulator tells nobody
                    await anyio.sleep(0.005)
            assert await it.reload(after)
            assert (await it.ask("kimi")).status == 200

    assert answers[0].chunks[-1]["choices"][0]["finish_reason"] == "stop"
    assert (received(two[0]), received(two[1])) == (1, 1)


async def scraped(it: Pipeline, headers: dict[str, str]) -> int:
    async with it.http.get(f"{it.url}/metrics", headers=headers) as answer:
        return answer.status


async def test_client_keys_come_and_go(nats_url: str, bus_root: str, tmp_path: Path) -> None:
    keys = tmp_path / "keys.yaml"
    keys.write_text("ann: ck-key-of-ann\n")
    async with simulators(1) as one:
        config = {"providers": providers(one), "models": {"*": {"targets": targets(FINE)}}}
        locked = {**config, "ingress": {"port": 0, "keys": f"file:{keys}"}}
        async with pipeline(nats_url, bus_root, config) as it:
            ann, bob = ({"Authorization": f"Bearer ck-key-of-{name}"} for name in ("ann", "bob"))
            open_to_all = await it.ask("kimi")
            assert await it.reload(locked)
            without, with_key = await it.ask("kimi"), await it.ask("kimi", headers=ann)
            keys.write_text("bob: ck-key-of-bob\n")
            assert await it.reload(locked)
            taken_away, new = await it.ask("kimi", headers=ann), await it.ask("kimi", headers=bob)

            figures = [await scraped(it, headers) for headers in ({}, ann, bob)]

    assert figures == [401, 401, 200]
    assert [a.status for a in (open_to_all, without, with_key, taken_away, new)] == [200, 401, 200, 401, 200]


async def test_workers_that_have_new_settings_at_different_times_lose_no_request(nats_url: str, bus_root: str) -> None:
    async with simulators(1) as one:
        old = {"providers": providers(one), "models": {"old": {"targets": targets(FINE)}}}
        new = {"providers": providers(one), "models": {"new": {"targets": targets(FINE)}}}
        async with pipeline(nats_url, bus_root, old) as it, anyio.create_task_group() as tasks:
            statuses: list[int] = []

            async def ask(model: str) -> None:
                statuses.append((await it.ask(model)).status)

            await it.reload_apart(new, "ingress")
            tasks.start_soon(ask, "new")  # which the upstream worker doesn't know yet
            await anyio.sleep(0.2)
            assert statuses == []
            await it.reload_apart(new, "upstream")
            await it.reload_apart(old, "ingress")
            tasks.start_soon(ask, "old")  # which it doesn't know any more

    assert statuses == [200, 200]
