"""Resident memory of Moontide over many requests: it must level off, for nothing of a request may survive it.

    .venv/bin/python -m benchmarks.memory [--requests 20000] [--rounds 10] [--at-a-time 32]

Each round sends as many plain requests and a tenth as many streams of 200 chunks through `moontide up` (recording on,
its own home), then waits for a moment and reads what each process holds.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import sys
import tempfile
from collections.abc import Iterator

import aiohttp
import anyio
import psutil

from benchmarks.pipeline import plain, process, stream

STREAMS_PER_PLAIN = 0.1
REST_S = 2.0
MIB = 2**20


@contextlib.contextmanager
def moontide() -> Iterator[tuple[str, list[psutil.Process]]]:
    """`moontide up` before a simulated provider: its base_url, and its processes."""
    with (
        tempfile.TemporaryDirectory() as home,
        process("provider-sim", "--port", "0", home=home, says=r"listens on (\S+),") as (_, direct),
    ):
        os.environ["MOONTIDE_PROVIDERS"] = json.dumps({"sim": {"kind": "openai", "base_url": direct}})
        os.environ["MOONTIDE_MODELS"] = json.dumps({"*": {"targets": [{"provider": "sim"}]}})
        with process("up", "--port", "0", home=home, says=r"base_url=(\S+)") as (up, through):
            family = psutil.Process(up.pid)
            yield through, [family, *family.children(recursive=True)]


async def one_round(url: str, requests: int, at_a_time: int) -> None:
    jobs = iter([plain] * requests + [stream] * int(requests * STREAMS_PER_PLAIN))

    async def client(session: aiohttp.ClientSession) -> None:
        for ask in jobs:
            await ask(session, url)

    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector) as session, anyio.create_task_group() as tasks:
        for _ in range(at_a_time):
            tasks.start_soon(client, session)
    await anyio.sleep(REST_S)


async def measure(url: str, processes: list[psutil.Process], rounds: int, requests: int, at_a_time: int) -> None:
    print(f"{'requests':>10}" + "".join(f"{one.name():>16}" for one in processes) + "   MiB resident")
    for number in range(rounds + 1):
        held = "".join(f"{one.memory_info().rss / MIB:>16.1f}" for one in processes)
        print(f"{number * requests:>10,}{held}", flush=True)
        if number < rounds:
            await one_round(url, requests, at_a_time)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--requests", type=int, default=20_000, help="of a round")
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--at-a-time", type=int, default=32)
    options = parser.parse_args()
    with moontide() as (url, processes):
        how = (options.rounds, options.requests, options.at_a_time)
        anyio.run(measure, url, processes, *how, backend_options={"use_uvloop": sys.platform != "win32"})


if __name__ == "__main__":
    main()
