"""`moontide mark`: what somebody thinks of an exchange, kept beside it."""

from __future__ import annotations

import click

from services.cli import options
from services.cli.records import exchange_called, records, records_url, telling
from services.cli.selecting import named, the_one
from shared.records.marks import CATEGORY, LONGEST, NOTE, TAG, Marking, Marks, Name, is_sound, marking

NOTHING_SAID = "say what you think of it: --good, --bad, --tag, --untag, --note or --clear"


@click.command()
@options.CONFIG
@named
@click.option("--good", "category", flag_value="good", help="A good case.")
@click.option("--bad", "category", flag_value="bad", help="A bad case.")
@click.option("--tag", "tags", multiple=True, help="Give it this tag; may be repeated.")
@click.option("--untag", "untags", multiple=True, help="Take this tag away; may be repeated.")
@click.option("--note", "notes", multiple=True, help="Write this down beside it; may be repeated.")
@click.option("--clear", "clears", is_flag=True, help="Forget all marks first.")
def mark(
    file: str | None,
    category: str | None,
    tags: tuple[str, ...],
    untags: tuple[str, ...],
    notes: tuple[str, ...],
    clears: bool,
    **names: str | None,
) -> None:
    """Mark an exchange as good or bad, tag it, or note something about it."""
    kind, name = the_one(names)
    _check(category, tags, untags, notes, clears)
    with records(file) as found:
        exchange = exchange_called(found, kind, name)
    with telling("marked"), marking(records_url(file)) as marks:
        if clears:
            _clear(marks, exchange["id"])
        if category is not None:
            marks.categorise(exchange["id"], "good" if category == "good" else "bad")
        marks.drop(exchange["id"], TAG, untags)
        for tag in tags:
            marks.add(exchange["id"], TAG, tag)
        for note in notes:
            marks.add(exchange["id"], NOTE, note)
    with records(file) as found:
        click.echo(f"{exchange['number']}  {told(found.marks(exchange['id'])) or 'no marks'}")


def told(marks: Marks) -> str:
    """Marks in one line: `bad  #tools  a note`."""
    said = [marks.category] if marks.category else []
    return "  ".join([*said, *(f"#{tag}" for tag in marks.tags), *marks.notes])


def _check(
    category: str | None, tags: tuple[str, ...], untags: tuple[str, ...], notes: tuple[str, ...], clears: bool
) -> None:
    if not (category or tags or untags or notes or clears):
        raise click.UsageError(NOTHING_SAID)
    said: tuple[tuple[Name, tuple[str, ...]], ...] = ((TAG, tags), (NOTE, notes))
    for what, texts in said:
        if not all(is_sound(what, text) for text in texts):
            raise click.UsageError(f"--{what}: a text of 1 to {LONGEST[what]} characters")


def _clear(marks: Marking, id: str) -> None:
    for name in (CATEGORY, TAG, NOTE):
        marks.drop(id, name)
