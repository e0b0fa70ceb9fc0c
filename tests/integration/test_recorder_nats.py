"""The recorder on a real NATS: what it reads, what it survives."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Callable, Iterable, MutableMapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest_asyncio
from structlog.testing import capture_logs

from services.recorder.main import feed_name, recorder, recording
from services.recorder.worker import Rhythm, Sink
from shared.bodies import put_body
from shared.bus.nats import NatsBus
from shared.config import Settings
from shared.config import Sink as SinkSettings
from shared.config.settings import Bus as BusSettings
from shared.contracts import Body
from shared.ids import new_instance
from shared.records.blobs import unpack
from shared.records.database import NoRecords, RecordsUnavailable
from shared.subjects import Subjects
from shared.worker import Identity, Worker
from tests.fixtures.exchanges import Script, plain, streamed
from tests.fixtures.recording import rows, url_in

PATIENCE_S = 20.0


@pytest_asyncio.fixture
async def bus(nats_url: str, bus_root: str) -> AsyncIterator[NatsBus]:
    connected = await NatsBus.connect(nats_url, Subjects(bus_root), "test")
    await connected.ensure_capture(3600, 256 * 1024 * 1024)
    yield connected
    await connected.close()


async def publish(bus: NatsBus, script: Script) -> None:
    for subject, data, headers in script.messages:
        await bus.publish(subject, data, headers or None)


def settings_of(root: str, url: str) -> Settings:
    return Settings(bus=BusSettings(root=root), records=(SinkSettings(url=url),))


async def eventually(holds: Callable[[], bool]) -> None:
    with anyio.fail_after(PATIENCE_S):
        while not holds():  # noqa: ASYNC110 - a database tells nobody when it changes
            await anyio.sleep(0.02)


def is_done(url: str, count: int) -> Callable[[], bool]:
    return lambda: counted(url, "done") == count


def counted(url: str, state: str) -> int:
    """Exchanges in that state; none where there is no database yet."""
    try:
        return [row["state"] for row in rows(url, ("exchanges",))["exchanges"]].count(state)
    except (NoRecords, RecordsUnavailable):
        return 0


async def test_an_exchange_is_recorded_as_it_passes(bus: NatsBus, bus_root: str, records_url: str) -> None:
    async with recorder(bus, settings_of(bus_root, records_url)):
        await publish(bus, streamed("A", root=bus_root))
        await eventually(is_done(records_url, 1))

    (row,) = rows(records_url)["exchanges"]
    assert (row["outcome"], row["provider_request_id"], row["repairs"]) == ("complete", "msh-A", {"tool_calls": 1})


async def test_what_was_captured_while_no_recorder_ran_is_recorded_later(
    bus: NatsBus, bus_root: str, records_url: str
) -> None:
    async with recorder(bus, settings_of(bus_root, records_url)):
        await publish(bus, plain("A", root=bus_root))
    await publish(bus, plain("B", root=bus_root))
    async with recorder(bus, settings_of(bus_root, records_url)):
        pass

    assert [row["id"] for row in rows(records_url)["exchanges"]] == ["A", "B"]


async def test_what_lies_with_a_dead_reader_is_read_from_the_stream(
    bus: NatsBus, bus_root: str, records_url: str
) -> None:
    dead = await bus.feed(feed_name(records_url))
    await publish(bus, plain("A", root=bus_root))
    assert await dead.fetch(100, 1.0)
    await dead.close()
    async with recorder(bus, settings_of(bus_root, records_url)):
        await eventually(is_done(records_url, 1))
        await publish(bus, plain("B", root=bus_root))
        await eventually(is_done(records_url, 2))


async def test_a_deleted_stream_that_counts_from_one_again_is_read(
    bus: NatsBus, bus_root: str, records_url: str
) -> None:
    async with recorder(bus, settings_of(bus_root, records_url)):
        await publish(bus, plain("A", root=bus_root))
        await eventually(is_done(records_url, 1))
    await bus._js.delete_stream(Subjects(bus_root).stream)
    await bus.ensure_capture(3600, 256 * 1024 * 1024)
    await publish(bus, plain("B", root=bus_root))
    async with recorder(bus, settings_of(bus_root, records_url)):
        await eventually(is_done(records_url, 2))


async def test_a_body_in_the_object_store_is_recorded(bus: NatsBus, bus_root: str, records_url: str) -> None:
    large = b'{"messages": "' + b"x" * (3 * 1024 * 1024) + b'"}'
    body = await put_body(bus, "A", large, is_json=True)
    assert body.claim == "A"
    script = Script("A", bus_root).request(body=body).sent().head().data(b"{}").end().done()
    async with recorder(bus, settings_of(bus_root, records_url)):
        await publish(bus, script)
        await eventually(is_done(records_url, 1))

    asked = {row["part"]: row for row in rows(records_url)["bodies"]}
    assert unpack(asked["client.request"]["data"]) == large
    assert asked["c1.request"]["same_as"] == "client.request"


@asynccontextmanager
async def sinking(bus: NatsBus, root: str, url: str, rhythm: Rhythm) -> AsyncIterator[None]:
    identity = Identity(service="recorder", instance=new_instance("recorder"), capacity=1)
    worker = Worker(bus, Subjects(root), identity, drain_s=5)
    sink = Sink(bus, Subjects(root), url, feed_name(url), rhythm)
    async with worker.running(), recording(worker, [sink], 5):
        yield


async def test_a_locked_database_delays_records_and_doubles_none(bus: NatsBus, bus_root: str, tmp_path: Path) -> None:
    url = url_in(tmp_path)
    with capture_logs() as told:
        async with sinking(bus, bus_root, url, Rhythm(wait_s=0.05, busy_timeout_s=0.05)):
            await publish(bus, plain("A", root=bus_root))
            await eventually(is_done(url, 1))
            locker = sqlite3.connect(tmp_path / "records.db", isolation_level=None)
            locker.execute("BEGIN IMMEDIATE")
            for number in range(5):
                await publish(bus, plain(f"B{number}", root=bus_root))
            await eventually(lambda: "recorder.waiting" in names(told))
            await publish(bus, plain("C", root=bus_root))
            assert counted(url, "done") == 1
            locker.execute("ROLLBACK")
            locker.close()
            await eventually(is_done(url, 7))

    assert [name for name in names(told) if name.startswith("recorder")] == ["recorder.waiting", "recorder.goes_on"]
    assert len(rows(url)["calls"]) == 7


async def test_a_database_that_can_not_be_made_is_waited_for(bus: NatsBus, bus_root: str, tmp_path: Path) -> None:
    in_the_way = tmp_path / "folder"
    in_the_way.write_text("a file, not a folder")
    url = url_in(in_the_way)
    with capture_logs() as told:
        async with recorder(bus, settings_of(bus_root, url)):
            await publish(bus, plain("A", root=bus_root))
            await eventually(lambda: "recorder.waiting" in names(told))
            in_the_way.unlink()
            await eventually(is_done(url, 1))


def names(told: Iterable[MutableMapping[str, Any]]) -> list[str]:
    return [entry["event"] for entry in told]


async def test_a_silent_exchange_is_abandoned(bus: NatsBus, bus_root: str, records_url: str) -> None:
    rhythm = Rhythm(wait_s=0.05, sweep_every_s=0.05, settled_after_s=0.1, abandoned_after_s=0.2)
    await publish(bus, Script("A", bus_root).request().sent().head().data(b"half"))
    async with sinking(bus, bus_root, records_url, rhythm):
        await eventually(lambda: counted(records_url, "abandoned") == 1)


async def test_what_the_stream_let_go_of_is_counted_and_the_rest_is_recorded(
    bus: NatsBus, bus_root: str, records_url: str
) -> None:
    await publish(bus, plain("A", root=bus_root))
    with anyio.fail_after(PATIENCE_S):
        while (await bus._js.stream_info(Subjects(bus_root).stream)).state.messages < 6:  # noqa: ASYNC110
            await anyio.sleep(0.01)
    await bus._js.purge_stream(Subjects(bus_root).stream)
    await publish(bus, plain("B", root=bus_root))
    with capture_logs() as told:
        async with recorder(bus, settings_of(bus_root, records_url)):
            await eventually(is_done(records_url, 1))

    assert [entry["messages"] for entry in told if entry["event"] == "recorder.discarded"] == [6]
    assert [row["id"] for row in rows(records_url)["exchanges"]] == ["B"]


async def test_a_body_that_the_object_store_has_not_is_missing_and_nothing_else(
    bus: NatsBus, bus_root: str, records_url: str
) -> None:
    script = Script("A", bus_root).request(body=Body(claim="nowhere", size=5)).sent().head().data(b"{}").end().done()
    with capture_logs() as told:
        async with recorder(bus, settings_of(bus_root, records_url)):
            await publish(bus, script)
            await eventually(is_done(records_url, 1))

    assert names(told).count("recorder.body_gone") == 1
    asked = next(row for row in rows(records_url)["bodies"] if row["part"] == "client.request")
    assert (asked["size"], asked["sha256"], asked["data"]) == (5, None, None)


async def test_two_recorders_of_one_database_double_nothing(bus: NatsBus, bus_root: str, records_url: str) -> None:
    count = 200
    rhythm = Rhythm(wait_s=0.02, linger_s=0.0, compare_every_s=0.05)
    async with sinking(bus, bus_root, records_url, rhythm), sinking(bus, bus_root, records_url, rhythm):
        for number in range(count):
            await publish(bus, streamed(f"A{number:03}", 2, bus_root))
        await eventually(is_done(records_url, count))

    found = rows(records_url)
    assert len(found["exchanges"]) == len(found["calls"]) == count
    assert {bytes(unpack(row["data"])).count(b"data:") for row in found["bodies"] if row["part"] == "c1.raw"} == {2}
