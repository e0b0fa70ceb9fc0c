"""Which exchanges a command is about: one by its name, or all that its filters let through."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields
from typing import Any, TypeVar

import click

from shared.records.moments import moment
from shared.records.predicates import Predicate, PredicateError, predicate
from shared.records.queries import Filter, Kind, Records, Row
from shared.records.search import terms

F = TypeVar("F", bound=Callable[..., Any])
NO_MATCH = "No recorded exchange matches."  # to people; programs get no line


def _moment(_context: click.Context, _option: click.Parameter, value: str | None) -> float | None:
    try:
        return moment(value, time.time()) if value is not None else None
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


def _words(_context: click.Context, _option: click.Parameter, value: str | None) -> str | None:
    if value is not None and not terms(value):
        raise click.BadParameter(f"there is no word in {value!r}")
    return value


STATES = ("live", "done", "abandoned")
FILTERS = (
    click.option("--chatonly", "chat_only", is_flag=True, help="Chat completions only."),
    click.option("--model", help="Only those that asked for this model."),
    click.option("--provider", help="Only those that this provider answered."),
    click.option("--status", type=int, help="Only those that the client got this HTTP status for."),
    click.option("--state", type=click.Choice(STATES), help="Only those in this state."),
    click.option("--client", help="Only those of the client key with this name."),
    click.option("--tool", help="Only those whose answer calls this tool."),
    click.option("--repair", help="Only those that were repaired by this rule."),
    click.option("--errors", is_flag=True, help="Only those that failed, for the client or on the way."),
    click.option(
        "--since", callback=_moment, help="Only those that were asked for since: 2h, 2026-11-20, '2026-11-20 14:05' …"
    ),
    click.option("--until", callback=_moment, help="Only those that were asked for before."),
    click.option("--search", callback=_words, help='Only those in which this was said: words, "phrases", beginn*.'),
    click.option("-p", "--predicate", "predicates", multiple=True, help="Only those that fit; all, if repeated."),
)
MARKS = (
    click.option("--good", "category", flag_value="good", help="Only those that are marked as good."),
    click.option("--bad", "category", flag_value="bad", help="Only those that are marked as bad."),
    click.option("--tag", "tags", multiple=True, help="Only those with this tag; with all of them, if repeated."),
)
NAMES = (
    click.argument("name", required=False, metavar="[ID|last]"),
    click.option("--id", "id", help="By the number or id that `list` shows."),
    click.option("--chatcmpl", help="By the completion's id."),
    click.option("--requestid", help="By the provider's request id (Msh-Request-Id)."),
)


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What the command line says; `which` counts where nothing is named."""

    kind: Kind = "any"
    name: str | None = None
    which: Filter | None = None

    def rows(self, found: Records) -> Iterator[Row]:
        """Newest first; raises NotFound where what was named is not there."""
        if self.name is None:
            yield from found.newest(None, self.which)
        elif self.name == "last" and self.kind == "any":
            yield found.last()
        else:
            yield found.get(self.name, self.kind)


def named(command: F) -> F:
    """The options that name one exchange."""
    for option in reversed(NAMES):
        command = option(command)
    return command


def filtered(command: F) -> F:
    """The filters of `list`."""
    for option in reversed(FILTERS):
        command = option(command)
    return command


def marked(command: F) -> F:
    """The filters by what somebody thinks of an exchange, for commands that don't mark."""
    for option in reversed(MARKS):
        command = option(command)
    return command


def the_name(options: dict[str, Any]) -> tuple[Kind, str] | None:
    """Takes the names out of a command's options; None where there is none, an error where there are several."""
    ways: list[tuple[Kind, str | None]] = [
        ("any", options.pop("name")),
        ("id", options.pop("id")),
        ("completion", options.pop("chatcmpl")),
        ("provider_request", options.pop("requestid")),
    ]
    given = [(kind, value) for kind, value in ways if value]
    if len(given) > 1:
        raise click.UsageError("name one exchange, by one of its names")
    return given[0] if given else None


def the_one(options: dict[str, Any]) -> tuple[Kind, str]:
    """What must be named; wrong usage where nothing is."""
    name = the_name(options)
    if name is None:
        raise click.UsageError("name one exchange: an ID, `last`, --id, --chatcmpl or --requestid")
    return name


def the_filter(options: dict[str, Any]) -> Filter | None:
    """Takes the filters out of a command's options; None where none was given."""
    texts = options.pop("predicates")
    given = {one.name: options.pop(one.name) for one in fields(Filter) if one.name in options}
    which = Filter(**given, predicate=the_predicate(texts) if texts else None)
    return which if which else None


def the_predicate(texts: Sequence[str]) -> Predicate | None:
    """All of them at once; wrong usage, with the place, where one can't be read."""
    try:
        return predicate(*texts, now=time.time())
    except PredicateError as error:
        raise click.UsageError(f"--predicate: {error}") from None


def the_wanted(options: dict[str, Any]) -> Wanted:
    """One exchange or some; wrong usage where neither is said."""
    name, which = the_name(options), the_filter(options)
    if name is not None and which is not None:
        raise click.UsageError("name an exchange or filter, not both")
    if name is None and which is None:
        raise click.UsageError(
            "name an exchange (an ID, `last`, --id, --chatcmpl, --requestid) or give a filter (--model, --all …)"
        )
    return Wanted(kind=name[0], name=name[1]) if name else Wanted(which=which)
