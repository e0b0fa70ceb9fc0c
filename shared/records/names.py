"""What an exchange can be called: its number, its id or the beginning of it, the trace that it began, and what its
provider called it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from sqlalchemy import ColumnElement, and_, or_, select

from shared.records.tables import Call, Exchange, Table, ToolCall
from shared.traces import request_id_of

PREFIX_CHARS = 4  # the fewest characters of an id that stand for it
NUMBER_DIGITS = 15  # a longer one is an id
LAST_CHAR = "\U0010ffff"

Kind = Literal["any", "id", "completion", "provider_request"]

_tables = Table.metadata.tables
EXCHANGES = _tables[str(Exchange.__tablename__)]
CALLS = _tables[str(Call.__tablename__)]
TOOL_CALLS = _tables[str(ToolCall.__tablename__)]


def meanings(name: str, kind: Kind = "any") -> Iterator[ColumnElement[bool]]:
    """What a name can mean, the likeliest first."""
    if kind in ("any", "id"):
        if name.isascii() and name.isdigit() and len(name) <= NUMBER_DIGITS:
            yield EXCHANGES.c.number == int(name)
        yield EXCHANGES.c.id == name.upper()
        yield EXCHANGES.c.id == name
        if (of_trace := request_id_of(name)) is not None:
            yield EXCHANGES.c.id == of_trace
        if len(name) >= PREFIX_CHARS:
            begin = name.upper()
            yield and_(EXCHANGES.c.id >= begin, EXCHANGES.c.id < begin + LAST_CHAR)
    if kind in ("any", "completion"):
        yield _called("completion_id", name)
    if kind in ("any", "provider_request"):
        yield _called("provider_request_id", name)


def any_of(name: str) -> ColumnElement[bool]:
    """Every exchange that has this name or id anywhere, those of its calls and of its tool calls among them."""
    made = select(TOOL_CALLS.c.exchange_id).where(TOOL_CALLS.c.tool_call_id == name)
    return or_(*meanings(name), EXCHANGES.c.id.in_(made))


def _called(column: str, name: str) -> ColumnElement[bool]:
    """The exchange's own, or that of any of its calls."""
    calls = select(CALLS.c.exchange_id).where(CALLS.c[column] == name)
    return or_(EXCHANGES.c[column] == name, EXCHANGES.c.id.in_(calls))
