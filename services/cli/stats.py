"""`moontide stats`: how many, how long, how dear, how well; by model, provider, day or client."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import click
import msgspec

from services.cli import options
from services.cli.records import records
from services.cli.selecting import NO_MATCH, filtered, marked, the_filter
from services.cli.terminal import Column, table, terminal_columns
from shared.records.queries import Filter
from shared.records.statistics import BY, OFFERS_TOOLS, Key, Quality, Sums, quality_of, share, sums_by

NOTHING = "-"

COLUMNS = (
    "exchanges errors prompt cached completion cost",
    "first_byte_p50 p95 p99 total_p50 p95 p99",
    "repaired tool_calls valid as_sent good bad",
)
QUALITY_COLUMNS = "answers with_calls trigger_rate tool_calls valid as_sent schema_accuracy before_repair answers_valid"


@click.command()
@options.CONFIG
@click.option("--by", default="model", show_default=True, help=f"One or more of {', '.join(BY)}; with commas between.")
@click.option("--quality", is_flag=True, help="Schema accuracy and trigger rate of tool calls, by provider and model.")
@filtered
@marked
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
def stats(file: str | None, by: str, quality: bool, as_json: bool, **filters: Any) -> None:
    """Sum up the recorded exchanges."""
    groups = _groups(by)
    offering = {**filters, "predicates": (*filters["predicates"], OFFERS_TOOLS)}
    which = the_filter(filters) or Filter()
    with records(file) as found:
        if quality:
            names: Sequence[str] = ("provider", "model")
            told: Mapping[Key, Sums | Quality] = quality_of(found, which, the_filter(offering))
        else:
            names, told = groups, sums_by(found, which, groups)
    if as_json:
        for key, sums in told.items():
            click.echo(msgspec.json.encode({**dict(zip(names, key, strict=True)), **sums.told()}))
    elif told:
        click.echo("\n".join(_lines(names, told)))
    else:
        click.echo(NO_MATCH, err=True)


def _groups(text: str) -> list[str]:
    names = [name.strip() for name in text.split(",") if name.strip()]
    for name in names:
        if name not in BY:
            raise click.UsageError(f"--by {name}: there are {', '.join(BY)}")
    if not names or len(set(names)) < len(names):
        raise click.UsageError(f"--by takes one or more of {', '.join(BY)}, each once")
    return names


def _lines(names: Sequence[str], told: Mapping[Key, Sums | Quality]) -> list[str]:
    is_quality = any(isinstance(sums, Quality) for sums in told.values())
    titles = QUALITY_COLUMNS.split() if is_quality else " ".join(COLUMNS).split()
    columns = [Column(name, gives_way=True) for name in names]
    columns += [Column(title, right=True) for title in titles]
    rows = [[*key, *(_cells(sums) if isinstance(sums, Sums) else _quality_cells(sums))] for key, sums in told.items()]
    return table(columns, rows, terminal_columns())


def _cells(of: Sums) -> list[str]:
    cost = f"${of.cost_usd:.4f}{'+?' if of.unpriced else ''}" if of.cost_usd is not None else NOTHING
    tokens = (of.prompt_tokens, of.cached_tokens, of.completion_tokens)
    times = [_seconds(value) for one in (of.first_byte, of.total) for value in one.percentiles().values()]
    quality = (of.repaired, of.tool_calls, _percent(share(of.valid, of.tool_calls)))
    as_sent = _percent(share(of.valid_unrepaired, of.tool_calls))
    counts = [str(one) for one in (of.exchanges, of.errors, *tokens)]
    return [*counts, cost, *times, *map(str, quality), as_sent, str(of.good), str(of.bad)]


def _quality_cells(of: Quality) -> list[str]:
    counts = (of.answers, of.with_calls, _percent(share(of.with_calls, of.answers)), of.tool_calls, of.valid)
    shares = (share(of.valid, of.tool_calls), share(of.valid_unrepaired, of.tool_calls))
    return [*map(str, counts), str(of.valid_unrepaired), *map(_percent, shares), str(of.all_valid)]


def _seconds(value: float | None) -> str:
    return f"{value:.3g}s" if value is not None else NOTHING


def _percent(value: float | None) -> str:
    return f"{value:.1%}" if value is not None else NOTHING
