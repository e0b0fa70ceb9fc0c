"""`moontide up`: everything on this machine, in one process and an embedded NATS server."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Collection, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import anyio
import click
from filelock import FileLock, Timeout

from services.cli import options
from services.cli.children import Children, Scale, children, parse_scale
from services.cli.connecting import run, settings_or_exit
from services.cli.loading import load_checked
from services.cli.nats_server import nats_server
from services.cli.nats_sub import nats_sub
from services.cli.orders import Order, Orders, listening_for_orders, listening_to
from services.cli.process import IN_ORDER, READY_WITHIN_S, running, until_ready
from services.cli.reloading import Reloading, until_stopped
from services.cli.repeat import Repeat, repeat_of, with_repeat
from services.cli.state import announced, private_folder
from services.cli.watching import Watch
from shared.config import Loaded, Settings, files_of
from shared.errors import MoontideError
from shared.secrets import scrub


class AlreadyUp(MoontideError):
    """Tell the operator: another `up` has this home."""


@dataclass(frozen=True, kw_only=True)
class Wish:
    """What the command line asks for."""

    file: str | None = None
    overrides: Mapping[str, Any] = field(default_factory=dict)
    environ: Mapping[str, str] = field(default_factory=lambda: os.environ)
    scale: Scale = field(default_factory=dict)
    repeat: Repeat | None = None  # for every model
    demo: bool = False
    once: bool = False  # the demo only: stop after it


@click.command()
@options.CONFIG
@options.HOST
@options.PORT
@click.option("-k", "--key", metavar="KEY", help="The provider's API key; $MOONSHOT_API_KEY keeps it out of `ps`.")
@click.option(
    "--force-stream", is_flag=True, default=None, help="Ask providers for a stream, whatever the client asks."
)
@options.DETECT_REPEAT
@options.REPEAT_THRESHOLD
@options.REPEAT_MIN_LENGTH
@click.option("--scale", metavar="NAME=N,…", help="Run a worker as N processes: normalizer=2,upstream=2.")
@click.option("--demo", "demo_", is_flag=True, help="Use the simulated provider, and show three mended answers.")
@click.option("--once", is_flag=True, help="With --demo: stop after the demonstration.")
def up(
    file: str | None,
    host: str | None,
    port: int | None,
    key: str | None,
    force_stream: bool | None,
    detect_repeat: bool,
    repeat_threshold: float | None,
    repeat_min_length: int | None,
    scale: str | None,
    demo_: bool,
    once: bool,
) -> None:
    """Everything on this machine, at http://127.0.0.1:9988."""
    overrides = {"ingress": {"host": host, "port": port, "force_stream": force_stream}}
    wish = Wish(
        file=file,
        overrides=overrides,
        environ=with_key(os.environ, key),
        scale=parse_scale(scale),
        repeat=repeat_of(detect_repeat, repeat_threshold, repeat_min_length),
        demo=demo_,
        once=once,
    )
    bring_up(wish)


def with_key(environ: Mapping[str, str], key: str | None) -> Mapping[str, str]:
    """The environment with the key of the command line in it."""
    return {**environ, "MOONSHOT_API_KEY": key} if key else environ


def bring_up(wish: Wish) -> None:
    """Runs everything until a signal comes."""
    run(_up, wish)


async def _up(wish: Wish) -> None:
    """Whoever is told to stop while everything starts ends what was started: the NATS server would go on by itself."""
    async with listening_for_orders() as orders, anyio.create_task_group() as tasks:
        starting = anyio.CancelScope()

        async def stop_early() -> None:
            with starting:
                await orders.until_stop()
                tasks.cancel_scope.cancel()

        tasks.start_soon(stop_early)
        await _run(wish, orders, starting.cancel)
        tasks.cancel_scope.cancel()


async def _run(wish: Wish, orders: Orders, started: Callable[[], None]) -> None:
    async with AsyncExitStack() as stack:
        overrides = dict(wish.overrides)
        if wish.demo:
            from services.cli import demo  # with a whole provider behind it, which nobody else wants

            overrides |= await stack.enter_async_context(demo.provider())
        loaded = _loaded(wish, overrides)
        watch = Watch(_files(wish, overrides))
        settings = loaded.settings
        home = str(private_folder(settings.home))
        stack.enter_context(_only_one(home))
        store_bytes = 4 * settings.bus.capture.max_bytes
        url = settings.bus.url
        if url is None:
            url = await stack.enter_async_context(nats_server(home, store_bytes))
        stack.enter_context(announced(home, nats_url=url))
        names = [name for name in IN_ORDER if name not in wish.scale]
        environ = {**wish.environ, **_as_variables(overrides), "MOONTIDE_NATS_URL": url}
        family = await stack.enter_async_context(children(wish.scale, wish.file, environ))
        services = await stack.enter_async_context(running(loaded, names, url))
        if services.listening is None:
            raise MoontideError("the ingress can't be scaled within `up`")
        missing = await until_ready(services.listening)
        if missing:
            raise MoontideError(f"not ready after {READY_WITHIN_S:g} s, missing: {', '.join(missing)}")
        stack.enter_context(announced(home, nats_url=url, url=services.listening.url))
        load, files = partial(_load, wish, overrides), partial(_files, wish, overrides)
        reloading = Reloading(loaded, load, files, watch, services.workers)
        await reloading.begin()
        await stack.enter_async_context(listening_to(orders, watch.run))
        started()
        _say_ready(loaded, services.listening.url, services.page_url, url)
        if wish.demo:
            await demo.show(services.listening.url, settings)
        if not wish.once:
            await until_stopped(orders, partial(_reload, reloading, family))
        click.echo("Finishing what is in hand …", err=True)


async def _reload(reloading: Reloading, family: Children, order: Order) -> None:
    """The scaled workers look at the files themselves; a signal comes to this process alone."""
    if order is Order.RELOAD_ALL:
        family.reload()
    await reloading.reload()


def _loaded(wish: Wish, overrides: Mapping[str, Any]) -> Loaded:
    loaded = settings_or_exit(wish.file, IN_ORDER, overrides, wish.environ)
    return loaded if wish.repeat is None else _load(wish, overrides)


def _load(wish: Wish, overrides: Mapping[str, Any]) -> Loaded:
    """As the command line wants them; raises ConfigError."""
    loaded = load_checked(wish.file, IN_ORDER, overrides, wish.environ)
    if wish.repeat is None:
        return loaded
    return load_checked(wish.file, IN_ORDER, with_repeat(overrides, loaded.settings, wish.repeat), wish.environ)


def _files(wish: Wish, overrides: Mapping[str, Any]) -> Collection[str]:
    return files_of(environ=wish.environ, file=wish.file, overrides=overrides, services=IN_ORDER)


def _only_one(home: str) -> FileLock:
    lock = FileLock(os.path.join(home, "up.lock"), timeout=0, mode=0o600)
    try:
        lock.acquire()
    except Timeout:
        raise AlreadyUp(f"another `moontide up` runs with {home}; stop it, or set MOONTIDE_HOME") from None
    return lock


def _as_variables(overrides: Mapping[str, Any]) -> dict[str, str]:
    """Whole sections of the command line as environment variables, for child processes."""
    return {
        f"MOONTIDE_{name.upper()}": json.dumps(overrides[name]) for name in ("providers", "models") if name in overrides
    }


def _say_ready(loaded: Loaded, url: str, page_url: str | None, nats_url: str) -> None:
    settings = loaded.settings
    lines = [f"Moontide is ready: base_url={url}/v1"]
    lines.append(f"  page     {page_url}")
    lines.append(f"  records  {scrub(settings.records[0].url)}   (moontide list, moontide inspect last)")
    lines.append("  watch    moontide tap")
    lines.append(f"  or       {nats_sub(settings, nats_url, f'{settings.bus.root}.req.>')}")
    lines += [f"  note     {note}" for note in _notes(settings)]
    click.echo("\n".join(lines), err=True)


def _notes(settings: Settings) -> list[str]:
    used = {target.provider for model in settings.models.values() for target in model.targets}
    keyless = [
        name
        for name, provider in settings.providers.items()
        if name in used and provider.kind == "moonshot" and not provider.api_key
    ]
    return [
        f"no API key for {name}: set MOONSHOT_API_KEY, or let clients send their own as `Authorization: Bearer …`"
        for name in keyless
    ]
