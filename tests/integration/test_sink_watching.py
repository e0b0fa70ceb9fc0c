"""How far sinks are behind: in the heartbeat, and told to somebody."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import anyio
import pytest_asyncio
from aiohttp import web
from structlog.testing import capture_logs

from services.recorder.main import feed_name, recording
from services.recorder.watching import Watching
from services.recorder.worker import Rhythm, Sink
from shared.alerts import Receiver
from shared.bus.nats import NatsBus
from shared.secrets import Secret
from shared.subjects import Subjects
from shared.worker import Identity, Worker
from tests.fixtures.exchanges import PLAIN, plain
from tests.fixtures.recording import url_in

NOWHERE = "postgresql://u:never-shown@127.0.0.1:1/db"


@pytest_asyncio.fixture
async def bus(nats_url: str, bus_root: str) -> AsyncIterator[NatsBus]:
    connected = await NatsBus.connect(nats_url, Subjects(bus_root), "test")
    await connected.ensure_capture(3600, 256 * 1024 * 1024)
    yield connected
    await connected.close()


@pytest_asyncio.fixture
async def told() -> AsyncIterator[tuple[str, list[Any]]]:
    """An address, and what was posted to it."""
    notes: list[Any] = []

    async def take(request: web.Request) -> web.Response:
        notes.append(await request.json())
        return web.Response()

    app = web.Application()
    app.router.add_post("/", take)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}/", notes
    await runner.cleanup()


async def eventually(holds: Callable[[], bool]) -> None:
    with anyio.fail_after(30):
        while not holds():  # noqa: ASYNC110 - the recorder decides when
            await anyio.sleep(0.02)


async def test_a_sink_that_is_down_is_told_of_once_and_the_others_are_well(
    bus: NatsBus, bus_root: str, tmp_path: Path, told: tuple[str, list[Any]]
) -> None:
    url, notes = told
    subjects, rhythm = Subjects(bus_root), Rhythm(wait_s=0.05)
    sinks = [Sink(bus, subjects, place, feed_name(place), rhythm) for place in (url_in(tmp_path), NOWHERE)]
    worker = Worker(bus, subjects, Identity(service="recorder", instance="recorder-1", capacity=1))
    watching = Watching(worker, sinks, [Receiver("webhook", Secret(url))], limit_s=2.5)
    with capture_logs() as logged:
        async with worker.running(), recording(worker, sinks, 1.0, watching):
            for subject, data, headers in plain("A", PLAIN, bus_root).messages:
                await bus.publish(subject, data, headers or None)
            await eventually(lambda: bool(notes))
            lags = {lag.sink: lag for lag in worker.lags}

    up, down = lags[str(tmp_path / "records.db")], lags["postgresql://u@127.0.0.1:1/db"]
    assert (up.messages, up.behind_s) == (0, 0.0)
    assert down.messages == 6
    assert down.behind_s > 2.5
    assert [(note["event"], note["sink"]) for note in notes] == [("sink.behind", down.sink)]
    assert [entry["event"] for entry in logged].count("recorder.sink.behind") == 1
    assert "never-shown" not in str(logged) + str(notes)
