"""What a page is told while things happen, on the real bus behind a real ingress."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest
from aiohttp import ClientSession, ClientTimeout

from services.dashboard.live import Hub
from shared.bus import Bus, Subscription
from shared.bus.memory import MemoryBus, MemoryServer
from shared.config import load
from shared.contracts import ProviderState, encode
from shared.subjects import PROVIDERS_BUCKET, Subjects
from shared.worker import Identity, Worker
from tests.fixtures.exchanges import Script
from tests.fixtures.pages import SERVICES, ask, up

PATIENCE_S = 30.0

pytestmark = pytest.mark.filterwarnings("default::ResourceWarning")  # a stream that a test leaves


async def events(http: ClientSession, url: str) -> AsyncIterator[tuple[str, Any]]:
    """The events of a stream, as a browser hears them."""
    async with http.get(url, timeout=ClientTimeout(total=None)) as answer:
        assert answer.status == 200
        name = ""
        async for line in answer.content:
            if line.startswith(b"event: "):
                name = line[7:].decode().strip()
            elif line.startswith(b"data: "):
                yield name, json.loads(line[6:])


async def until(check: Callable[[], bool]) -> None:
    with anyio.fail_after(PATIENCE_S):
        while not check():  # noqa: ASYNC110 - what changes it are messages
            await anyio.sleep(0.01)


async def test_a_list_hears_of_a_request_as_it_begins_grows_and_ends(
    nats_url: str, bus_root: str, tmp_path: Path
) -> None:
    async with up(nats_url, bus_root, tmp_path) as services, ClientSession() as http:
        assert services.listening is not None
        heard: list[dict[str, Any]] = []
        states: list[dict[str, Any]] = []

        async def listen() -> None:
            async for name, value in events(http, f"{services.page_url}api/live"):
                heard.extend(value if name == "rows" else [])
                states.extend([value] if name == "state" else [])

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(listen)
            await until(lambda: bool(states))
            id = await ask(services.listening.url, "sim/text+slow?delay_ms=60")
            await until(lambda: any(row["state"] == "done" for row in heard))
            tasks.cancel_scope.cancel()

        of_it = [row for row in heard if row["id"] == id]
        pieces = [row["chunks"] for row in of_it]
        assert of_it[0]["state"] == "live"
        assert of_it[-1]["outcome"] == "complete"
        assert pieces == sorted(pieces)
        assert len(set(pieces)) > 2
        assert {worker["service"] for worker in states[-1]["workers"]} == set(SERVICES)


async def test_one_exchange_is_told_from_its_beginning_to_its_end(nats_url: str, bus_root: str, tmp_path: Path) -> None:
    async with up(nats_url, bus_root, tmp_path) as services, ClientSession() as http:
        assert services.listening is not None
        id = await ask(services.listening.url, "sim/text")
        told: list[dict[str, Any]] = []
        with anyio.fail_after(PATIENCE_S):
            async for _, value in events(http, f"{services.page_url}api/exchanges/{id}/live"):
                told += value

        text = "".join(delta["text"] for one in told if one["kind"] == "piece" for delta in one["deltas"])
        assert told[0]["request"]["messages"][0]["pieces"] == [{"text": "Tell me a story"}]
        assert told[-1]["kind"] == "done"
        async with http.get(f"{services.page_url}api/exchanges/{id}") as answer:
            assert answer.status in (200, 404)  # the recorder may still write it
        await until_recorded(http, f"{services.page_url}api/exchanges/{id}")
        async with http.get(f"{services.page_url}api/exchanges/{id}") as answer:
            assert (await answer.json())["answer"]["choices"][0]["content"] == text


async def until_recorded(http: ClientSession, url: str) -> None:
    with anyio.fail_after(PATIENCE_S):
        while True:
            async with http.get(url) as answer:
                if answer.status == 200 and (await answer.json())["exchange"]["state"] == "done":
                    return
            await anyio.sleep(0.02)


async def test_the_front_door_leads_to_the_page_and_the_api_stays_what_it_is(
    nats_url: str, bus_root: str, tmp_path: Path
) -> None:
    async with up(nats_url, bus_root, tmp_path) as services, ClientSession() as http:
        assert services.listening is not None
        async with http.get(services.listening.url) as answer:
            assert (answer.status, answer.content_type) == (200, "text/html")
        async with http.get(f"{services.listening.url}/nothing") as answer:
            assert (await answer.json())["error"]["code"] == "unknown_path"


async def test_open_pages_hold_nobody_up_at_the_end(nats_url: str, bus_root: str, tmp_path: Path) -> None:
    async with ClientSession() as http, anyio.create_task_group() as tasks:
        is_open = anyio.Event()

        async def listen(url: str) -> None:
            async for _ in events(http, url):
                is_open.set()

        async with up(nats_url, bus_root, tmp_path) as services:
            tasks.start_soon(listen, f"{services.page_url}api/live")
            with anyio.fail_after(PATIENCE_S):
                await is_open.wait()
            began = anyio.current_time()
        assert anyio.current_time() - began < 8
        tasks.cancel_scope.cancel()


class Counted(MemoryBus):
    """A bus that tells what is subscribed to."""

    def __init__(self, server: MemoryServer) -> None:
        super().__init__(server)
        self.subjects: list[str] = []

    async def subscribe(self, subject: str, handler: Any, queue: str = "") -> Subscription:
        self.subjects.append(subject)
        return await super().subscribe(subject, handler, queue)


async def test_nothing_is_subscribed_to_until_somebody_looks() -> None:
    async with hubs() as (hub, bus):
        before = list(bus.subjects)
        async with hub.listening(), hub.listening():
            assert len(bus.subjects) == len(before) + 3
        async with hub.listening():
            assert len(bus.subjects) == len(before) + 6


async def test_a_page_that_reads_slowly_gets_the_newest_state_once() -> None:
    async with hubs() as (hub, bus), hub.listening() as quick, hub.listening() as slow:
        script = Script("01K9ZZZZZZZZZZZZZZZZZZZZZA").request().head().data(b"data: 1\n\n").data(b"data: 2\n\n")
        await say(bus, script)
        await until(lambda: "01K9ZZZZZZZZZZZZZZZZZZZZZA" in quick.changed)
        await until(lambda: [row.get("chunks") for row in peek(hub, quick)] == [2])
        await say(bus, Script("01K9ZZZZZZZZZZZZZZZZZZZZZA").done())
        await until(lambda: [row["state"] for row in peek(hub, quick)] == ["done"])

        assert [row["state"] for row in hub.news(quick)] == ["done"]
        assert [row["state"] for row in hub.news(slow)] == ["done"]
        assert hub.news(slow) == []


def peek(hub: Hub, listener: Any) -> list[dict[str, Any]]:
    changed = set(listener.changed)
    return [row for id in changed if (row := hub._growth.row(id)) is not None]


async def test_a_provider_s_circuit_is_shown_without_any_key_it_may_have_said() -> None:
    async with hubs() as (hub, bus):
        key = "sk-0123456789abcdefghijklmnopqrstuvwxyz"
        told = {"why": "auth", "message": f"wrong key {key}", "at": 1.0, "worker": "u"}
        states = {
            "a": ProviderState(provider="moonshot", state="shut", **told),
            "b": ProviderState(provider="moonshot", state="open", model="k9", at=1.0, worker="u"),
            "c": ProviderState(provider="gone", state="closed", at=1.0, worker="u"),
        }
        bucket = await bus.state(PROVIDERS_BUCKET)
        for name, state in states.items():
            await bucket.put(name, encode(state))
        await bucket.put("broken", b"{")
        found = (await hub.state())["providers"]

        assert [(one["provider"], one["kind"], one["state"]) for one in found] == [
            ("moonshot", "moonshot", "shut"),
            ("gone", None, "closed"),
        ]
        assert found[0]["models"][0]["model"] == "k9"
        assert key not in str(found)


@asynccontextmanager
async def hubs() -> AsyncIterator[tuple[Hub, Counted]]:
    async with anyio.create_task_group() as tasks:
        subjects = Subjects("moontide")
        bus = Counted(MemoryServer(subjects, tasks))
        worker = Worker(bus, subjects, Identity(service="dashboard", instance="dashboard-1", capacity=1), drain_s=0.1)
        async with worker.running():
            yield Hub(worker, load(environ={}, services=[]).settings), bus
        tasks.cancel_scope.cancel()


async def say(bus: Bus, script: Script) -> None:
    for subject, data, headers in script.messages:
        await bus.publish(subject, data, headers)
