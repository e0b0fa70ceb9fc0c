"""The durable feed of a real NATS, as the recorder needs it."""

from __future__ import annotations

from collections.abc import AsyncIterator

import anyio
import pytest
import pytest_asyncio

from shared.bus import BusUnavailable
from shared.bus.nats import NatsBus
from shared.subjects import Subjects
from tests.fixtures.embedded import NatsServer


@pytest_asyncio.fixture
async def bus(nats_url: str, bus_root: str) -> AsyncIterator[NatsBus]:
    connected = await NatsBus.connect(nats_url, Subjects(bus_root), "test")
    await connected.ensure_capture(3600, 256 * 1024 * 1024)
    yield connected
    await connected.close()


async def publish(bus: NatsBus, root: str, numbers: range) -> None:
    for number in numbers:
        await bus.publish(f"{root}.req.A.event.e{number}", b"%d" % number)
    await bus.flush()


async def test_a_feed_gives_everything_in_order_and_no_more_than_asked(bus: NatsBus, bus_root: str) -> None:
    feed = await bus.feed("reader")
    await publish(bus, bus_root, range(250))

    got = []
    while batch := await feed.fetch(100, 0.5):
        assert len(batch) <= 100
        got += [int(message.data) for message in batch]
        await feed.acknowledge(batch[-1])
    await feed.close()

    assert got == list(range(250))


async def test_a_feed_is_empty_when_nothing_comes_and_wakes_for_the_next_message(bus: NatsBus, bus_root: str) -> None:
    feed = await bus.feed("reader")

    assert await feed.fetch(10, 0.05) == []
    await publish(bus, bus_root, range(1))
    assert [message.data for message in await feed.fetch(10, 5)] == [b"0"]
    await feed.close()


async def test_a_feed_goes_on_behind_what_was_acknowledged(bus: NatsBus, bus_root: str) -> None:
    first = await bus.feed("reader")
    await publish(bus, bus_root, range(10))
    batch = await first.fetch(10, 1)
    await first.acknowledge(batch[-1])
    with anyio.fail_after(10):
        while await first.lag():  # noqa: ASYNC110 - the server takes an acknowledgement when it likes
            await anyio.sleep(0.01)
    await first.close()
    await publish(bus, bus_root, range(10, 12))

    second = await bus.feed("reader")
    assert [message.data for message in await second.fetch(10, 1)] == [b"10", b"11"]
    await second.close()


async def test_a_feed_whose_stream_is_gone_says_so(bus: NatsBus, bus_root: str) -> None:
    feed = await bus.feed("reader")
    assert await feed.fetch(1, 0.05) == []
    await bus._js.delete_stream(Subjects(bus_root).stream)

    with pytest.raises(BusUnavailable):
        await feed.fetch(1, 10)
    await feed.close()


async def test_a_feed_survives_a_restart_of_the_server(own_nats: NatsServer, bus_root: str) -> None:
    bus = await NatsBus.connect(own_nats.url, Subjects(bus_root), "test")
    await bus.ensure_capture(3600, 64 * 1024 * 1024)
    back = anyio.Event()
    bus.on_reconnect(back.set)
    feed = await bus.feed("reader")
    await publish(bus, bus_root, range(1))
    (first,) = await feed.fetch(10, 1)
    await feed.acknowledge(first)
    await bus.flush()

    own_nats.stop()
    own_nats.start()
    while not back.is_set():
        assert await feed.fetch(10, 0.1) == []
    await publish(bus, bus_root, range(1, 2))
    got: list[bytes] = []
    while not got:
        got = [message.data for message in await feed.fetch(10, 1)]
    await feed.close()
    await bus.close()

    assert got == [b"1"]
