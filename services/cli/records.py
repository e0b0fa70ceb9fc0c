"""`moontide list` and `moontide inspect`: what was recorded, with the services up or down."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice

import click
import msgspec

from services.cli import options
from services.cli.inspection import PARTS, Inspection
from services.cli.readable import local_time, readable
from services.cli.terminal import Column, block, table, terminal_columns
from shared.config import load
from shared.errors import ConfigError
from shared.records.database import NoRecords, RecordsUnavailable
from shared.records.queries import Filter, Kind, NotFound, Records, Row, reading

WRONG_USAGE = 2
LINES_AT_ONCE = 1000  # rows that are measured together, so that `-n 0` holds no database in memory
NOTHING = "-"
STATES = ("live", "done", "abandoned")

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


@click.command("list")
@options.CONFIG
@click.option("-n", "limit", type=click.IntRange(min=0), default=10, show_default=True, help="How many; 0 for all.")
@click.option("-v", "--verbose", is_flag=True, help="More columns.")
@click.option("--chatonly", "chat_only", is_flag=True, help="Chat completions only.")
@click.option("--model", help="Only those that asked for this model.")
@click.option("--provider", help="Only those that this provider answered.")
@click.option("--status", type=int, help="Only those that the client got this HTTP status for.")
@click.option("--state", type=click.Choice(STATES), help="Only those in this state.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
def list_(
    file: str | None,
    limit: int,
    verbose: bool,
    chat_only: bool,
    model: str | None,
    provider: str | None,
    status: int | None,
    state: str | None,
    as_json: bool,
) -> None:
    """List the recorded exchanges, newest first."""
    which = Filter(model=model, provider=provider, status=status, state=state, chat_only=chat_only)
    with records(file) as found:
        rows = found.newest(limit or None, which)
        if as_json:
            for row in rows:
                click.echo(msgspec.json.encode(row))
        else:
            _print_table(rows, verbose)


@click.command()
@options.CONFIG
@click.argument("name", required=False, metavar="[ID|last]")
@click.option("--id", "id", help="By the number or id that `list` shows.")
@click.option("--chatcmpl", help="By the completion's id.")
@click.option("--requestid", help="By the provider's request id (Msh-Request-Id).")
@click.option("--call", help="The provider's side of this call (c1, c2 …), not the client's; for the --print options.")
@click.option("--print", "parts", help=f"Only these, separated by commas: {', '.join(PARTS)}.")
@click.option("--print-request", is_flag=True, help="The request as raw HTTP.")
@click.option("--print-response", is_flag=True, help="The response as raw HTTP.")
@click.option("--merge-event-stream", "merges", is_flag=True, help="Event streams as the completion they make.")
@click.option("--json", "as_json", is_flag=True, help="Everything as one JSON object.")
def inspect(
    file: str | None,
    name: str | None,
    id: str | None,
    chatcmpl: str | None,
    requestid: str | None,
    call: str | None,
    parts: str | None,
    print_request: bool,
    print_response: bool,
    merges: bool,
    as_json: bool,
) -> None:
    """Show one exchange: what was said, what was mended, what went over which wire and when."""
    kind, wanted = _selector(name, id, chatcmpl, requestid)
    names = _part_names(parts)
    with records(file) as found:
        exchange = found.last() if wanted == "last" and kind == "any" else found.get(wanted, kind)
        inspection = Inspection.of(found, exchange, call, merges)
        if as_json:
            _write(msgspec.json.encode(inspection.as_json(names)) + b"\n")
        elif not (names or print_request or print_response):
            click.echo(readable(inspection))
        else:
            for part in names:
                _write(inspection.part(part) + b"\n")
            _write(inspection.raw_request() if print_request else b"")
            _write(inspection.raw_response() if print_response else b"")


def _selector(name: str | None, id: str | None, chatcmpl: str | None, requestid: str | None) -> tuple[Kind, str]:
    """What one of the ways to name an exchange says; exactly one is needed."""
    ways: list[tuple[Kind, str | None]] = [
        ("any", name),
        ("id", id),
        ("completion", chatcmpl),
        ("provider_request", requestid),
    ]
    given = [(kind, value) for kind, value in ways if value]
    if len(given) != 1:
        raise click.UsageError("name one exchange: an ID, `last`, --id, --chatcmpl or --requestid")
    return given[0]


def _part_names(text: str | None) -> list[str]:
    names = [name.strip() for name in (text or "").split(",") if name.strip()]
    for name in names:
        if name not in PARTS:
            raise click.UsageError(f"--print {name}: there are {', '.join(PARTS)}")
    return names


@contextmanager
def records(file: str | None) -> Iterator[Records]:
    """The records that the configuration names first; what is wrong becomes one line and an exit status."""
    try:
        urls = load(environ=os.environ, file=file, services=["records"]).databases()
    except ConfigError as error:
        click.echo(str(error), err=True)
        raise SystemExit(WRONG_USAGE) from None
    if not urls:
        raise click.ClickException("no sink in the configuration is a database that could be read")
    try:
        with reading(urls[0]) as found:
            yield found
    except (NoRecords, NotFound) as error:
        raise click.ClickException(str(error)) from None
    except RecordsUnavailable as error:
        raise click.ClickException(f"the records can't be read: {error}") from None


def _print_table(rows: Iterator[Row], verbose: bool) -> None:
    """Page by page, so that all of a large database can be listed; widths are those of a page."""
    columns = COLUMNS + MORE_COLUMNS if verbose else COLUMNS
    is_first = True
    while page := list(islice(rows, LINES_AT_ONCE)):
        lines = table(columns, [_cells(row, verbose) for row in page], terminal_columns())
        click.echo("\n".join(lines if is_first else lines[1:]))
        is_first = False


def _cells(row: Row, verbose: bool) -> list[str]:
    tokens = f"{row['prompt_tokens']}+{row['completion_tokens']}" if row["prompt_tokens"] is not None else None
    repairs = ", ".join(f"{name} {count}" for name, count in (row["repairs"] or {}).items())
    outcome = row["outcome"] if row["state"] == "done" else row["state"]
    named = (row["completion_id"], row["provider_request_id"])
    cells = [row["number"], row["status"], outcome, row["model"], tokens, repairs, *named, local_time(row["at"])]
    if verbose:
        latency = f"{row['latency_s']:.2f}s" if row["latency_s"] is not None else None
        whence = (row["provider"], row["user_id"], row["server_timing"], row["response_type"], row["id"])
        cells += [latency, row["method"], row["path"], *whence]
    return [NOTHING if cell in (None, "") else str(cell) for cell in cells]


def _write(data: bytes) -> None:
    """Exactly, except onto a terminal, which must not obey what a model or a client said."""
    if sys.stdout.isatty():
        click.echo(block(data.decode("utf-8", "replace")), nl=False)
    else:
        click.echo(data, nl=False)
