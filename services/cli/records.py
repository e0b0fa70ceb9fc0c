"""Opening the records for a command that reads them, with the services up or down."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import click

from services.cli.terminal import block
from shared.config import load
from shared.errors import ConfigError
from shared.records.database import NoRecords, RecordsUnavailable
from shared.records.queries import Kind, NotFound, Records, Row, reading

WRONG_USAGE = 2


def records_url(file: str | None) -> str:
    """The database that the configuration names first; its problems on stderr and exit status 2."""
    try:
        urls = load(environ=os.environ, file=file, services=["records"]).databases()
    except ConfigError as error:
        click.echo(str(error), err=True)
        raise SystemExit(WRONG_USAGE) from None
    if not urls:
        raise click.ClickException("no sink in the configuration is a database that could be read")
    return urls[0]


@contextmanager
def records(file: str | None) -> Iterator[Records]:
    """Those records, for reading; what is wrong becomes one line and an exit status."""
    url = records_url(file)
    with telling(), reading(url) as found:
        yield found


@contextmanager
def telling(done: str = "read") -> Iterator[None]:
    """What is not there, or can't be used, as one line and exit status 1."""
    try:
        yield
    except (NoRecords, NotFound) as error:
        raise click.ClickException(str(error)) from None
    except RecordsUnavailable as error:
        raise click.ClickException(f"the records can't be {done}: {error}") from None


def exchange_called(found: Records, kind: Kind, name: str) -> Row:
    """One exchange; raises NotFound."""
    return found.last() if name == "last" and kind == "any" else found.get(name, kind)


def write(data: bytes) -> None:
    """Exactly, except onto a terminal, which must not obey what a model or a client said."""
    if sys.stdout.isatty():
        click.echo(block(data.decode("utf-8", "replace")), nl=False)
    else:
        click.echo(data, nl=False)
