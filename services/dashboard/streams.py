"""Server-sent events: the list as it grows, and one exchange as it happens."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import anyio
import msgspec
from aiohttp import web

from services.dashboard.guard import Denied
from services.dashboard.live import Hub
from services.dashboard.rules.telling import Telling

TICK_S = 0.25  # between two tellings: what changes oftener can't be read
STATE_S = 2.0  # between two looks at workers and providers
PING_S = 15.0
PIECES = 200  # messages that wait to be told
LONGEST_S = 3600.0  # of one stream; a page asks again


class Stream:
    """One page's connection."""

    def __init__(self, response: web.StreamResponse) -> None:
        self.response = response
        self._told_at = time.monotonic()

    async def tell(self, event: str, value: Any) -> None:
        self._told_at = time.monotonic()
        data = msgspec.json.encode(value)  # never holds a line end
        await self.response.write(b"event: " + event.encode() + b"\ndata: " + data + b"\n\n")

    async def ping(self) -> None:
        """A sign of life, where there was nothing to say for a while."""
        if time.monotonic() - self._told_at > PING_S:
            self._told_at = time.monotonic()
            await self.response.write(b": still here\n\n")


@asynccontextmanager
async def stream(http: web.Request, hub: Hub) -> AsyncIterator[Stream]:
    """Raises Denied where too many are open."""
    if not hub.has_room:
        raise Denied(503, "no_room", "Too many pages are open.")
    headers = {"Content-Type": "text/event-stream; charset=utf-8", "X-Accel-Buffering": "no"}
    response = web.StreamResponse(headers=headers)
    async with hub.stream():
        await response.prepare(http)
        with suppress(ConnectionError):
            yield Stream(response)


async def tell_list(hub: Hub, page: Stream) -> None:
    """What grows, begins and ends; workers and providers when they change."""
    looked_at, ends_at = 0.0, time.monotonic() + LONGEST_S
    async with hub.listening() as listener:
        while not hub.closing and time.monotonic() < ends_at:
            rows = hub.news(listener)
            if rows:
                await page.tell("rows", rows)
            if time.monotonic() - looked_at >= STATE_S:
                looked_at = time.monotonic()
                await page.tell("state", await hub.state())
            await page.ping()
            await anyio.sleep(TICK_S)


async def tell_exchange(hub: Hub, page: Stream, id: str) -> None:
    """From the first message on; returns when the exchange is over."""
    send, receive = anyio.create_memory_object_stream[list[dict[str, Any]]](PIECES)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(_follow, hub, id, send)
        with anyio.move_on_after(LONGEST_S):
            async with receive:
                await _pass_on(hub, page, receive)
        tasks.cancel_scope.cancel()


async def _follow(hub: Hub, id: str, send: Any) -> None:
    telling = Telling()
    subject = hub.worker.subjects.of_request(id)
    async with send:
        async for message in hub.worker.bus.follow(subject):
            tokens = hub.worker.subjects.below_request(message.subject)[1:]
            told = list(telling.take(tokens, message.data, message.at))
            if told:
                await send.send(told)
            if tokens == ["done"]:
                return


async def _pass_on(hub: Hub, page: Stream, receive: Any) -> None:
    while not hub.closing:
        try:
            told = [one for some in await _some(receive) for one in some]
        except anyio.EndOfStream:
            return
        if told:
            await page.tell("told", told)
        await page.ping()


async def _some(receive: Any) -> list[Any]:
    """What has come within a tick."""
    some: list[Any] = []
    with anyio.move_on_after(TICK_S):
        some.append(await receive.receive())
    with suppress(anyio.WouldBlock, anyio.EndOfStream):
        while some and len(some) < PIECES:
            some.append(receive.receive_nowait())
    return some
