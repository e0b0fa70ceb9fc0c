"""One service alone, for compose and Kubernetes."""

from __future__ import annotations

from typing import Any

import click
import structlog

from services.cli import options
from services.cli.process import run, running, settings_or_exit, until_told_to_stop
from shared import log
from shared.config import Loaded

logger = structlog.get_logger("service")


async def _serve(loaded: Loaded, name: str, parent: int | None) -> None:
    async with running(loaded, [name]) as services:
        url = services.listening.url if services.listening else services.page_url
        logger.info(log.SERVICE_READY, service=name, **({"url": url} if url else {}))
        await until_told_to_stop(parent)
        logger.info(log.SERVICE_DRAINING, service=name)
    logger.info(log.SERVICE_STOPPED, service=name)


def _start(name: str, file: str | None, overrides: dict[str, Any] | None = None, parent: int | None = None) -> None:
    run(_serve, settings_or_exit(file, [name], overrides), name, parent)


@click.command()
@options.CONFIG
@options.HOST
@options.PORT
def ingress(file: str | None, host: str | None, port: int | None) -> None:
    """The HTTP side of the pipeline."""
    _start("ingress", file, {"ingress": {"host": host, "port": port}})


@click.command()
@options.CONFIG
@options.PARENT
def upstream(file: str | None, parent: int | None) -> None:
    """A worker that calls providers."""
    _start("upstream", file, parent=parent)


@click.command()
@options.CONFIG
@options.PARENT
def normalizer(file: str | None, parent: int | None) -> None:
    """A worker that repairs answers."""
    _start("normalizer", file, parent=parent)


@click.command()
@options.CONFIG
@options.PARENT
def sentinel(file: str | None, parent: int | None) -> None:
    """A worker that looks for loops."""
    _start("sentinel", file, parent=parent)


@click.command()
@options.CONFIG
@options.HOST
@click.option("-p", "--port", type=click.IntRange(0, 65535), help="The port to listen on (default: 9989).")
def dashboard(file: str | None, host: str | None, port: int | None) -> None:
    """The page for people, at http://127.0.0.1:9989; `up` has it on its own port."""
    _start("dashboard", file, {"dashboard": {"host": host, "port": port}})


@click.command()
@options.CONFIG
def recorder(file: str | None) -> None:
    """A worker that writes the records."""
    _start("recorder", file)
