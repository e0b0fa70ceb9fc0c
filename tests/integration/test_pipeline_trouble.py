"""The pipeline in trouble, over a real NATS: clients that leave, slow ones, full and dead workers, a restart."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import anyio
import msgspec
import pytest

from shared.legs import FRAME_BYTES
from tests.fixtures.assembled import PATIENCE_S, Pipeline, Shape, events, pipeline, until_ready
from tests.fixtures.embedded import NatsServer

CANCELLED_WITHIN_S = 0.1  # what the design promises
both = pytest.mark.parametrize("repair", [False, True], ids=["raw", "repaired"])


async def read_events(response: aiohttp.ClientResponse, count: int) -> bytes:
    data = b""
    with anyio.fail_after(PATIENCE_S):
        while data.count(b"\n\n") < count:
            data += await response.content.readany()
    return data


# -- clients that leave


async def leave(
    it: Pipeline, response: aiohttp.ClientResponse | None, asking: asyncio.Task[Any] | None = None
) -> float:
    """The client closes its connection; seconds until the provider's connection is closed."""
    left_at = time.time()
    if response is not None:
        response.close()
    if asking is not None:
        asking.cancel()
    await it.until(lambda: it.asked[0].outcome != "open")
    entry = it.asked[0]

    assert entry.outcome == "disconnected"
    return (entry.ended_at or 0) - left_at


@both
async def test_a_client_that_leaves_in_the_stream_cancels_the_provider(
    nats_url: str, bus_root: str, repair: bool
) -> None:
    async with pipeline(nats_url, bus_root, Shape(repair=repair)) as it:
        response = await it.ask("sim/text+hold?after=4")
        await read_events(response, 4)
        took_s = await leave(it, response)
        done = (await it.dones())[0]

        assert took_s < CANCELLED_WITHIN_S
        assert (done.outcome, done.status) == ("cancelled", 200)
        assert done.body_bytes > 0


@both
@pytest.mark.parametrize(
    ("model", "stream"),
    [("sim/text+held-first-byte", True), ("sim/text+held-first-byte", False)],
    ids=["before the first byte", "plain"],
)
async def test_a_client_that_leaves_early_cancels_the_provider(
    nats_url: str, bus_root: str, model: str, stream: bool, repair: bool
) -> None:
    async with pipeline(nats_url, bus_root, Shape(repair=repair)) as it:
        asking = asyncio.ensure_future(it.answer(model, stream))  # noqa: TID251 - aiohttp's own way to give a request up
        await it.until_held()
        took_s = await leave(it, None, asking)
        done = (await it.dones())[0]

        assert took_s < CANCELLED_WITHIN_S
        assert done.outcome == "cancelled"


async def test_a_client_that_leaves_the_queue_is_accounted_for(nats_url: str, bus_root: str) -> None:
    async with pipeline(nats_url, bus_root, Shape(upstreams=0)) as it:
        asking = asyncio.ensure_future(it.answer("sim/text"))  # noqa: TID251
        with anyio.fail_after(PATIENCE_S):
            while not it.listening.worker.in_flight:  # noqa: ASYNC110
                await anyio.sleep(0.005)
        asking.cancel()
        done = (await it.dones())[0]

        assert (done.outcome, it.asked) == ("cancelled", [])


async def test_a_cancel_from_an_operator_ends_the_stream_with_an_error(nats_url: str, bus_root: str) -> None:
    async with pipeline(nats_url, bus_root) as it:
        async with it.ask("sim/text+hold?after=4") as response:
            await read_events(response, 4)
            id = response.headers["X-Moontide-Request-Id"]
            cancel = b'{"type":"cancel.v1","by":"operator","why":"enough"}'
            await it.bus.publish(it.subjects.cancel(id), cancel)
            rest = await response.read()

        assert events(rest)[-1]["error"]["message"] == "Cancelled by operator: enough"
        assert it.asked[0].outcome == "disconnected"


# -- clients that are slow


async def test_a_client_that_falls_behind_gets_every_byte(nats_url: str, bus_root: str) -> None:
    limit = 256 * 1024
    model = "sim/text+batch?chunks=60000&events=500"
    async with pipeline(nats_url, bus_root, Shape(ingress={"buffered_bytes": limit})) as it:
        expected = await it.direct(model)
        body = json.dumps(it.body(model)).encode()
        async with slow_client(it.listening.url, body) as connection:
            await it.until(lambda: len(it.sim.simulator.journal.ended()) == 2)
            readers = list(it.listening.worker.inbox._readers.values())
            buffered = [reader._ready_bytes for reader in readers]
            got = await anyio.to_thread.run_sync(read_all, connection)

    assert len(expected) > 10 * 1024 * 1024
    assert len(buffered) == 1
    assert buffered[0] <= limit + FRAME_BYTES
    assert dechunked(got) == expected


@asynccontextmanager
async def slow_client(url: str, body: bytes) -> AsyncIterator[socket.socket]:
    """A connection that has asked and reads nothing; its receive buffer is small."""
    connection = socket.socket()
    try:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        host, port = url.removeprefix("http://").split(":")
        await anyio.to_thread.run_sync(connection.connect, (host, int(port)))
        head = (
            f"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        )
        connection.sendall(head.encode() + body)
        yield connection
    finally:
        connection.close()


def read_all(connection: socket.socket) -> bytes:
    connection.settimeout(30)
    got = bytearray()
    while piece := connection.recv(1 << 20):
        got += piece
    return bytes(got)


def dechunked(http: bytes) -> bytes:
    rest, whole = http.partition(b"\r\n\r\n")[2], bytearray()
    at = 0
    while size := int(rest[at : (end := rest.index(b"\r\n", at))], 16):
        whole += rest[end + 2 : end + 2 + size]
        at = end + 2 + size + 2
    return bytes(whole)


# -- full workers, and none


async def test_a_second_request_waits_until_a_full_worker_has_room(nats_url: str, bus_root: str) -> None:
    async with pipeline(nats_url, bus_root, Shape(upstream={"max_in_flight": 1})) as it:
        answers: list[int] = []

        async def ask(model: str) -> None:
            answers.append((await it.answer(model))[0])

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(ask, "sim/text+hold?after=2")
            await it.until_held()
            tasks.start_soon(ask, "sim/text")
            await anyio.sleep(0.1)
            while_full = len(it.asked)
            it.release()

        assert (while_full, answers) == (1, [200, 200])


async def test_a_full_stage_is_503_in_time_with_a_time_to_wait(nats_url: str, bus_root: str) -> None:
    shape = Shape(upstream={"max_in_flight": 1}, ingress={"queue_timeout_s": 0.4})
    async with pipeline(nats_url, bus_root, shape) as it, it.ask("sim/text+hold?after=2"):
        await it.until_held()
        began = time.monotonic()
        async with it.ask("sim/text") as response:
            error = (await response.json())["error"]
            took_s = time.monotonic() - began

        assert (response.status, response.headers["Retry-After"], error["code"]) == (503, "1", "no_capacity")
        assert took_s < 1
        it.release()


@both
async def test_a_missing_stage_is_503_and_recorded(nats_url: str, bus_root: str, repair: bool) -> None:
    async with pipeline(nats_url, bus_root, Shape(upstreams=0, repair=repair, ingress={"queue_timeout_s": 0.3})) as it:
        status, body = await it.answer("sim/text")
        done = (await it.dones())[0]

        assert (status, msgspec.json.decode(body)["error"]["code"]) == (503, "no_capacity")
        assert (done.status, done.outcome, done.fault and done.fault.code) == (503, "refused", "no_capacity")
        assert it.listening.missing() == ["upstream"]


# -- dead workers


@asynccontextmanager
async def a_process(
    service: str, it: Pipeline, nats_url: str, folder: Path
) -> AsyncIterator[asyncio.subprocess.Process]:
    """One service as a process of its own: one to kill."""
    config = folder / "moontide.yaml"
    provider = {"kind": "openai", "base_url": it.sim.base_url}
    config.write_text(
        json.dumps(
            {
                "bus": {"root": it.subjects.root},
                "providers": {"sim": provider},
                "models": {"*": {"targets": [{"provider": "sim"}]}},
            }
        )
    )
    environ = {**os.environ, "MOONTIDE_NATS_URL": nats_url, "MOONTIDE_HOME": str(folder)}
    code = "from services.cli.main import main; main()"
    command = [sys.executable, "-c", code, service, "--config", str(config)]
    with (folder / "log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(*command, env=environ, stdout=log, stderr=log)
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


@pytest.mark.parametrize("service", ["upstream", "normalizer"])
async def test_the_last_worker_of_a_stage_killed_in_the_stream_is_an_error_event_in_time(
    nats_url: str, bus_root: str, tmp_path: Path, service: str
) -> None:
    repair = service == "normalizer"
    in_time = {"queue_timeout_s": 0.5}
    shape = Shape(upstreams=int(repair), normalizers=0, repair=repair, has_key=False, ingress=in_time)
    async with pipeline(nats_url, bus_root, shape) as it, a_process(service, it, nats_url, tmp_path) as process:
        await until_ready(it.listening)
        async with it.ask("sim/text+hold?after=4") as response:
            early = await read_events(response, 4)
            process.send_signal(signal.SIGKILL)
            killed_at = time.monotonic()
            with anyio.fail_after(PATIENCE_S):
                rest = await response.read()
            took_s = time.monotonic() - killed_at
        done = (await it.dones())[0]

        assert len(events(early)) == 4
        error = events(rest)[0]["error"]
        assert (len(events(rest)), error["code"]) == (1, "no_capacity")
        assert "died while it answered" in error["message"]
        assert took_s < 3
        assert (done.outcome, done.status) == ("lost", 200)


# -- NATS restarts


@pytest.mark.parametrize("how", ["stopped", "killed"])
async def test_a_restart_of_nats_in_the_stream_loses_nothing(own_nats: NatsServer, how: str) -> None:
    model = "sim/text+hold?chunks=30&after=4"
    async with pipeline(own_nats.url, "restarted") as it:
        async with it.ask(model) as response:
            early = await read_events(response, 4)
            await anyio.to_thread.run_sync(own_nats.stop if how == "stopped" else own_nats.kill)
            it.release()  # the rest comes from the provider while the bus is away
            await it.until(lambda: it.asked[0].outcome != "open")
            await anyio.to_thread.run_sync(own_nats.start)
            with anyio.fail_after(2 * PATIENCE_S):
                rest = await response.read()

        assert early + rest == await it.direct(model)


async def test_requests_are_served_after_a_restart_of_nats(own_nats: NatsServer) -> None:
    async with pipeline(own_nats.url, "restarted", Shape(repair=True)) as it:
        await anyio.to_thread.run_sync(own_nats.kill)
        await anyio.to_thread.run_sync(own_nats.start)
        with anyio.fail_after(PATIENCE_S):
            while not it.listening.worker.bus.is_connected or it.listening.missing():  # noqa: ASYNC110
                await anyio.sleep(0.02)
        status, body = await it.answer("sim/text")

        assert (status, events(body)[-1]) == (200, "[DONE]")


# -- drain


async def test_a_stream_in_hand_is_finished_while_its_workers_drain(nats_url: str, bus_root: str) -> None:
    """What SIGTERM does: the block is left while a stream is on its way."""
    got: list[bytes] = []

    async def finish(it: Pipeline, response: aiohttp.ClientResponse) -> None:
        with anyio.fail_after(PATIENCE_S):
            while not it.workers[-1].is_draining:  # noqa: ASYNC110
                await anyio.sleep(0.005)
        it.release()
        got.append(await response.read())

    async with aiohttp.ClientSession() as session, anyio.create_task_group() as tasks:  # noqa: SIM117 - in this order
        async with pipeline(nats_url, bus_root, Shape(repair=True)) as it:
            url = f"{it.listening.url}/v1/chat/completions"
            response = await session.post(url, json=it.body("sim/text+hold?after=4"))
            await read_events(response, 4)
            tasks.start_soon(finish, it, response)

    assert events(got[0])[-1] == "[DONE]"


async def test_a_draining_ingress_refuses_what_is_new(nats_url: str, bus_root: str) -> None:
    async with pipeline(nats_url, bus_root) as it:
        it.listening.worker._draining = True
        status, body = await it.answer("sim/text")

        assert (status, msgspec.json.decode(body)["error"]["code"]) == (503, "overloaded")
