"""One service alone, for compose and Kubernetes."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any

import click
import structlog

from services.cli import options
from services.cli.connecting import run, settings_or_exit
from services.cli.loading import load_checked
from services.cli.orders import listening_for_orders
from services.cli.process import running
from services.cli.reloading import Reloading, until_stopped
from services.cli.watching import Watch
from services.cli.worker_port import metrics_port
from shared import log
from shared.config import Loaded, files_of

logger = structlog.get_logger("service")


@dataclass(frozen=True, kw_only=True)
class Wish:
    """What the command line asks for."""

    name: str
    file: str | None
    overrides: Mapping[str, Any]
    parent: int | None = None

    def load(self) -> Loaded:
        return load_checked(self.file, [self.name], self.overrides)

    def files(self) -> Collection[str]:
        return files_of(environ=os.environ, file=self.file, overrides=self.overrides, services=[self.name])


async def _serve(loaded: Loaded, wish: Wish) -> None:
    name, watch = wish.name, Watch(wish.files())
    async with AsyncExitStack() as stack:
        services = await stack.enter_async_context(running(loaded, [name]))
        url = services.listening.url if services.listening else services.page_url
        facts = {"url": url} if url else {}
        port = loaded.settings.metrics
        if port.port is not None and services.listening is None:
            facts["metrics"] = await stack.enter_async_context(metrics_port(services.workers[0], port))
        reloading = Reloading(loaded, wish.load, wish.files, watch, services.workers)
        await reloading.begin()
        orders = await stack.enter_async_context(listening_for_orders(wish.parent, watch.run))
        logger.info(log.SERVICE_READY, service=name, **facts)
        await until_stopped(orders, reloading.reload)
        logger.info(log.SERVICE_DRAINING, service=name)
    logger.info(log.SERVICE_STOPPED, service=name)


def _start(
    name: str,
    file: str | None,
    ingress: Mapping[str, Any] | None = None,
    parent: int | None = None,
    metrics_port: int | None = None,
    dashboard: Mapping[str, Any] | None = None,
) -> None:
    said = {"ingress": ingress, "dashboard": dashboard, "metrics": {"port": metrics_port}}
    overrides = {section: values for section, values in said.items() if values}  # {} would put the file's out of force
    wish = Wish(name=name, file=file, overrides=overrides, parent=parent)
    run(_serve, settings_or_exit(file, [name], overrides), wish)


@click.command()
@options.CONFIG
@options.HOST
@options.PORT
def ingress(file: str | None, host: str | None, port: int | None) -> None:
    """The HTTP side of the pipeline."""
    _start("ingress", file, {"host": host, "port": port})


@click.command()
@options.CONFIG
@options.PARENT
@options.METRICS_PORT
def upstream(file: str | None, parent: int | None, metrics_port: int | None) -> None:
    """A worker that calls providers."""
    _start("upstream", file, parent=parent, metrics_port=metrics_port)


@click.command()
@options.CONFIG
@options.PARENT
@options.METRICS_PORT
def normalizer(file: str | None, parent: int | None, metrics_port: int | None) -> None:
    """A worker that repairs answers."""
    _start("normalizer", file, parent=parent, metrics_port=metrics_port)


@click.command()
@options.CONFIG
@options.PARENT
@options.METRICS_PORT
def enforcer(file: str | None, parent: int | None, metrics_port: int | None) -> None:
    """A worker that asks again where an answer is not as it should be."""
    _start("enforcer", file, parent=parent, metrics_port=metrics_port)


@click.command()
@options.CONFIG
@options.PARENT
@options.METRICS_PORT
def sentinel(file: str | None, parent: int | None, metrics_port: int | None) -> None:
    """A worker that looks for loops."""
    _start("sentinel", file, parent=parent, metrics_port=metrics_port)


@click.command()
@options.CONFIG
@options.HOST
@click.option("-p", "--port", type=click.IntRange(0, 65535), help="The port to listen on (default: 9989).")
@options.METRICS_PORT
def dashboard(file: str | None, host: str | None, port: int | None, metrics_port: int | None) -> None:
    """The page for people, at http://127.0.0.1:9989; `up` has it on its own port."""
    _start("dashboard", file, metrics_port=metrics_port, dashboard={"host": host, "port": port})


@click.command()
@options.CONFIG
@options.METRICS_PORT
def recorder(file: str | None, metrics_port: int | None) -> None:
    """A worker that writes the records."""
    _start("recorder", file, metrics_port=metrics_port)
