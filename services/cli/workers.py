"""The live workers, one container's health, and stopping a request by hand."""

from __future__ import annotations

import json
import socket
import time
from contextlib import suppress

import anyio
import click
import msgspec

from services.cli import options
from services.cli.connecting import connect, run, settings_or_exit
from shared.bus import Bus, BusUnavailable, Delivery
from shared.config import Loaded
from shared.contracts import Cancel, Heartbeat, decode, encode
from shared.ids import is_id
from shared.roster import BEAT_S
from shared.subjects import Subjects

LISTEN_S = 1.3 * BEAT_S  # every live worker beats within this
STOPPED_WITHIN_S = 3.0  # a running request that is cancelled is over by then


async def _heard(loaded: Loaded, listen_s: float) -> list[Heartbeat]:
    """The newest beat of each worker that is heard."""
    beats: dict[str, Heartbeat] = {}

    async def hear(message: Delivery) -> None:
        beat = decode(Heartbeat, message.data)
        beats[beat.instance] = beat

    bus = await connect(loaded.settings, loaded, "workers")
    try:
        await bus.subscribe(Subjects(loaded.settings.bus.root).workers, hear)
        await anyio.sleep(listen_s)
    finally:
        await bus.close()
    return sorted(beats.values(), key=lambda beat: (beat.service, beat.instance))


@click.command()
@options.CONFIG
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
def workers(file: str | None, as_json: bool) -> None:
    """The live workers, from their heartbeats."""
    loaded = settings_or_exit(file, [])
    run(_print_workers, loaded, as_json)


async def _print_workers(loaded: Loaded, as_json: bool) -> None:
    beats = await _heard(loaded, LISTEN_S)
    for beat in beats if as_json else ():
        facts = msgspec.to_builtins(beat)
        facts.pop("type")
        click.echo(json.dumps({**facts, "uptime_s": round(beat.at - beat.started_at, 1)}))
    if not as_json:
        _print_table(beats)
    if not beats:
        raise click.ClickException("no worker was heard")


def _print_table(beats: list[Heartbeat]) -> None:
    rows = [("SERVICE", "INSTANCE", "PID", "HOST", "IN FLIGHT", "CAPACITY", "VERSION", "SETTINGS", "UPTIME")]
    rows += [
        (
            beat.service + (" (draining)" if beat.draining else ""),
            beat.instance,
            str(beat.pid),
            beat.host,
            str(beat.in_flight),
            str(beat.capacity),
            beat.version,
            _settings(beat),
            f"{beat.at - beat.started_at:.0f}s",
        )
        for beat in beats
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows if beats else ():
        click.echo("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
    for beat in beats:
        for lag in beat.lags:
            behind = f"{lag.messages} messages, {lag.behind_s:g} s behind" if lag.messages else "all written"
            click.echo(f"{beat.instance}: {lag.sink}: {behind}")


def _settings(beat: Heartbeat) -> str:
    """Which ones, and how many there were before them in this process."""
    return f"{beat.settings} #{beat.generation}" if beat.generation else ""


@click.command()
@options.CONFIG
def health(file: str | None) -> None:
    """Exit status 0 when a worker of this host was heard: a container's health check."""
    run(_check_health, settings_or_exit(file, []))


async def _check_health(loaded: Loaded) -> None:
    here = socket.gethostname()
    if not any(beat.host == here for beat in await _heard(loaded, LISTEN_S)):
        raise click.ClickException(f"no worker on {here} was heard within {LISTEN_S:g} s")


@click.command()
@options.CONFIG
@click.argument("id")
@click.option("--why", default="stopped by hand", show_default=True, help="What its client and its record are told.")
def cancel(file: str | None, id: str, why: str) -> None:
    """Stop a running request."""
    if not is_id(id):
        raise click.UsageError(f"{id!r} is no request id: take it from the X-Moontide-Request-Id header")
    run(_cancel, settings_or_exit(file, []), id, why)


async def _is_over(bus: Bus, done: str) -> bool:
    """As far as the capture stream can say: a request can be stopped without it."""
    with suppress(BusUnavailable):
        return bool(await bus.history(done, limit=1))
    return False


async def _cancel(loaded: Loaded, id: str, why: str) -> None:
    bus = await connect(loaded.settings, loaded, "cancel")
    subjects = Subjects(loaded.settings.bus.root)
    done = anyio.Event()

    async def hear(message: Delivery) -> None:
        if message.subject == subjects.done(id):
            done.set()

    try:
        if await _is_over(bus, subjects.done(id)):
            raise click.ClickException(f"request {id} is over")
        await bus.subscribe(subjects.of_request(id), hear)
        await bus.publish(subjects.cancel(id), encode(Cancel(by="operator", why=why)))
        with anyio.move_on_after(STOPPED_WITHIN_S):
            await done.wait()
    finally:
        await bus.close()
    if not done.is_set():
        raise click.ClickException(f"no request {id} is running")
    click.echo(f"cancelled {id} at {time.strftime('%H:%M:%S')}", err=True)
