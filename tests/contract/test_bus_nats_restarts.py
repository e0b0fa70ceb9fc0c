"""What the real bus does when its server goes away; a server of its own for each test."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager, suppress
from typing import Any, cast

import anyio
import pytest

from shared.bus import BusUnavailable
from shared.bus.nats import NatsBus
from shared.subjects import Subjects
from tests.fixtures.buses import CAPTURE_AGE_S, CAPTURE_BYTES, PATIENCE_S, Ear
from tests.fixtures.embedded import NatsServer, free_port

SUBJECTS = Subjects("restarted")


@asynccontextmanager
async def connected(server: NatsServer) -> AsyncIterator[tuple[NatsBus, anyio.Event]]:
    """A bus, and an event that is set when its connection came back."""
    bus = await NatsBus.connect(server.url, SUBJECTS, "test")
    back = anyio.Event()
    bus.on_reconnect(back.set)
    try:
        await bus.ensure_capture(CAPTURE_AGE_S, CAPTURE_BYTES)
        yield bus, back
    finally:
        await bus.close()


async def restart(server: NatsServer, back: anyio.Event) -> None:
    await anyio.to_thread.run_sync(server.kill)
    await anyio.to_thread.run_sync(server.start)
    with anyio.fail_after(PATIENCE_S):
        await back.wait()


async def test_a_restart_is_told_and_subscriptions_are_there_again(own_nats: NatsServer) -> None:
    async with connected(own_nats) as (bus, back):
        ear = Ear()
        await bus.subscribe(SUBJECTS.cancels, ear)
        await bus.flush()
        await restart(own_nats, back)
        await bus.publish(SUBJECTS.cancel("R1"), b"stop")

        assert await ear.until(1) == [b"stop"]


async def test_what_is_published_while_the_server_is_away_arrives_later(own_nats: NatsServer) -> None:
    async with connected(own_nats) as (bus, back):
        ear = Ear()
        await bus.subscribe(SUBJECTS.cancels, ear)
        await bus.flush()
        await anyio.to_thread.run_sync(own_nats.kill)
        with anyio.fail_after(PATIENCE_S):
            while bus.is_connected:  # noqa: ASYNC110 - the library tells nobody at once
                await anyio.sleep(0.01)
        await bus.publish(SUBJECTS.cancel("R1"), b"stop")
        await anyio.to_thread.run_sync(own_nats.start)
        with anyio.fail_after(PATIENCE_S):
            await back.wait()

        assert await ear.until(1) == [b"stop"]


async def test_the_capture_and_the_claims_outlive_a_killed_server(own_nats: NatsServer) -> None:
    async with connected(own_nats) as (bus, back):
        await bus.publish(SUBJECTS.done("R1"), b"kept")
        await bus.flush()
        with anyio.fail_after(PATIENCE_S):
            while not await bus.history(SUBJECTS.done("R1")):  # noqa: ASYNC110 - the server decides when
                await anyio.sleep(0.005)
        await bus.put_claim("R1", b"body")
        await restart(own_nats, back)

        assert [one.data for one in await bus.history(SUBJECTS.done("R1"))] == [b"kept"]
        assert await bus.get_claim("R1") == b"body"


async def test_a_feed_goes_on_after_a_restart(own_nats: NatsServer) -> None:
    async with connected(own_nats) as (bus, back):
        feed = await bus.feed("sink")
        await bus.publish(SUBJECTS.done("R1"), b"one")
        first = await feed.fetch(10, PATIENCE_S)
        await feed.acknowledge(first[-1])
        await bus.flush()
        await restart(own_nats, back)
        await bus.publish(SUBJECTS.done("R1"), b"two")
        found: list[bytes] = []
        with anyio.fail_after(2 * PATIENCE_S):
            while b"two" not in found:
                found += [one.data for one in await feed.fetch(10, 1.0)]

        assert [one.data for one in first] == [b"one"]


async def test_following_goes_on_after_a_restart(own_nats: NatsServer) -> None:
    async with connected(own_nats) as (bus, back), aclosing(cast(Any, bus.follow(SUBJECTS.done("R1")))) as following:
        await bus.publish(SUBJECTS.done("R1"), b"one")
        with anyio.fail_after(PATIENCE_S):
            first = await anext(following)
        await restart(own_nats, back)
        await bus.publish(SUBJECTS.done("R1"), b"two")
        with anyio.fail_after(3 * PATIENCE_S):
            second = await anext(following)

        assert (first.data, second.data) == (b"one", b"two")


async def test_history_without_a_server_is_unavailable(own_nats: NatsServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shared.bus.nats.HISTORY_TIMEOUT_S", 0.2)
    async with connected(own_nats) as (bus, _back):
        await anyio.to_thread.run_sync(own_nats.kill)
        with pytest.raises(BusUnavailable):
            await bus.history(SUBJECTS.done("R1"))


async def test_no_server_at_all_is_unavailable_in_time() -> None:
    began = anyio.current_time()
    with pytest.raises(BusUnavailable, match="no NATS server at nats://127"):
        await NatsBus.connect(f"nats://127.0.0.1:{free_port()}", SUBJECTS, "test", patience_s=0.3)

    assert anyio.current_time() - began < 3


async def test_a_closed_bus_tries_no_longer_also_where_a_cancellation_was_lost(
    own_nats: NatsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    trying = anyio.Event()

    async def connect(*_args: object, **_options: object) -> None:
        if not trying.is_set():
            trying.set()
            with suppress(asyncio.CancelledError):  # lost, as where it and the refusal come at once
                await anyio.sleep_forever()
        raise ConnectionRefusedError

    before = asyncio.all_tasks()
    bus = await NatsBus.connect(own_nats.url, SUBJECTS, "test")
    monkeypatch.setattr("nats.aio.transport.TcpTransport.connect", connect)
    await anyio.to_thread.run_sync(own_nats.kill)
    with anyio.fail_after(PATIENCE_S):
        await trying.wait()
    await bus.close()

    if left := asyncio.all_tasks() - before:
        _, pending = await asyncio.wait(left, timeout=PATIENCE_S)
        assert not pending


async def test_a_bus_whose_server_is_gone_can_be_closed(own_nats: NatsServer) -> None:
    async with connected(own_nats) as (bus, _back):
        await anyio.to_thread.run_sync(own_nats.kill)
        with anyio.fail_after(PATIENCE_S):
            await bus.close()


async def test_what_a_killed_server_had_not_stored_is_published_again(own_nats: NatsServer) -> None:
    texts = [b"%d" % number for number in range(400)]
    async with connected(own_nats) as (bus, back):
        for text in texts:
            await bus.publish(SUBJECTS.event("R1", "told"), text)
        await anyio.to_thread.run_sync(own_nats.kill)  # much of it lies in sockets
        await anyio.to_thread.run_sync(own_nats.start)
        with anyio.fail_after(PATIENCE_S):
            await back.wait()
            while len(found := await bus.history(SUBJECTS.events("R1"))) < len(texts):  # noqa: ASYNC110
                await anyio.sleep(0.05)

        assert [one.data for one in found] == texts
