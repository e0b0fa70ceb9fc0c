"""`moontide tap`: watch requests on the bus, live or from their start, as readable text."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator

import anyio
import click

from services.cli import options
from services.cli.connecting import connect, run, settings_or_exit
from services.cli.nats_sub import nats_sub
from services.cli.orders import listening_for_orders
from services.cli.state import running_url
from shared.bus import Bus, Captured, Delivery
from shared.config import Loaded
from shared.ids import is_id
from shared.secrets import scrub
from shared.subjects import Subjects

BUFFERED = 100_000  # messages a terminal may lag behind
SHOWN_CHARACTERS = 4000  # of one message; the record has the rest


@click.command()
@options.CONFIG
@click.argument("id", required=False)
@click.option("--from-start", is_flag=True, help="What passed already first, from the capture stream.")
def tap(file: str | None, id: str | None, from_start: bool) -> None:
    """Watch one request, or all of them."""
    if id is not None and not is_id(id):
        raise click.UsageError(f"{id!r} is no request id: take it from the X-Moontide-Request-Id header")
    if from_start and id is None:
        raise click.UsageError("--from-start needs a request id")
    run(_tap, settings_or_exit(file, []), id, from_start)


async def _tap(loaded: Loaded, id: str | None, from_start: bool) -> None:
    bus = await connect(loaded.settings, loaded, "tap")
    subjects = Subjects(loaded.settings.bus.root)
    subject = subjects.of_request(id) if id else subjects.captured
    url = running_url(loaded.settings.home) or ""
    click.echo(f"# the same, plain: {nats_sub(loaded.settings, url, subject)}", err=True)
    try:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_stop_at_signal, tasks.cancel_scope)
            async for at, name, data in _messages(bus, subject, from_start):
                tokens = subjects.below_request(name)
                click.echo(line(at, tokens, data))
                if id is not None and tokens[1:] == ["done"]:
                    tasks.cancel_scope.cancel()
    finally:
        await bus.close()


async def _stop_at_signal(scope: anyio.CancelScope) -> None:
    async with listening_for_orders() as orders:
        await orders.next()
    scope.cancel()


async def _messages(bus: Bus, subject: str, from_start: bool) -> AsyncIterator[tuple[float, str, bytes]]:
    if from_start:
        async for captured in bus.follow(subject):
            yield captured.at, captured.subject, captured.data
    send, receive = anyio.create_memory_object_stream[Captured](BUFFERED)

    async def hear(message: Delivery) -> None:
        await send.send(Captured(0, message.subject, message.data, time.time()))

    await bus.subscribe(subject, hear)
    async with send, receive:
        async for captured in receive:
            yield captured.at, captured.subject, captured.data


def line(at: float, tokens: list[str], data: bytes) -> str:
    """`12:30:01.123  01J…  c1.raw.data  data: {"id": …` with control characters made visible."""
    clock = time.strftime("%H:%M:%S", time.localtime(at)) + f".{int(at % 1 * 1000):03d}"
    what = ".".join(tokens[1:3] + tokens[4:]) if len(tokens) == 5 else ".".join(tokens[1:])
    return f"{clock}  {tokens[0]}  {what:<16}  {readable(data)}"


def readable(data: bytes) -> str:
    """Text on one line; keys never show, whoever put them there."""
    text = data.decode("utf-8", "replace").strip()
    shown = text if len(text) <= SHOWN_CHARACTERS else f"{text[:SHOWN_CHARACTERS]} … ({len(text)} characters)"
    return "".join(char if char.isprintable() else json.dumps(char)[1:-1] for char in scrub(shown))
