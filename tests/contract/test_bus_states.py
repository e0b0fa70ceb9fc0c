"""What both buses promise about states: the last put wins, also for another client; watching misses nothing."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import cast

import anyio

from tests.fixtures.buses import PATIENCE_S, Server


async def test_a_key_that_was_never_put_has_no_value(server: Server) -> None:
    async with server() as connect:
        state = await (await connect()).state("things")

        assert await state.get("nothing") is None


async def test_the_last_put_wins_for_every_client(server: Server) -> None:
    async with server() as connect:
        ours, theirs = [await (await connect()).state("things") for _ in range(2)]
        await ours.put("key", b"one")
        await theirs.put("key", b"two")

        assert await ours.get("key") == b"two"


async def test_a_value_is_bytes_and_may_be_empty(server: Server) -> None:
    async with server() as connect:
        state = await (await connect()).state("things")
        await state.put("bytes", b"\x00\xff")
        await state.put("empty", b"")

        assert (await state.get("bytes"), await state.get("empty")) == (b"\x00\xff", b"")


async def test_buckets_know_nothing_of_each_other(server: Server) -> None:
    async with server() as connect:
        bus = await connect()
        one, two = await bus.state("one"), await bus.state("two")
        await one.put("key", b"value")

        assert await two.get("key") is None


async def test_a_value_is_gone_after_its_time(server: Server) -> None:
    async with server() as connect:
        state = await (await connect()).state("brief", max_age_s=0.2)
        await state.put("key", b"value")
        with anyio.fail_after(PATIENCE_S):
            while await state.get("key") is not None:  # noqa: ASYNC110 - the server tells nobody of it
                await anyio.sleep(0.05)


async def test_a_full_bucket_lets_go_of_the_oldest(server: Server) -> None:
    async with server() as connect:
        state = await (await connect()).state("small", max_bytes=4096)
        for number in range(8):
            await state.put(f"key{number}", b"x" * 1000)

        assert await state.get("key0") is None
        assert await state.get("key7") == b"x" * 1000


async def test_all_entries_can_be_had_at_once(server: Server) -> None:
    async with server() as connect:
        bus = await connect()
        empty, state = await bus.state("empty"), await bus.state("full")
        for key, value in (("one", b"1"), ("two", b"2"), ("one", b"3")):
            await state.put(key, value)

        assert await empty.entries() == {}
        assert await state.entries() == {"one": b"3", "two": b"2"}


async def test_watching_gives_what_there_is_and_then_each_put(server: Server) -> None:
    async with server() as connect:
        state = await (await connect()).state("watched")
        await state.put("one", b"1")
        watching = cast("AsyncGenerator[tuple[str, bytes]]", state.watch())
        async with aclosing(watching):
            with anyio.fail_after(PATIENCE_S):
                first = await anext(watching)
                await state.put("two", b"2")
                second = await anext(watching)

        assert [first, second] == [("one", b"1"), ("two", b"2")]


async def test_of_several_that_create_a_value_at_once_one_wins(server: Server) -> None:
    async with server() as connect:
        states = [await (await connect()).state("made") for _ in range(4)]
        there: list[bytes] = []

        async def create(number: int) -> None:
            there.append(await states[number].create("key", b"%d" % number))

        async with anyio.create_task_group() as tasks:
            for number in range(4):
                tasks.start_soon(create, number)

        assert there == [await states[0].get("key")] * 4
        assert await states[1].create("key", b"late") == there[0]
