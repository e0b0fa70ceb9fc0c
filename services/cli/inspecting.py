"""`moontide inspect`: one exchange, for a person or to the byte."""

from __future__ import annotations

import click
import msgspec

from services.cli import options
from services.cli.inspection import PARTS, Inspection
from services.cli.readable import readable
from services.cli.records import exchange_called, records, write
from services.cli.selecting import named, the_one
from services.cli.terminal import terminal_columns


@click.command()
@options.CONFIG
@named
@click.option("--call", help="The provider's side of this call (c1, c2 …), not the client's; for the --print options.")
@click.option("--print", "parts", help=f"Only these, separated by commas: {', '.join(PARTS)}.")
@click.option("--print-request", is_flag=True, help="The request as raw HTTP.")
@click.option("--print-response", is_flag=True, help="The response as raw HTTP.")
@click.option("--merge-event-stream", "merges", is_flag=True, help="Event streams as the completion they make.")
@click.option("--all", "shows_all", is_flag=True, help="All messages, none of them shortened.")
@click.option("--json", "as_json", is_flag=True, help="Everything as one JSON object.")
def inspect(
    file: str | None,
    call: str | None,
    parts: str | None,
    print_request: bool,
    print_response: bool,
    merges: bool,
    shows_all: bool,
    as_json: bool,
    **names: str | None,
) -> None:
    """Show one exchange: what was said, what was mended, what went over which wire and when."""
    kind, name = the_one(names)
    shown = _part_names(parts)
    with records(file) as found:
        inspection = Inspection.of(found, exchange_called(found, kind, name), call, merges)
        if as_json:
            write(msgspec.json.encode(inspection.as_json(shown)) + b"\n")
        elif not (shown or print_request or print_response):
            click.echo(readable(inspection, terminal_columns(), shows_all))
        else:
            for part in shown:
                write(inspection.part(part) + b"\n")
            write(inspection.raw_request() if print_request else b"")
            write(inspection.raw_response() if print_response else b"")


def _part_names(text: str | None) -> list[str]:
    names = [name.strip() for name in (text or "").split(",") if name.strip()]
    for name in names:
        if name not in PARTS:
            raise click.UsageError(f"--print {name}: there are {', '.join(PARTS)}")
    return names
