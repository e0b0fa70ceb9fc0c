"""`moontide migrate`: the records' tables brought up to date, and said from what to what."""

from __future__ import annotations

import click

from services.cli import options
from services.cli.loading import load_or_exit
from shared.records.database import NoRecords, RecordsUnavailable, place_of, unavailable, unmigrated
from shared.records.revisions import migrate as migrated
from shared.records.revisions import misfit
from shared.records.space import compact as compacted


@click.command()
@options.CONFIG
@click.option("--url", help="This database instead of those in the configuration.")
@click.option("--compact", is_flag=True, help="Rewrite an SQLite file so that it gives space back from now on.")
def migrate(file: str | None, url: str | None, compact: bool) -> None:
    """Bring the tables of the records up to date. The recorder does that itself when it starts."""
    for one in [url] if url else _configured(file):
        try:
            _migrate(one, compact)
        except (NoRecords, RecordsUnavailable) as error:
            raise click.ClickException(str(error)) from None


def _configured(file: str | None) -> list[str]:
    return load_or_exit(file, ["records"]).databases()


def _migrate(url: str, compact: bool) -> None:
    with unavailable():
        engine = unmigrated(url)
        try:
            with engine.begin() as connection:
                before, after = migrated(connection)
            why = misfit(after)
            if why is not None:
                raise RecordsUnavailable(why)
            told = "is at" if before == after else f"from {before or 'nothing'} to"
            click.echo(f"{place_of(url)}: {told} revision {after}")
            if compact:
                click.echo(f"{place_of(url)}: {compacted(engine)}")
        finally:
            engine.dispose()
