"""`moontide cleanup`: old exchanges out of the records, and their room given back."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice

import click

from services.cli import options
from services.cli.records import records_url, telling
from services.cli.selecting import the_predicate
from services.recorder.store import Store
from shared.records.moments import moment
from shared.records.names import EXCHANGES
from shared.records.queries import Filter, reading

DAY_S = 24 * 3600.0
KEPT_DAYS = 7
AT_ONCE = 500  # exchanges in one transaction, so that no recorder waits for long
COLUMNS = (EXCHANGES.c.number, EXCHANGES.c.id, EXCHANGES.c.state)
UNITS = {"": 1, "k": 1024, "m": 1024**2, "g": 1024**3, "t": 1024**4}
SIZE = re.compile(r"(?i)^(\d+(?:\.\d+)?)\s*([kmgt]?)(?:i?b)?$")


def _moment(_context: click.Context, _option: click.Parameter, value: str | None) -> float | None:
    try:
        return moment(value, time.time()) if value is not None else None
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


def _size(_context: click.Context, _option: click.Parameter, value: str | None) -> int | None:
    found = SIZE.match(value.strip()) if value is not None else None
    if value is not None and found is None:
        raise click.BadParameter(f"{value!r} is no size: write 500M or 2GiB")
    return int(float(found[1]) * UNITS[found[2].lower()]) if found else None


@click.command()
@options.CONFIG
@click.option("--before", callback=_moment, help="Those that were asked for before: 7d, 2026-11-20 … (default: 7d).")
@click.option("-p", "--predicate", "predicates", multiple=True, help="Only those that fit; all, if repeated.")
@click.option("--keep-size", callback=_size, metavar="SIZE", help="The oldest, until the records take no more: 2GiB.")
@click.option("--dry-run", is_flag=True, help="Only say how many.")
def cleanup(
    file: str | None, before: float | None, predicates: tuple[str, ...], keep_size: int | None, dry_run: bool
) -> None:
    """Delete old exchanges, while a recorder writes or with everything down."""
    if keep_size is not None and (before is not None or predicates):
        raise click.UsageError("--keep-size alone: it deletes the oldest, whatever they are")
    until = before if before is not None else time.time() - KEPT_DAYS * DAY_S
    which = Filter(until=until, predicate=the_predicate(predicates) if predicates else None)
    url = records_url(file)
    with telling():
        if dry_run:
            click.echo(_expected(url, which, keep_size))
        else:
            click.echo(_clean(url, which, keep_size))


def _expected(url: str, which: Filter, keep_size: int | None) -> str:
    with reading(url) as found:
        if keep_size is not None:
            return f"about {found.exchanges_past(keep_size)} would be deleted"
    return f"{sum(len(ids) for ids in _batches(url, which))} would be deleted"


def _clean(url: str, which: Filter, keep_size: int | None) -> str:
    with reading(url):
        pass  # no records: that is said, and none are made
    store = Store.open(url, "cleanup")
    try:
        before = store.used_bytes()
        deleted = _shrink(store, keep_size) if keep_size is not None else sum(map(store.delete, _batches(url, which)))
        freed = max(0, before - store.used_bytes())
        while store.give_back():
            pass
    finally:
        store.close()
    return f"{deleted} deleted, {freed:,} bytes free again"


def _shrink(store: Store, keep_size: int) -> int:
    deleted = 0
    while some := store.shrink(keep_size):
        deleted += some
    return deleted


def _batches(url: str, which: Filter) -> Iterator[list[str]]:
    """The ids of those that are over, newest first. Nothing is open between two batches, so that no old state of the
    database must be kept for a reader, and a predicate looks at each exchange once."""
    below: int | None = None
    while True:
        with reading(url) as found:
            rows = list(islice(found.columns(replace(which, number_below=below), *COLUMNS), AT_ONCE))
        if not rows:
            return
        below = rows[-1][0]
        yield [id for _, id, state in rows if state != "live"]
