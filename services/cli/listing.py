"""`moontide list`: which exchanges there are, with the services up or down."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import click
import msgspec

from services.cli import options
from services.cli.exporting.places import Folder
from services.cli.records import records
from services.cli.selecting import NO_MATCH, filtered, marked, the_filter
from services.cli.terminal import Column, table, terminal_columns
from shared.records.exports.shapes import moonpalace_shape
from shared.records.exports.whole import Whole
from shared.records.marks import Marks
from shared.records.moments import local_time
from shared.records.queries import Records, Row

ROWS_AT_ONCE = 1000  # that are measured together, so that `-n 0` holds no database in memory
NOTHING = "-"

COLUMNS = (
    Column("id", right=True),
    Column("status", right=True),
    Column("outcome"),
    Column("model", gives_way=True),
    Column("tokens", right=True),
    Column("repairs", gives_way=True),
    Column("chatcmpl", gives_way=True),
    Column("request_id", gives_way=True),
    Column("requested_at"),
)
MORE_COLUMNS = (
    Column("latency", right=True),
    Column("method"),
    Column("url", gives_way=True),
    Column("provider"),
    Column("user_id"),
    Column("server_timing", gives_way=True),
    Column("content_type", gives_way=True),
    Column("moontide_id"),
)
MARKS = Column("marks", gives_way=True)

Marked = tuple[Row, Marks]


@click.command("list")
@options.CONFIG
@click.option("-n", "limit", type=click.IntRange(min=0), default=10, show_default=True, help="How many; 0 for all.")
@click.option("-v", "--verbose", is_flag=True, help="More columns.")
@filtered
@marked
@click.option("--id", "named", metavar="NAME", help="Only those that are called so: any id, of a tool call as well.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
@click.option("--export", "folder", type=click.Path(file_okay=False, path_type=Path), help="Export them there, too.")
@click.option("--escape-html", is_flag=True, help="With --export: \\u003c for < and so on.")
def list_(
    file: str | None,
    limit: int,
    verbose: bool,
    as_json: bool,
    folder: Path | None,
    escape_html: bool,
    **filters: Any,
) -> None:
    """List the recorded exchanges, newest first."""
    if escape_html and folder is None:
        raise click.UsageError("--escape-html goes with --export")
    which = the_filter(filters)
    with records(file) as found:
        rows = found.newest(limit or None, which)
        if folder is not None:
            rows = _exported(found, rows, folder, escape_html)
        if as_json:
            _print_lines(found, rows)
        else:
            _print_table(found, rows, verbose)


def _exported(found: Records, rows: Iterable[Row], folder: Path, escape_html: bool) -> Iterator[Row]:
    """Hands each on once it is written."""
    place = Folder(moonpalace_shape(None, escape_html), folder)
    try:
        yield from (whole.exchange for whole in place.take(Whole.read(found, row) for row in rows))
    except OSError as error:
        raise click.ClickException(f"can't write {error.filename or folder}: {error.strerror}") from None


def _pages(found: Records, rows: Iterator[Row]) -> Iterator[list[Marked]]:
    while page := list(islice(rows, ROWS_AT_ONCE)):
        marks = found.marks_of_all([row["id"] for row in page])
        yield [(row, marks.get(row["id"], Marks())) for row in page]


def _print_lines(found: Records, rows: Iterator[Row]) -> None:
    for page in _pages(found, rows):
        for row, marks in page:
            said = {"category": marks.category, "tags": marks.tags, "notes": marks.notes}
            click.echo(msgspec.json.encode(row | said))


def _print_table(found: Records, rows: Iterator[Row], verbose: bool) -> None:
    """Page by page, so that all of a large database can be listed; widths are those of a page."""
    columns = COLUMNS + MORE_COLUMNS if verbose else COLUMNS
    is_first = True
    for page in _pages(found, rows):
        has_marks = any(marks != Marks() for _, marks in page)
        cells = [_cells(row, marks, verbose, has_marks) for row, marks in page]
        lines = table((*columns, MARKS) if has_marks else columns, cells, terminal_columns())
        click.echo("\n".join(lines if is_first else lines[1:]))
        is_first = False
    if is_first:
        click.echo(NO_MATCH, err=True)


def _cells(row: Row, marks: Marks, verbose: bool, has_marks: bool) -> list[str]:
    tokens = f"{row['prompt_tokens']}+{row['completion_tokens']}" if row["prompt_tokens"] is not None else None
    repairs = ", ".join(f"{name} {count}" for name, count in (row["repairs"] or {}).items())
    outcome = row["outcome"] if row["state"] == "done" else row["state"]
    named = (row["completion_id"], row["provider_request_id"])
    cells = [row["number"], row["status"], outcome, row["model"], tokens, repairs, *named, local_time(row["at"])]
    if verbose:
        latency = f"{row['latency_s']:.2f}s" if row["latency_s"] is not None else None
        whence = (row["provider"], row["user_id"], row["server_timing"], row["response_type"], row["id"])
        cells += [latency, row["method"], row["path"], *whence]
    if has_marks:
        cells.append(" ".join([*filter(None, [marks.category]), *(f"#{tag}" for tag in marks.tags), *marks.notes]))
    return [NOTHING if cell in (None, "") else str(cell) for cell in cells]
