"""What a predicate can ask about: MoonPalace's names and the tables' own."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from sqlalchemy import JSON, Boolean, ColumnElement, Float, Integer

from shared.records.moments import local_time
from shared.records.tables import Exchange, Mark, Table, ToolCall

Kind: TypeAlias = Literal["text", "number", "flag", "time"]

_tables = Table.metadata.tables
EXCHANGES = _tables[str(Exchange.__tablename__)]
MARKS = _tables[str(Mark.__tablename__)]
TOOL_CALLS = _tables[str(ToolCall.__tablename__)]

MS = 1000


@dataclass(frozen=True)
class InColumn:
    """A value that SQL compares."""

    column: ColumnElement[Any]
    kind: Kind
    named: ColumnElement[Any] | None = None  # what a text that is no number is compared with


@dataclass(frozen=True)
class Derived:
    """A value that is made out of a column's, row by row."""

    column: ColumnElement[Any]
    made: Callable[[Any], str | float | None]


@dataclass(frozen=True)
class InJson:
    """A column that holds JSON: with a path what stands there, else its text."""

    column: ColumnElement[Any]
    is_header: bool = False


@dataclass(frozen=True)
class InBody:
    """What one side sent: with a path what stands there in the JSON, an event stream merged first; else its text."""

    part: str


@dataclass(frozen=True)
class Several:
    """An exchange has any number of these: one of them must fit; with a negative operator none may."""

    table: Any
    column: ColumnElement[Any]
    where: ColumnElement[bool] | None = None
    synonyms: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Repairs:
    """The names of an exchange's repairs."""


Meaning: TypeAlias = InColumn | Derived | InJson | InBody | Several | Repairs

_TYPES: dict[type, Kind] = {Boolean: "flag", Integer: "number", Float: "number"}
_DURATION = re.compile(r"\bdur=(\d+(?:\.\d+)?)")


def _in_column(name: str) -> InColumn:
    column = EXCHANGES.c[name]
    kind: Kind = next((kind for sql, kind in _TYPES.items() if isinstance(column.type, sql)), "text")
    return InColumn(column, kind)


def _in_ms(name: str) -> InColumn:
    return InColumn(EXCHANGES.c[name] * MS, "number")


def _mark(name: str, *synonyms: tuple[str, str]) -> Several:
    return Several(MARKS, MARKS.c.value, MARKS.c.name == name, synonyms)


def _server_ms(text: str | None) -> str | float | None:
    """Milliseconds, where it says them."""
    found = _DURATION.search(text or "")
    return float(found[1]) if found else float(text) if text and text.isdigit() else text


def _route(path: str | None) -> str | None:
    """What stands before the question mark."""
    return path.partition("?")[0] if path is not None else None


def _query(path: str | None) -> str | None:
    """What stands behind the question mark."""
    return path.partition("?")[2] if path is not None else None


def _own() -> dict[str, Meaning]:
    """Every column of `exchanges` by its name."""
    made: dict[str, Meaning] = {}
    for column in EXCHANGES.columns:
        if isinstance(column.type, JSON):
            made[column.name] = InJson(column, is_header=column.name.endswith("_headers"))
        else:
            made[column.name] = _in_column(column.name)
    return made


FIELDS: dict[str, Meaning] = {
    **_own(),
    "id": InColumn(EXCHANGES.c.number, "number", named=EXCHANGES.c.id),
    "moonpalace_id": _in_column("number"),
    "moontide_id": _in_column("id"),
    "at": InColumn(EXCHANGES.c.at, "time"),
    "created_at": InColumn(EXCHANGES.c.at, "time"),
    "requested_at": InColumn(EXCHANGES.c.at, "time"),
    "chatcmpl": _in_column("completion_id"),
    "moonshot_id": _in_column("completion_id"),
    "request_id": _in_column("provider_request_id"),
    "moonshot_request_id": _in_column("provider_request_id"),
    "moonshot_uid": _in_column("user_id"),
    "moonshot_gid": _in_column("group_id"),
    "server_timing": Derived(EXCHANGES.c.server_timing, _server_ms),
    "moonshot_server_timing": Derived(EXCHANGES.c.server_timing, _server_ms),
    "request_status_code": _in_column("status"),
    "response_status_code": _in_column("status"),
    "request_method": _in_column("method"),
    "url": _in_column("path"),
    "request_path": Derived(EXCHANGES.c.path, _route),
    "request_query": Derived(EXCHANGES.c.path, _query),
    "request_content_type": _in_column("request_type"),
    "response_content_type": _in_column("response_type"),
    "content_type": _in_column("response_type"),
    "ttft": _in_ms("first_byte_s"),
    "response_ttft": _in_ms("first_byte_s"),
    "tpot": _in_ms("token_s"),
    "response_tpot": _in_ms("token_s"),
    "response_otps": _in_column("tokens_per_s"),
    "latency": _in_ms("latency_s"),
    "error": _in_column("error_message"),
    "cost": _in_column("cost_usd"),
    "request_header": InJson(EXCHANGES.c.request_headers, is_header=True),
    "response_header": InJson(EXCHANGES.c.response_headers, is_header=True),
    "request_body": InBody("client.request"),
    "response_body": InBody("client.response"),
    "category": _mark("category", ("goodcase", "good"), ("badcase", "bad")),
    "tag": _mark("tag"),
    "tags": _mark("tag"),
    "note": _mark("note"),
    "tool": Several(TOOL_CALLS, TOOL_CALLS.c.name),
    "tool_call_id": Several(TOOL_CALLS, TOOL_CALLS.c.tool_call_id),
    "repair": Repairs(),
}
"""MoonPalace's names (`latency`, `ttft` and `tpot` in milliseconds, as there) beside the columns' own."""


def time_text(at: Any) -> str | None:
    return local_time(at) if at is not None else None
