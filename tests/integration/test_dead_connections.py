"""A provider that closes idle connections: the next request neither fails nor costs an attempt."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import anyio
import pytest

from services.upstream.call import CallFailed, Connections, Request, calling, connections
from shared.contracts import Timeouts

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"
LARGE = 600 * 1024


@dataclass
class Provider:
    """Answers so many requests on a connection; then it takes one more and closes without a word."""

    answers: list[int]  # for each connection, in order; the last one goes on for ever
    url: str = ""
    bodies: list[int] = field(default_factory=list)  # bytes of each request
    connections: int = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        left = self.answers[min(self.connections, len(self.answers) - 1)]
        self.connections += 1
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                size = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0] or 0)
                self.bodies.append(len(await reader.readexactly(size)))
                if not left:
                    break
                left -= 1
                writer.write(ANSWER)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


@asynccontextmanager
async def a_provider(*answers: int) -> AsyncIterator[Provider]:
    provider = Provider(list(answers))
    server = await asyncio.start_server(provider.serve, "127.0.0.1", 0)
    provider.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1/chat"
    try:
        yield provider
    finally:
        server.close()


async def ask(ways: Connections, provider: Provider, told: list[str], size: int = 10, may_repeat: bool = True) -> bytes:
    request = Request(
        provider="p1",
        method="POST",
        url=provider.url,
        headers={},
        body=b"x" * size,
        timeouts=Timeouts(),
        may_repeat=may_repeat,
    )
    with anyio.fail_after(10):
        async with calling(ways, request, told.append) as answer:
            return b"".join([piece async for piece in answer.pieces()])


@pytest.mark.parametrize("size", [10, LARGE])
async def test_a_request_that_met_a_dead_connection_goes_again_on_a_new_one(size: int) -> None:
    told: list[str] = []
    async with a_provider(1, 9) as provider, connections() as ways:
        answers = [await ask(ways, provider, told, size) for _ in range(2)]

    assert answers == [b"{}", b"{}"]
    assert told == ["p1"]
    assert provider.bodies[-1] == size
    assert provider.connections == 2


async def test_what_must_not_be_sent_twice_is_not() -> None:
    told: list[str] = []
    async with a_provider(1, 9) as provider, connections() as ways:
        await ask(ways, provider, told)
        with pytest.raises(CallFailed) as failed:
            await ask(ways, provider, told, may_repeat=False)

    assert failed.value.fault.code == "provider_unreachable"
    assert told == []


async def test_a_new_connection_that_is_closed_is_a_failure_like_any_other() -> None:
    told: list[str] = []
    async with a_provider(0) as provider, connections() as ways:
        with pytest.raises(CallFailed):
            await ask(ways, provider, told)

    assert (told, provider.connections) == ([], 1)


async def test_it_is_sent_once_more_and_not_for_ever() -> None:
    told: list[str] = []
    async with a_provider(1, 0) as provider, connections() as ways:
        await ask(ways, provider, told)
        with pytest.raises(CallFailed):
            await ask(ways, provider, told)

    assert (told, provider.connections) == (["p1"], 2)
