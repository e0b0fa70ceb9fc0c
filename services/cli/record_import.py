"""`moontide import`: what another proxy recorded, into our records."""

from __future__ import annotations

from pathlib import Path

import click

from services.cli import options
from services.cli.importing.pasts import pasts
from services.cli.importing.result import CannotImport
from services.cli.loading import load_or_exit
from services.cli.records import records_url, telling
from services.recorder.imports import Past, id_of, take
from shared.records.marks import TAG, marking

TOLD_APART = 20  # of those that can't be taken


@click.command("import")
@options.CONFIG
@click.argument("source", metavar="FILE", type=click.Path(exists=True, path_type=Path))
@click.option("--blobs", type=click.Path(file_okay=False, path_type=Path), help="kimi-proxy's files (LOG_BLOB_ROOT).")
def import_(file: str | None, source: Path, blobs: Path | None) -> None:
    """Import a MoonPalace database, a kimi-proxy one, or exported JSON (a file or a folder). Twice gives no doubles."""
    url = records_url(file)
    redact = load_or_exit(file, services=[]).settings.recorder.redact
    skipped: list[str] = []
    new = known = 0
    try:
        with telling():
            for fresh, taken in take(url, pasts(source, blobs, skipped.append), redact):
                new, known = new + len(taken.new), known + taken.known
                _mark(url, fresh)
    except CannotImport as error:
        raise click.ClickException(str(error)) from None
    for why in skipped[:TOLD_APART]:
        click.echo(f"not taken: {why}", err=True)
    if len(skipped) > TOLD_APART:
        click.echo(f"not taken: {len(skipped) - TOLD_APART} more", err=True)
    click.echo(f"{new} imported, {known} were there already, {len(skipped)} not taken")
    raise SystemExit(1 if skipped and not new and not known else 0)


def _mark(url: str, fresh: list[Past]) -> None:
    judged = [past for past in fresh if past.category or past.tags]
    if not judged:
        return
    with marking(url) as marks:
        for past in judged:
            if past.category is not None:
                marks.categorise(id_of(past), "good" if past.category == "good" else "bad")
            for tag in past.tags:
                marks.add(id_of(past), TAG, tag)
