"""`moontide export`: exchanges in a shape that others read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

import click

from services.cli import options
from services.cli.exporting.places import STDERR, STDOUT, Folder, OneOutput, Place
from services.cli.marked import checked
from services.cli.records import records, records_url
from services.cli.selecting import Wanted, filtered, named, the_wanted
from shared.records.database import RecordsUnavailable
from shared.records.exports.shapes import JSONL, Shape, curl_shape, har_shape, moonpalace_shape
from shared.records.exports.whole import Whole
from shared.records.marks import TAG, Category, Marks, marking
from shared.records.queries import Filter, Records

MARKED_AT_ONCE = 500  # exchanges in one transaction, so that no recorder waits for long


@dataclass(frozen=True)
class Verdict:
    """What the exported exchanges are marked with."""

    category: Category | None
    tags: tuple[str, ...]

    def __bool__(self) -> bool:
        return self.category is not None or bool(self.tags)

    def upon(self, marks: Marks) -> Marks:
        new = tuple(tag for tag in self.tags if tag not in marks.tags)
        return replace(marks, category=self.category or marks.category, tags=marks.tags + new)


@click.command()
@options.CONFIG
@named
@filtered
@click.option("--all", "is_all", is_flag=True, help="Every exchange.")
@click.option("-o", "--output", default=STDOUT, show_default=True, help="A file; stdout or stderr.")
@click.option("--directory", type=click.Path(file_okay=False, path_type=Path), help="A folder: a file for each.")
@click.option("--call", help="The provider's side of this call (c1, c2 …), not the client's.")
@click.option("--marked", "marked_as", type=click.Choice(["good", "bad"]), help="Only those that are marked so.")
@click.option("--tagged", multiple=True, help="Only those with this tag; with all of them, if repeated.")
@click.option("--good", "category", flag_value="good", help="Mark it as a good case.")
@click.option("--bad", "category", flag_value="bad", help="Mark it as a bad case.")
@click.option("--tag", "tags", multiple=True, callback=checked(TAG), help="Mark it with this tag; may be repeated.")
@click.option("--escape-html", is_flag=True, help="With \\u003c for < and so on.")
@click.option("--curl", "is_curl", is_flag=True, help="A curl command that asks the provider the same again.")
@click.option("--har", "is_har", is_flag=True, help="An HTTP Archive (HAR 1.2).")
@click.option("--jsonl", type=click.Choice(list(JSONL)), help="Lines of JSON for fine-tuning, or for the K2VV.")
def export(file: str | None, output: str, directory: Path | None, **flags: Any) -> None:
    """Export exchanges: MoonPalace's JSON unless told otherwise."""
    # MoonPalace's --good, --bad and --tag mark, so what chooses by marks has other names here than in `list`
    # MoonPalace's --good, --bad and --tag mark, so what chooses by marks has other names here than in `list`
    verdict = Verdict(flags.pop("category"), flags.pop("tags"))
    flags |= {"category": flags.pop("marked_as"), "tags": flags.pop("tagged")}
    shape = _shape(flags)
    wanted = _wanted(flags)
    place = _place(shape, wanted, output, directory)
    with records(file) as found:
        written = _export(found, wanted, place, verdict, records_url(file))
    _tell(written, place.left_out, is_quiet=wanted.name is not None and written == 1)


def _shape(flags: dict[str, Any]) -> Shape:
    call, escape = flags.pop("call"), flags.pop("escape_html")
    ways = {name: flags.pop(name) for name in ("is_curl", "is_har", "jsonl")}
    if sum(map(bool, ways.values())) > 1:
        raise click.UsageError("one of --curl, --har and --jsonl")
    if call and (ways["is_har"] or ways["jsonl"]):
        raise click.UsageError("--call goes with MoonPalace's JSON and --curl; a HAR holds every call")
    if escape and any(ways.values()):
        raise click.UsageError("--escape-html is for MoonPalace's JSON")
    if ways["jsonl"]:
        return JSONL[ways["jsonl"]]
    if ways["is_har"]:
        return har_shape()
    return curl_shape(call) if ways["is_curl"] else moonpalace_shape(call, escape)


def _wanted(flags: dict[str, Any]) -> Wanted:
    if not flags.pop("is_all"):
        return the_wanted(flags)
    if any(value not in (None, False, ()) for value in flags.values()):
        raise click.UsageError("--all leaves nothing to choose")
    return Wanted(which=Filter())


def _place(shape: Shape, wanted: Wanted, output: str, directory: Path | None) -> Place:
    if directory is not None:
        if output != STDOUT:
            raise click.UsageError("-o or --directory, not both")
        return Folder(shape, directory)
    if wanted.name is None and not shape.is_one_file and output not in (STDOUT, STDERR, "-"):
        raise click.UsageError("a file holds one exchange in MoonPalace's shape: give a --directory for several")
    return OneOutput(shape, output)


def _export(found: Records, wanted: Wanted, place: Place, verdict: Verdict, url: str) -> int:
    """Writes them one by one, and marks them once they are written; how many."""
    wholes = (_marked(Whole.read(found, row), verdict) for row in wanted.rows(found))
    try:
        written = place.take(wholes)
        if not verdict:
            return sum(1 for _ in written)
        return sum(_mark(url, ids, verdict) for ids in _batches(whole.exchange["id"] for whole in written))
    except OSError as error:
        raise click.ClickException(f"can't write {error.filename or 'there'}: {error.strerror}") from None
    except RecordsUnavailable as error:
        raise click.ClickException(f"exported, but not marked: {error}") from None


def _marked(whole: Whole, verdict: Verdict) -> Whole:
    return replace(whole, marks=verdict.upon(whole.marks)) if verdict else whole


def _batches(ids: Iterable[str]) -> Iterator[list[str]]:
    every = iter(ids)
    while some := list(islice(every, MARKED_AT_ONCE)):
        yield some


def _mark(url: str, ids: list[str], verdict: Verdict) -> int:
    with marking(url) as marks:
        for id in ids:
            if verdict.category is not None:
                marks.categorise(id, verdict.category)
            for tag in verdict.tags:
                marks.add(id, TAG, tag)
    return len(ids)


def _tell(written: int, left_out: Counter[str], is_quiet: bool) -> None:
    """On stderr, for the export itself may be on stdout; status 1 where nothing is left to export."""
    for why, count in left_out.most_common():
        click.echo(f"left out: {count}, because {why}", err=True)
    if not is_quiet:
        click.echo(f"exported: {written}", err=True)
    if not written:
        raise SystemExit(1)
