"""What can happen to a Postgres, and what the recorder makes of it."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import anyio
import psycopg
import pytest
import pytest_asyncio
from sqlalchemy import Engine, create_engine, event, make_url, text
from structlog.testing import capture_logs

from services.recorder.main import feed_name, recorder, recording
from services.recorder.store import Store
from services.recorder.worker import Rhythm, Sink
from shared.bus.nats import NatsBus
from shared.config import Settings
from shared.config import Sink as SinkSettings
from shared.config.settings import Bus as BusSettings
from shared.ids import new_instance
from shared.records.database import NoRecords, RecordsUnavailable, open_reader
from shared.records.exports.whole import Whole
from shared.records.postgres import with_driver
from shared.records.queries import reading
from shared.subjects import Subjects
from shared.worker import Identity, Worker
from tests.fixtures.databases import administer
from tests.fixtures.exchanges import PLAIN, Script, captured, plain, streamed
from tests.fixtures.recording import FEED, record, rows, url_in

QUICK = Rhythm(wait_s=0.05, linger_s=0.0, compare_every_s=0.1, busy_timeout_s=0.2, batch_messages=100)
END_ALL = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'moontide recorder'"


@pytest.fixture
def url(new_postgres: Callable[[], str]) -> str:
    return new_postgres()


@pytest_asyncio.fixture
async def bus(nats_url: str, bus_root: str) -> AsyncIterator[NatsBus]:
    connected = await NatsBus.connect(nats_url, Subjects(bus_root), "test")
    await connected.ensure_capture(3600, 256 * 1024 * 1024)
    yield connected
    await connected.close()


@contextmanager
def engine_of(url: str) -> Iterator[Engine]:
    engine = create_engine(with_driver(make_url(url)))
    yield engine
    engine.dispose()


async def publish(bus: NatsBus, *scripts: Script) -> None:
    for subject, data, headers in (message for script in scripts for message in script.messages):
        await bus.publish(subject, data, headers or None)
    await bus.flush()


def done(url: str) -> int:
    try:
        with reading(url) as records:
            return sum(row["state"] == "done" for row in records.newest())
    except NoRecords:  # not made yet
        return 0


async def eventually(holds: Callable[[], bool]) -> None:
    with anyio.fail_after(30):
        while not holds():  # noqa: ASYNC110 - the recorder decides when
            await anyio.sleep(0.02)


def sink(bus: NatsBus, root: str, url: str) -> Sink:
    return Sink(bus, Subjects(root), url, feed_name(url), QUICK)


def worker(bus: NatsBus, root: str) -> Worker:
    identity = Identity(service="recorder", instance=new_instance("recorder"), capacity=1)
    return Worker(bus, Subjects(root), identity)


async def test_a_connection_that_is_cut_again_and_again_loses_and_doubles_nothing(
    bus: NatsBus, bus_root: str, url: str
) -> None:
    count = 300
    with capture_logs():
        async with recording(worker(bus, bus_root), [sink(bus, bus_root, url), sink(bus, bus_root, url)], 10):
            for number in range(count):
                await publish(bus, streamed(f"A{number:03}", 2, bus_root))
                if number % 50 == 49:
                    administer(url, END_ALL)
            await eventually(lambda: done(url) == count)

    found = rows(url)
    assert len(found["exchanges"]) == len(found["calls"]) == len(found["events"]) == count
    assert rows(url, ["poison", "stretches"]) == {"poison": [], "stretches": []}


async def test_a_locked_table_delays_records_and_is_told_once(bus: NatsBus, bus_root: str, url: str) -> None:
    Store.open(url, FEED).close()
    with capture_logs() as told, engine_of(url) as other:
        async with recording(worker(bus, bus_root), [sink(bus, bus_root, url)], 10):
            with other.begin() as holder:
                holder.execute(text("LOCK TABLE exchanges IN ACCESS EXCLUSIVE MODE"))
                await publish(bus, plain("A", PLAIN, bus_root))
                await eventually(lambda: any(entry["event"] == "recorder.waiting" for entry in told))
                await anyio.sleep(0.5)
            await eventually(lambda: done(url) == 1)

    events = [entry["event"] for entry in told]
    assert (events.count("recorder.waiting"), events.count("recorder.goes_on")) == (1, 1)


async def test_a_sink_that_is_down_holds_no_other_and_its_lag_is_counted(bus: NatsBus, bus_root: str, url: str) -> None:
    nowhere = make_url(url).set(port=1, password="never-shown").render_as_string(hide_password=False)
    with capture_logs() as told:
        up, down = sink(bus, bus_root, url), sink(bus, bus_root, nowhere)
        async with recording(worker(bus, bus_root), [up, down], 5):
            await publish(bus, plain("A", PLAIN, bus_root))
            await eventually(lambda: done(url) == 1)
            with anyio.fail_after(10):
                while (lag := await up.lag()) is None or lag.messages:  # noqa: ASYNC110 - the server acknowledges
                    await anyio.sleep(0.05)

    assert "never-shown" not in str(told)
    assert "port 1 failed" in str(told)
    assert lag.sink == make_url(url)._replace(password=None).render_as_string()


async def test_two_databases_and_both_have_everything(bus: NatsBus, bus_root: str, url: str, tmp_path: Path) -> None:
    file = url_in(tmp_path)
    both = Settings(bus=BusSettings(root=bus_root), records=(SinkSettings(url=file), SinkSettings(url=url)))
    async with recorder(bus, both):
        await publish(bus, *(streamed(f"A{number}", 3, bus_root) for number in range(20)))
        await eventually(lambda: done(url) == 20)

    assert rows(file) == rows(url)


def test_a_character_that_postgres_has_not_loses_no_exchange(url: str) -> None:
    nul = b'{"id":"x\\u0000","choices":[{"message":{"content":"a\\u0000b","tool_calls":['
    nul += b'{"id":"c\\u0000","function":{"name":"n\\u0000","arguments":"{\\"x\\": \\u00001}"}}]}}]}'
    script = Script("A").request(model="kimi\x00k2", headers={"x-y": "a\x00b"}).sent().head().data(nul + b"\x00").end()
    script.event("odd", what="a\x00b").done(finish_reason="s\x00p")
    store = Store.open(url, FEED)
    record(store, captured([script, plain("B")]))
    store.close()

    found = rows(url)
    assert [row["state"] for row in found["exchanges"]] == ["done", "done"]
    assert rows(url, ["poison"]) == {"poison": []}
    assert found["exchanges"][0]["finish_reason"] == "s\u2400p"
    with reading(url) as records:
        assert records.parts("A")["c1.raw"].data == nul + b"\x00"
        assert records.events("A")[0]["facts"] == {"what": "a\x00b"}


def test_a_reader_can_not_write(url: str) -> None:
    Store.open(url, FEED).close()
    engine = open_reader(url)

    with pytest.raises(Exception, match="read-only transaction"), engine.connect() as connection:
        connection.execution_options(stream_results=False).execute(text("DELETE FROM exchanges"))
    engine.dispose()


def test_a_reader_sees_the_records_as_they_were_when_it_began(url: str) -> None:
    store = Store.open(url, FEED)
    record(store, captured([plain("A")]))
    with reading(url) as records:
        before = [row["id"] for row in records.newest()]
        record(store, captured([plain("A"), plain("B")]))
        after = [row["id"] for row in records.newest()]
    store.close()

    assert (before, after) == (["A"], ["A"])


def test_a_user_without_the_right_to_write_is_an_unavailable_database(url: str) -> None:
    administer(url, "DROP ROLE IF EXISTS nobody_writes")
    administer(url, "CREATE ROLE nobody_writes LOGIN PASSWORD 'none'")
    other = make_url(url).set(username="nobody_writes", password="none").render_as_string(hide_password=False)

    with pytest.raises(RecordsUnavailable, match="permission denied"):
        Store.open(other, FEED)
    administer(url, "DROP ROLE nobody_writes")


def test_a_server_that_is_not_there_is_named_without_its_password() -> None:
    with pytest.raises(RecordsUnavailable) as caught:
        Store.open("postgresql://u:never-shown@127.0.0.1:1/db", FEED)

    assert "127.0.0.1" in str(caught.value)
    assert "never-shown" not in str(caught.value)
    assert os.linesep not in str(caught.value)


def test_a_sink_has_the_same_place_in_the_stream_however_it_is_let_in(url: str) -> None:
    with_password = make_url(url).set(password="secret").render_as_string(hide_password=False)

    assert feed_name(with_password) == feed_name(f"{url}?sslmode=prefer") == feed_name(url)


def test_the_rows_of_one_exchange_take_no_cursor_on_the_server(new_postgres: Callable[[], str]) -> None:
    """Six more round trips for each; what is long has one, so that memory holds a part of it."""
    url = new_postgres()
    store = Store.open(url, "recorder-test")
    record(store, captured([plain("A")]))
    store.close()
    cursors: list[bool] = []

    def note(_: object, cursor: object, *__: object) -> None:
        cursors.append(isinstance(cursor, psycopg.ServerCursor))

    with reading(url) as records:
        event.listen(records._connection, "after_cursor_execute", note)
        Whole.read(records, records.get("A"))
        assert not any(cursors)
        list(records.newest())
        assert cursors[-1]
