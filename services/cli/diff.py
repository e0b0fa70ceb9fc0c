"""`moontide diff`: what the provider sent beside what the client got, and what was asked of each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import click
import msgspec

from services.cli import options
from services.cli.records import exchange_called, records
from services.cli.selecting import named, the_one
from services.cli.terminal import block, shortened, terminal_columns, visible, width
from shared.records.comparisons import Section, compared_call, sections
from shared.records.differences import Pair, is_same
from shared.records.exports.whole import Whole
from shared.records.queries import Row

SIDE_BY_SIDE = 120  # columns of a terminal from which on there is room for two
WIDE = 160  # columns where there is no terminal
SIGNS = {"same": " ", "left_out": " ", "changed": "|", "gone": "<", "added": ">"}
COLOURS = {"changed": "yellow", "gone": "red", "added": "green", "left_out": "bright_black"}


@click.command()
@options.CONFIG
@named
@click.option("--call", help="This call to a provider (c1, c2 …); the one that was answered, if not said.")
@click.option("--raw", "is_raw", is_flag=True, help="The bytes as they went over the wire, streams not merged.")
@click.option("--all", "is_whole", is_flag=True, help="With all lines that are the same.")
@click.option("--side-by-side/--unified", "is_beside", default=None, help="By the terminal's width, if not said.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line for each difference.")
def diff(
    file: str | None,
    call: str | None,
    is_raw: bool,
    is_whole: bool,
    is_beside: bool | None,
    as_json: bool,
    **names: str | None,
) -> None:
    """Show what was changed on the way, of the request and of the answer."""
    kind, name = the_one(names)
    with records(file) as found:
        whole = Whole.read(found, exchange_called(found, kind, name))
        made = compared_call(whole, call)
        compared = sections(whole, made, is_raw)
    columns = terminal_columns()
    is_beside = (columns or 0) >= SIDE_BY_SIDE if is_beside is None else is_beside
    if not as_json:
        click.echo("\n".join(_head(whole, made)))
    for section in compared:
        pairs = section.pairs(is_raw, is_whole, block)
        if as_json:
            _print_json(section, pairs)
        else:
            click.echo("\n".join(_told(section, pairs, (columns or WIDE) if is_beside else None)))


def _head(whole: Whole, call: Row) -> Iterator[str]:
    row = whole.exchange
    target = f"{call['provider'] or '-'}/{call['model'] or '-'}"
    yield visible(f"exchange {row['number']}  {row['id']}  {call['call']} of {len(whole.calls)}: {target}")
    for other in whole.calls:
        if other["call"] != call["call"]:
            told = (other["status"], other["outcome"], other["error_message"])
            yield visible("  ".join([f"also {other['call']}:", *(str(one) for one in told if one)]))
    if not whole.is_chat and row["dialect"]:
        yield visible(
            f"the client speaks {row['dialect']}; its side is shown as the chat completion that it stands for"
        )
    if row["repairs"]:
        yield visible("repairs: " + ", ".join(f"{name} {count}" for name, count in row["repairs"].items()))
    for name, values in (call["changes"] or {}).items():
        yield visible(f"{name}: {', '.join(map(str, values))}")


def _told(section: Section, pairs: Sequence[Pair], columns: int | None) -> Iterator[str]:
    left, right = section.names
    missing = [name for name, part in zip(section.names, section.parts, strict=True) if part is None]
    yield ""
    if missing:
        yield f"== {section.title}: nothing is recorded of what {' and '.join(missing)}"
        return
    if is_same(pairs):
        yield f"== {section.title}: the same on both sides"
        return
    yield click.style(
        f"== {section.title}: {left} (-), {right} (+)" if columns is None else f"== {section.title}", bold=True
    )
    yield from _unified(pairs) if columns is None else _beside(section.names, pairs, columns)


def _unified(pairs: Sequence[Pair]) -> Iterator[str]:
    """Of a run of changes what is gone first, then what has come."""
    run: list[Pair] = []
    for pair in [*pairs, Pair("same", None, None)]:
        if pair.kind not in ("same", "left_out"):
            run.append(pair)
            continue
        yield from (click.style(f"- {visible(one.left)}", fg="red") for one in run if one.left is not None)
        yield from (click.style(f"+ {visible(one.right)}", fg="green") for one in run if one.right is not None)
        run = []
        if pair.left is not None:
            yield click.style(f"  {visible(pair.left)}", fg=COLOURS.get(pair.kind))


def _beside(names: tuple[str, str], pairs: Sequence[Pair], columns: int) -> Iterator[str]:
    half = (columns - 3) // 2
    yield click.style(f"{_fitted(names[0], half)}   {names[1]}", underline=False, bold=True)
    for pair in pairs:
        for at, (left, right) in enumerate(_wrapped(pair, half)):
            sign = SIGNS[pair.kind] if at == 0 else " "
            yield click.style(f"{_fitted(left, half)} {sign} {right}".rstrip(), fg=COLOURS.get(pair.kind))


def _wrapped(pair: Pair, half: int) -> list[tuple[str, str]]:
    """The two lines cut to pieces of half the screen each. What is the same needs one piece only."""
    if pair.kind in ("same", "left_out"):
        line = shortened(visible(pair.left or ""), half)
        return [(line, line if pair.kind == "same" else "")]
    left, right = _pieces(visible(pair.left or ""), half), _pieces(visible(pair.right or ""), half)
    rows = max(len(left), len(right))
    return list(zip([*left, *[""] * (rows - len(left))], [*right, *[""] * (rows - len(right))], strict=True))


def _pieces(text: str, columns: int) -> list[str]:
    pieces, piece, used = [], "", 0
    for char in text:
        wide = width(char)
        if used + wide > columns:
            pieces.append(piece)
            piece, used = "", 0
        piece, used = piece + char, used + wide
    return [*pieces, piece]


def _fitted(text: str, columns: int) -> str:
    return text + " " * (columns - width(text))


def _print_json(section: Section, pairs: Sequence[Pair]) -> None:
    sides = ("client", "provider") if section.title == "request" else ("provider", "client")
    for pair in pairs:
        if pair.kind not in ("same", "left_out"):
            told = {"of": section.title, "kind": pair.kind, sides[0]: pair.left, sides[1]: pair.right}
            click.echo(msgspec.json.encode(told))
