"""What both buses promise about the capture stream: history, follow, feeds; and about claims."""

from __future__ import annotations

import random
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import cast

import anyio
import pytest

from shared.bus import Bus, Captured, Feed, NoSuchClaim
from shared.subjects import Subjects
from tests.fixtures.buses import PATIENCE_S, Server


async def captured(bus: Bus, subject: str, count: int) -> list[Captured]:
    """The history of a subject, as soon as it has `count` messages: the stream may be a moment behind."""
    with anyio.fail_after(PATIENCE_S):
        while len(found := await bus.history(subject)) < count:  # noqa: ASYNC110 - the server decides when
            await anyio.sleep(0.005)
    return found


async def say(bus: Bus, subject: str, *texts: str) -> None:
    for text in texts:
        await bus.publish(subject, text.encode())


def texts(found: list[Captured]) -> list[str]:
    return [one.data.decode() for one in found]


async def test_history_holds_subject_data_headers_and_time(server: Server, subjects: Subjects) -> None:
    async with server() as connect:
        bus = await connect()
        await bus.publish(subjects.done("R1"), b"\x00\xff", {"Frame": "3 up-1"})
        found = (await captured(bus, subjects.done("R1"), 1))[0]

        assert (found.subject, found.data, found.seq) == (subjects.done("R1"), b"\x00\xff", 1)
        assert found.headers["Frame"] == "3 up-1"
        assert found.at > 0


async def test_history_is_filtered_and_in_order(server: Server, subjects: Subjects) -> None:
    async with server() as connect:
        bus = await connect()
        for number in range(5):
            await say(bus, subjects.event("R1", "repaired"), f"one {number}")
            await say(bus, subjects.event("R2", "repaired"), f"two {number}")

        assert texts(await captured(bus, subjects.of_request("R1"), 5)) == [f"one {number}" for number in range(5)]


async def test_history_begins_where_it_is_told_and_ends_at_its_limit(server: Server, subjects: Subjects) -> None:
    async with server() as connect:
        bus = await connect()
        await say(bus, subjects.done("R1"), *"abcdef")
        whole = await captured(bus, subjects.done("R1"), 6)
        found = await bus.history(subjects.done("R1"), first_seq=whole[2].seq, limit=3)

        assert texts(found) == ["c", "d", "e"]


async def test_history_past_the_end_is_empty(server: Server, subjects: Subjects) -> None:
    async with server() as connect:
        bus = await connect()
        await say(bus, subjects.done("R1"), "a")
        last = (await captured(bus, subjects.done("R1"), 1))[-1]

        assert await bus.history(subjects.done("R1"), first_seq=last.seq + 1) == []
        assert await bus.history(subjects.done("R2")) == []


async def test_only_what_is_below_req_is_captured(server: Server, subjects: Subjects) -> None:
    async with server() as connect:
        bus = await connect()
        await say(bus, subjects.worker("upstream", "up-1"), "beat")
        await say(bus, subjects.done("R1"), "done")
        await captured(bus, subjects.done("R1"), 1)

        assert await bus.history(subjects.workers) == []


async def test_history_in_pages_is_the_whole_history(server: Server, subjects: Subjects) -> None:
    async with server() as connect:
        bus = await connect()
        said = [f"{number}" for number in range(1100)]
        await say(bus, subjects.done("R1"), *said)
        with anyio.fail_after(PATIENCE_S):
            found: list[str] = []
            seq = 1
            while len(found) < 1100:
                page = await bus.history(subjects.done("R1"), seq)
                found += texts(page)
                seq = page[-1].seq + 1 if page else seq

        assert found == said


async def test_following_begins_with_history_and_goes_on_without_a_seam(server: Server, subjects: Subjects) -> None:
    async with server() as connect:
        bus = await connect()
        await say(bus, subjects.done("R1"), *(f"{number}" for number in range(700)))
        await bus.flush()
        found: list[str] = []

        async def talk() -> None:
            for number in range(700, 1000):
                await say(bus, subjects.done("R1"), f"{number}")
                await anyio.lowlevel.checkpoint()

        async with anyio.create_task_group() as tasks, aclosing(_follow(bus, subjects.done("R1"))) as following:
            tasks.start_soon(talk)
            with anyio.fail_after(3 * PATIENCE_S):
                async for one in following:
                    found.append(one.data.decode())
                    if len(found) == 1000:
                        break

        assert found == [f"{number}" for number in range(1000)]


async def test_following_gives_a_long_history_although_nothing_new_comes(server: Server, subjects: Subjects) -> None:
    async with server() as connect:
        bus = await connect()
        await say(bus, subjects.done("R1"), *(f"{number}" for number in range(600)))
        found: list[str] = []
        async with aclosing(_follow(bus, subjects.done("R1"))) as following:
            with anyio.fail_after(PATIENCE_S):
                while len(found) < 600:
                    found.append((await anext(following)).data.decode())

        assert found == [f"{number}" for number in range(600)]


async def test_following_waits_for_the_first_message_of_a_quiet_request(server: Server, subjects: Subjects) -> None:
    async with server() as connect:
        bus = await connect()
        async with anyio.create_task_group() as tasks, aclosing(_follow(bus, subjects.of_request("R1"))) as following:

            async def talk() -> None:
                await say(bus, subjects.done("R2"), "another's")
                await say(bus, subjects.done("R1"), "mine")

            tasks.start_soon(talk)
            with anyio.fail_after(PATIENCE_S):
                one = await anext(following)

            assert (one.subject, one.data) == (subjects.done("R1"), b"mine")


def _follow(bus: Bus, subject: str) -> AsyncGenerator[Captured, None]:
    return cast("AsyncGenerator[Captured, None]", bus.follow(subject))


async def test_a_feed_gives_everything_once_in_order(server: Server, subjects: Subjects) -> None:
    async with server() as connect:
        bus = await connect()
        await say(bus, subjects.done("R1"), *"abc")
        feed = await bus.feed("sink")
        found: list[str] = []
        with anyio.fail_after(PATIENCE_S):
            while len(found) < 3:
                found += texts(await feed.fetch(2, 1.0))
        await say(bus, subjects.done("R1"), "d")
        later = texts(await feed.fetch(10, PATIENCE_S))
        await feed.close()

        assert (found, later) == (["a", "b", "c"], ["d"])


async def test_an_idle_feed_answers_empty_after_its_wait(server: Server) -> None:
    async with server() as connect:
        feed = await (await connect()).feed("sink")
        began = time.monotonic()
        found = await feed.fetch(10, 0.2)
        took_s = time.monotonic() - began
        await feed.close()

        assert found == []
        assert took_s >= 0.15


async def test_a_further_reader_takes_nothing_from_the_one_that_reads(server: Server, subjects: Subjects) -> None:
    async with server() as connect:
        first, second = await connect(), await connect()
        await say(first, subjects.done("R1"), *"abc")
        batch = await _all_of(feed := await first.feed("sink"), 3)
        other = await second.feed("sink")
        await say(second, subjects.done("R2"), "d")
        later = await _all_of(other, 1)
        lag = await _acknowledged(feed, batch[-1])

        assert (texts(batch), texts(later), lag) == (["a", "b", "c"], ["d"], 1)


async def test_what_a_reader_died_with_is_in_the_history(server: Server, subjects: Subjects) -> None:
    async with server() as connect:
        first, second = await connect(), await connect()
        await say(first, subjects.done("R1"), *"abc")
        await _all_of(await first.feed("sink"), 3)
        await first.close()
        feed = await second.feed("sink")

        assert await feed.lag() == 3
        assert texts(await second.history(subjects.captured)) == ["a", "b", "c"]


async def test_a_feed_goes_on_where_its_last_reader_was(server: Server, subjects: Subjects) -> None:
    async with server() as connect:
        found: list[str] = []
        for number in range(5):
            reader = await connect()
            await say(reader, subjects.done("R1"), f"{number}")
            batch = await _all_of(feed := await reader.feed("sink"), 1)
            found += texts(batch)
            await _acknowledged(feed, batch[0])
            await reader.close()

        assert found == [f"{number}" for number in range(5)]


async def test_a_feed_of_some_subjects_settles_each_message_by_itself(server: Server, subjects: Subjects) -> None:
    async with server() as connect:
        bus = await connect()
        for id in "abc":
            await say(bus, subjects.done(id), id)
            await say(bus, subjects.event(id, "other"), "nothing")
        feed = await bus.feed("sink", subjects.done("*"))
        batch = await _all_of(feed, 3)
        before = await feed.lag()
        after = await _acknowledged(feed, batch[-1])

        assert (texts(batch), before, after) == (["a", "b", "c"], 3, 2)


async def test_acknowledging_a_message_acknowledges_all_before_it(server: Server, subjects: Subjects) -> None:
    async with server() as connect:
        bus = await connect()
        await say(bus, subjects.done("R1"), *"abcdef")
        feed = await bus.feed("sink")
        batch = await _all_of(feed, 6)
        before = await feed.lag()
        after = await _acknowledged(feed, batch[3])

        assert (before, after) == (6, 2)


async def test_feeds_of_different_names_read_for_themselves(server: Server, subjects: Subjects) -> None:
    async with server() as connect:
        bus = await connect()
        await say(bus, subjects.done("R1"), *"ab")
        one, other = await bus.feed("sqlite"), await bus.feed("postgres")
        await one.acknowledge((await _all_of(one, 2))[-1])

        assert texts(await _all_of(other, 2)) == ["a", "b"]


async def _all_of(feed: Feed, count: int) -> list[Captured]:
    found: list[Captured] = []
    with anyio.fail_after(PATIENCE_S):
        while len(found) < count:
            found += await feed.fetch(count, 1.0)
    return found


async def _acknowledged(feed: Feed, last: Captured) -> int:
    """The feed's lag once the server has taken the acknowledgement."""
    before = await feed.lag()
    await feed.acknowledge(last)
    with anyio.fail_after(PATIENCE_S):
        while (after := await feed.lag()) == before:  # noqa: ASYNC110 - the server decides when
            await anyio.sleep(0.005)
    return after


async def test_a_claim_of_20_mib_is_fetched_as_it_was_put(server: Server) -> None:
    body = random.Random(7).randbytes(20 * 1024 * 1024)
    async with server() as connect:
        put, get = await connect(), await connect()
        await put.put_claim("R1", body)

        assert await get.get_claim("R1") == body


async def test_a_claim_that_nobody_put_is_no_such_claim(server: Server) -> None:
    async with server() as connect:
        bus = await connect()
        with pytest.raises(NoSuchClaim):
            await bus.get_claim("R1")


async def test_ensuring_the_capture_twice_keeps_what_it_holds(server: Server, subjects: Subjects) -> None:
    async with server() as connect:
        bus = await connect()
        await say(bus, subjects.done("R1"), "kept")
        await captured(bus, subjects.done("R1"), 1)
        await bus.put_claim("R1", b"body")
        await bus.ensure_capture(1200.0, 128 * 1024 * 1024)

        assert texts(await bus.history(subjects.done("R1"))) == ["kept"]
        assert await bus.get_claim("R1") == b"body"
