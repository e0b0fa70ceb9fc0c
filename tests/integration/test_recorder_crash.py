"""A recorder that is killed again and again loses nothing and doubles nothing."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, contextmanager
from itertools import zip_longest
from pathlib import Path

import anyio
import pytest
import pytest_asyncio
from sqlalchemy import Engine, text

from services.recorder.main import recorder
from shared.bus.nats import NatsBus
from shared.config import Settings, Sink
from shared.config.settings import Bus
from shared.ids import new_id
from shared.records.blobs import unpack
from shared.records.database import NoRecords, RecordsUnavailable, open_reader
from shared.subjects import Subjects
from tests.fixtures.databases import new_url
from tests.fixtures.exchanges import PLAIN, Script, plain, streamed
from tests.fixtures.recording import Rows, rows

EXCHANGES = int(os.environ.get("CRASH_EXCHANGES", "1000"))
TRAFFIC_S = 8.0  # how long exchanges go on
AT_ONCE = 40  # exchanges that run side by side
KILLS_AT_LEAST = 5
LIFE_S = 0.8  # at most, of a recorder that has begun to write
PROGRAM = Path(__file__).with_name("recorder_process.py")
PATIENCE_S = 300.0


@pytest_asyncio.fixture
async def bus(nats_url: str, bus_root: str) -> AsyncIterator[NatsBus]:
    connected = await NatsBus.connect(nats_url, Subjects(bus_root), "test")
    await connected.ensure_capture(3600, 1024 * 1024 * 1024)
    yield connected
    await connected.close()


def scripts(root: str) -> list[Script]:
    """Half plain, half streamed with ends that come late."""
    made = []
    for number in range(EXCHANGES):
        id = new_id()
        made.append(plain(id, PLAIN, root) if number % 2 else streamed(id, number % 7, root).event("late"))
    return made


async def publish_side_by_side(bus: NatsBus, all_scripts: list[Script]) -> None:
    for start in range(0, len(all_scripts), AT_ONCE):
        turns = zip_longest(*(script.messages for script in all_scripts[start : start + AT_ONCE]))
        for subject, data, headers in (message for turn in turns for message in turn if message is not None):
            await bus.publish(subject, data, headers or None)
        await anyio.sleep(TRAFFIC_S * AT_ONCE / EXCHANGES)


@contextmanager
def recorder_process(nats_url: str, root: str, url: str) -> Iterator[subprocess.Popen[bytes]]:
    environ = {**os.environ, "PYTHONPATH": str(Path.cwd())}
    command = [sys.executable, str(PROGRAM), nats_url, root, url]
    process = subprocess.Popen(command, env=environ, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    try:
        yield process
    finally:
        process.kill()  # SIGKILL: it can't clean up
        _, errors = process.communicate()
    assert b"Traceback" not in errors, errors.decode()


class Progress:
    """How far the database says the stream was read; asked over a connection of its own."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._engine: Engine | None = None

    def position(self) -> int:
        try:
            self._engine = self._engine or open_reader(self._url)
            with self._engine.connect() as connection:
                return int(connection.scalar(text("SELECT max(seq) FROM positions")) or 0)
        except (NoRecords, RecordsUnavailable):  # not made yet
            return 0

    def close(self) -> None:
        if self._engine is not None:
            self._engine.dispose()


async def kill_again_and_again(
    nats_url: str, root: str, url: str, last_seq: int, at_once: int, kills: list[int]
) -> None:
    """Kills some recorder a moment after the records have grown, until all but the end is written."""
    chance, progress = random.Random(7), Progress(url)
    with ExitStack() as stack:
        stack.callback(progress.close)
        places = [stack.enter_context(ExitStack()) for _ in range(at_once)]
        for place in places:
            place.enter_context(recorder_process(nats_url, root, url))
        while (reached := progress.position()) < last_seq * 0.9:
            while progress.position() == reached:  # noqa: ASYNC110 - other processes move it
                await anyio.sleep(0.005)
            await anyio.sleep(chance.uniform(0, LIFE_S / at_once))
            victim = chance.choice(places)
            victim.close()
            victim.enter_context(recorder_process(nats_url, root, url))
            kills.append(reached)


@pytest.mark.parametrize(("kind", "at_once"), [("sqlite", 1), ("postgresql", 3)])
async def test_recorders_killed_at_random_lose_nothing_and_double_nothing(
    bus: NatsBus,
    nats_url: str,
    bus_root: str,
    tmp_path: Path,
    new_postgres: Callable[[], str],
    kind: str,
    at_once: int,
) -> None:
    url, all_scripts = new_url(kind, tmp_path, new_postgres), scripts(bus_root)
    last_seq = sum(len(script.messages) for script in all_scripts)
    kills: list[int] = []
    with anyio.fail_after(PATIENCE_S):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(publish_side_by_side, bus, all_scripts)
            tasks.start_soon(kill_again_and_again, nats_url, bus_root, url, last_seq, at_once, kills)
        async with recorder(bus, Settings(bus=Bus(root=bus_root), records=(Sink(url=url),))):
            pass

    found = rows(url)
    assert len(kills) >= KILLS_AT_LEAST
    progress = Progress(url)
    assert progress.position() == last_seq
    progress.close()
    assert {row["id"]: row["state"] for row in found["exchanges"]} == {script.id: "done" for script in all_scripts}
    assert len(found["exchanges"]) == len(all_scripts)
    assert [row["exchange_id"] for row in found["calls"]] == sorted(script.id for script in all_scripts)
    assert raw_bytes(found) == {script.id: sent_raw(script) for script in all_scripts if sent_raw(script)}
    told = [(row["exchange_id"], row["name"]) for row in found["events"]]
    assert sorted(told) == sorted((script.id, name) for script in all_scripts for name in events_of(script))
    assert rows(url, ["poison", "stretches"]) == {"poison": [], "stretches": []}


def raw_bytes(found: Rows) -> dict[str, bytes]:
    return {row["exchange_id"]: unpack(row["data"]) for row in found["bodies"] if row["part"] == "c1.raw"}


def sent_raw(script: Script) -> bytes:
    return b"".join(data for subject, data, _ in script.messages if ".raw." in subject and subject.endswith(".data"))


def events_of(script: Script) -> list[str]:
    return [subject.rpartition(".")[2] for subject, _, _ in script.messages if ".event." in subject]
