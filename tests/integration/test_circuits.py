"""Circuits over several workers: seen by all, shown and reset by hand."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest
from aiohttp import web
from click.testing import CliRunner

from services.cli.providers import providers as providers_command
from services.upstream.board import share
from shared.contracts import ProviderState, decode
from shared.subjects import PROVIDERS_BUCKET
from tests.fixtures.pipeline import PATIENCE_S, Pipeline, pipeline, providers, received, simulators, targets

pytestmark = pytest.mark.backend

FINE = "sim/text?chunks=2"
QUICK = {"failures": 1, "open_s": 0.1, "cap_s": 0.1}


async def until(condition: Callable[[], Awaitable[Any]]) -> Any:
    with anyio.fail_after(PATIENCE_S):
        while not (found := await condition()):  # noqa: ASYNC110 - the bus is asked
            await anyio.sleep(0.01)
    return found


async def state_of(running: Pipeline, name: str) -> ProviderState | None:
    data = await (await running.bus.state(PROVIDERS_BUCKET)).get(name)
    return decode(ProviderState, data) if data else None


def config(simulated: list[Any], *models: str, **fields: Any) -> dict[str, Any]:
    return {"providers": providers(simulated, **fields), "models": {"kimi": {"targets": targets(*models)}}}


async def test_what_one_worker_finds_keeps_the_others_away(nats_url: str, bus_root: str) -> None:
    async with simulators(2) as two:
        circuit = {"failures": 3, "open_s": 60.0}
        async with pipeline(
            nats_url, bus_root, config(two, "sim/server-error", FINE, circuit=circuit), upstreams=3
        ) as it:
            while received(two[0]) < 12 and (await state_of(it, "p1")) is None:
                assert (await it.ask("kimi")).status == 200
            await anyio.sleep(0.1)  # for the other workers to hear of it
            before = received(two[0])
            for _ in range(20):
                assert (await it.ask("kimi")).status == 200
            state = await state_of(it, "p1")

        assert received(two[0]) == before <= 9
        assert state is not None
        assert (state.state, state.why) == ("open", "server_error")
        assert state.until > time.time() + 50


async def test_a_provider_that_is_well_again_is_probed_and_taken_back(nats_url: str, bus_root: str) -> None:
    async with simulators(2) as two:
        circuit = {"failures": 1, "open_s": 0.3}
        async with pipeline(
            nats_url, bus_root, config(two, f"sim/server-error,{FINE[4:]}", FINE, circuit=circuit)
        ) as it:
            first = await it.exchange((await it.ask("kimi")).id)
            second = await it.exchange((await it.ask("kimi")).id)
            await anyio.sleep(0.4)
            third = await it.exchange((await it.ask("kimi")).id)

            assert [one.sent["c1"].provider for one in (first, second, third)] == ["p1", "p2", "p1"]

            async def is_closed() -> bool:
                state = await state_of(it, "p1")
                return state is not None and state.state == "closed"

            await until(is_closed)


async def test_a_missing_model_closes_the_provider_to_that_model_only(nats_url: str, bus_root: str) -> None:
    async with simulators(2) as two:
        settings = config(two, "sim/model-not-found", FINE)
        settings["models"]["other"] = {"targets": targets(FINE)}
        async with pipeline(nats_url, bus_root, settings) as it:
            for _ in range(3):
                assert (await it.ask("kimi")).status == 200
            assert received(two[0]) == 1
            assert (await it.ask("other")).status == 200
        assert received(two[0]) == 2


async def test_when_every_target_is_out_the_client_hears_why_and_when_to_come_back(
    nats_url: str, bus_root: str
) -> None:
    async with simulators(1) as one:
        async with pipeline(nats_url, bus_root, config(one, "sim/quota-exhausted")) as it:
            first, second = await it.ask("kimi"), await it.ask("kimi")

        assert first.status == 429
        assert second.status == 503
        assert second.error is not None
        assert "p1 (quota_exhausted)" in second.error["message"]
        assert 590 <= int(second.headers["Retry-After"]) <= 600
        assert received(one[0]) == 1


async def test_a_clients_own_wrong_key_shuts_nobody_else_out(nats_url: str, bus_root: str) -> None:
    async with simulators(1) as one, pipeline(nats_url, bus_root, config(one, "sim/needs-key+text?key=sk-good")) as it:
        wrong = await it.ask("kimi", headers={"Authorization": "Bearer sk-wrong"})
        right = await it.ask("kimi", headers={"Authorization": "Bearer sk-good"})

    assert (wrong.status, right.status) == (401, 200)


@asynccontextmanager
async def poor_provider(*balances: float) -> AsyncIterator[str]:
    """Says that there is no money, and each time what is left."""
    said = [*reversed(balances)]

    async def chat(_request: web.Request) -> web.Response:
        error = {"type": "exceeded_current_quota_error", "message": "insufficient balance"}
        return web.json_response({"error": error}, status=429)

    async def left(request: web.Request) -> web.Response:
        assert request.headers["Authorization"] == "Bearer sk-ours"
        return web.json_response({"code": 0, "data": {"available_balance": said.pop() if len(said) > 1 else said[0]}})

    app = web.Application()
    app.add_routes([web.post("/v1/chat/completions", chat), web.get("/v1/users/me/balance", left)])
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/v1"
    finally:
        await runner.cleanup()


@pytest.mark.parametrize(("balance", "state"), [(-0.25, "shut"), (49.5, "open")])
async def test_an_exhausted_balance_is_confirmed_with_the_provider(
    nats_url: str, bus_root: str, balance: float, state: str
) -> None:
    async with poor_provider(balance) as url:
        provider = {"kind": "moonshot", "base_url": url, "api_key": "env:OUR_KEY"}
        settings = {"providers": {"p1": provider}, "models": {"kimi": {"targets": targets(None)}}}
        async with pipeline(nats_url, bus_root, settings, environ={"OUR_KEY": "sk-ours"}) as it:
            await it.ask("kimi")

            async def confirmed() -> ProviderState | None:
                found = await state_of(it, "p1")
                return found if found is not None and found.balance else None

            found: ProviderState = await until(confirmed)

    assert (found.state, found.balance, found.why) == (state, f"{balance:g}", "quota_exhausted")


async def test_each_time_that_there_is_no_money_the_figure_is_asked_for_anew(nats_url: str, bus_root: str) -> None:
    async with poor_provider(-0.25, -7) as url:
        provider = {"kind": "moonshot", "base_url": url, "api_key": "env:OUR_KEY"}
        settings = {"providers": {"p1": provider}, "models": {"kimi": {"targets": targets(None)}}}
        async with pipeline(nats_url, bus_root, settings, environ={"OUR_KEY": "sk-ours"}) as it:

            async def asked_until(balance: str) -> None:
                async def told() -> bool:
                    await it.ask("kimi")
                    state = await state_of(it, "p1")
                    return state is not None and state.balance == balance

                await until(told)

            await asked_until("-0.25")
            await share(it.bus, it.subjects, ProviderState(provider="p1", state="closed", worker="operator", at=0.0))
            await asked_until("-7")


@asynccontextmanager
async def channel(status: int = 200) -> AsyncIterator[tuple[str, list[dict[str, Any]]]]:
    """Where alerts are posted, and what was."""
    posted: list[dict[str, Any]] = []

    async def post(request: web.Request) -> web.Response:
        posted.append(await request.json())
        return web.Response(status=status)

    app = web.Application()
    app.add_routes([web.post("/hook", post)])
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/hook", posted
    finally:
        await runner.cleanup()


async def test_an_incident_is_told_once_and_so_is_its_end(nats_url: str, bus_root: str) -> None:
    async with simulators(2) as two, channel() as (url, posted):
        settings = config(two, f"sim/{'server-error,' * 12}{FINE[4:]}", FINE, circuit=QUICK)
        settings["alerts"] = {"ops": {"url": "env:HOOK"}}
        async with pipeline(nats_url, bus_root, settings, upstreams=3, environ={"HOOK": url}) as it:
            with anyio.fail_after(PATIENCE_S):
                while not any(note["event"] == "provider.recovered" for note in posted):
                    await it.ask("kimi")

    assert [(note["event"], note["provider"]) for note in posted] == [
        ("provider.down", "p1"),
        ("provider.recovered", "p1"),
    ]
    assert posted[0]["text"].startswith("Moontide: the provider p1 is failing. It is not asked for a while. It says:")


async def test_an_exhausted_balance_is_told_with_the_figure(nats_url: str, bus_root: str) -> None:
    async with poor_provider(-0.25) as provider_url, channel() as (url, posted):
        provider = {"kind": "moonshot", "base_url": provider_url, "api_key": "env:OUR_KEY"}
        settings = {
            "providers": {"p1": provider},
            "models": {"kimi": {"targets": targets(None)}},
            "alerts": {"ops": {"url": "env:HOOK", "shape": "discord"}},
        }
        environ = {"OUR_KEY": "sk-ours", "HOOK": url}
        async with pipeline(nats_url, bus_root, settings, environ=environ) as it:
            for _ in range(5):
                await it.ask("kimi")

            async def told() -> bool:
                return bool(posted)

            await until(told)

    assert [note["content"] for note in posted] == [
        "Moontide: the provider p1 is out of money, balance -0.25. It is not asked until it is reset or mended. "
        "It says: insufficient balance"
    ]


@pytest.mark.parametrize("gone", [True, False])
async def test_an_alert_that_fails_hurts_nobody(nats_url: str, bus_root: str, gone: bool) -> None:
    async with simulators(2) as two, channel(status=500) as (url, _posted):
        settings = config(two, "sim/unauthorized", FINE)
        settings["alerts"] = {"ops": {"url": "env:HOOK", "shape": "slack"}}
        environ = {"HOOK": "http://127.0.0.1:9/hook" if gone else url}
        async with pipeline(nats_url, bus_root, settings, environ=environ) as it:
            answers = [await it.ask("kimi") for _ in range(3)]

    assert [answer.status for answer in answers] == [200] * 3


async def test_providers_are_shown_and_reset_by_hand(nats_url: str, bus_root: str) -> None:
    async with simulators(2) as two:
        settings = config(two, f"sim/unauthorized,{FINE[4:]}", FINE)
        async with pipeline(nats_url, bus_root, settings) as it:

            async def run(*arguments: str) -> str:
                environ = {
                    "MOONTIDE_NATS_URL": nats_url,
                    "MOONTIDE_BUS_ROOT": bus_root,
                    "MOONTIDE_PROVIDERS": json.dumps(settings["providers"]),
                    "MOONTIDE_MODELS": json.dumps(settings["models"]),
                }
                runner = CliRunner()
                done = await anyio.to_thread.run_sync(
                    lambda: runner.invoke(providers_command, list(arguments), env=environ)
                )
                assert done.exit_code == 0, done.output
                return done.stdout

            first = await it.exchange((await it.ask("kimi")).id)
            shown = [json.loads(line) for line in (await run("--json")).splitlines()]
            table = await run()
            await run("reset", "p1")
            with anyio.fail_after(PATIENCE_S):
                while (await it.exchange((await it.ask("kimi")).id)).sent["c1"].provider != "p1":
                    pass

    assert list(first.sent) == ["c1", "c2"]
    assert [(line["provider"], line["state"], line["why"]) for line in shown] == [
        ("p1", "shut", "auth"),
        ("p2", "closed", ""),
    ]
    assert "shut" in table
    assert "Incorrect API key" in table
