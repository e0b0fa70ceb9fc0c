"""What is kept of an exchange. `docs/records.md` is drawn from these tables; a test holds it to them.

An exchange is one request of a client and all that became of it; a call is one request to a provider. Times are Unix
seconds (`_at`), durations seconds (`_s`), token counts as the provider gave them.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import JSON, BigInteger, Index, Integer, LargeBinary, MetaData, Text
from sqlmodel import Field, SQLModel

REVISION = "0004"  # the newest under `migrations`, which a test holds to these tables

NAMES = {
    "pk": "pk_%(table_name)s",
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
}
"""Constraints have names that a migration can refer to, on every database."""


class Table(SQLModel):
    """The base of the tables: a registry of their own."""

    metadata = MetaData(naming_convention=NAMES)


def _json(what: str) -> Any:
    return Field(default=None, sa_type=JSON(none_as_null=True), description=what)


class Exchange(Table, table=True):
    """One row per request of a client."""

    __tablename__ = "exchanges"
    __table_args__ = (
        Index("ix_exchanges_at", "at"),
        Index("ix_exchanges_completion_id", "completion_id"),
        Index("ix_exchanges_provider_request_id", "provider_request_id"),
        Index("ix_exchanges_model_at", "model", "at"),
        Index("ix_exchanges_status_at", "status", "at"),
        {"sqlite_autoincrement": True},
    )

    number: int | None = Field(default=None, primary_key=True, description="short name on this database: 1, 2, 3 …")
    id: str = Field(unique=True, description="the request id, as in X-Moontide-Request-Id")
    state: str = Field(description="live, done, or abandoned (its ingress died)")
    at: float = Field(description="when the request was accepted")
    method: str | None = None
    path: str | None = Field(default=None, description="with the query string, secrets taken out")
    dialect: str | None = None
    model: str | None = Field(default=None, description="as the client named it")
    provider: str | None = Field(default=None, description="who gave the answer")
    provider_model: str | None = Field(default=None, description="the provider's name for the model")
    client: str | None = Field(default=None, description="the name of the client key")
    peer: str | None = Field(default=None, description="the client's address")
    status: int | None = Field(default=None, description="the HTTP status that the client got")
    outcome: str | None = Field(
        default=None, description="complete, stopped, truncated, broken, refused, cancelled or lost"
    )
    streamed: bool | None = Field(default=None, description="whether the client got an event stream")
    finish_reason: str | None = None
    completion_id: str | None = Field(default=None, description="chatcmpl-…")
    provider_request_id: str | None = Field(default=None, description="Msh-Request-Id, or x-request-id")
    server_timing: str | None = Field(default=None, description="the provider's Server-Timing")
    user_id: str | None = Field(default=None, description="Msh-Uid")
    group_id: str | None = Field(default=None, description="Msh-Gid")
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    cached_tokens: int | None = None
    reasoning_tokens: int | None = None
    total_tokens: int | None = None
    cost_usd: float | None = Field(default=None, description="of all its calls; empty where no price is known")
    first_byte_s: float | None = Field(default=None, description="ttft: until the answer's first byte")
    latency_s: float | None = Field(default=None, description="until the answer's end")
    answered_at: float | None = Field(default=None, description="when the answer had ended, at its maker")
    token_s: float | None = Field(default=None, description="tpot: seconds per output token after the first")
    tokens_per_s: float | None = Field(default=None, description="output tokens a second")
    calls: int = Field(default=0, description="requests to providers")
    tools_offered: int | None = Field(
        default=None, description="tools in the request, as a chat completion; empty where it was recorded before 0003"
    )
    body_bytes: int | None = Field(default=None, description="of the answer")
    repairs: dict[str, int] | None = _json("repairs by name, and how often")
    request_type: str | None = Field(default=None, description="the request's content type")
    response_type: str | None = Field(default=None, description="the answer's content type")
    request_headers: dict[str, str] | None = _json("without those that are secrets")
    response_headers: dict[str, str] | None = _json("what the client got, without secrets")
    error_status: int | None = None
    error_type: str | None = None
    error_code: str | None = None
    error_param: str | None = None
    error_message: str | None = Field(default=None, sa_type=Text)


class Call(Table, table=True):
    """One row per request to a provider."""

    __tablename__ = "calls"
    __table_args__ = (
        Index("ix_calls_provider_request_id", "provider_request_id"),
        Index("ix_calls_completion_id", "completion_id"),
    )

    exchange_id: str = Field(primary_key=True)
    call: str = Field(primary_key=True, description="c1, c2 …")
    at: float | None = Field(default=None, description="when it was sent")
    provider: str | None = None
    model: str | None = Field(default=None, description="the provider's name for it")
    method: str | None = None
    url: str | None = None
    streamed: bool | None = Field(default=None, description="whether an event stream was asked for")
    status: int | None = None
    outcome: str | None = Field(default=None, description="as in exchanges; empty when its end never came")
    worker: str | None = Field(default=None, description="the upstream worker that made it")
    finish_reason: str | None = None
    completion_id: str | None = None
    provider_request_id: str | None = None
    server_timing: str | None = None
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    cached_tokens: int | None = None
    reasoning_tokens: int | None = None
    total_tokens: int | None = None
    cost_usd: float | None = Field(default=None, description="by the price table; empty where no price is known")
    first_byte_s: float | None = None
    latency_s: float | None = None
    body_bytes: int | None = None
    frames: int | None = Field(default=None, description="pieces that the answer came in")
    frames_missing: int = Field(default=0, description="pieces that the capture stream never had")
    same_body: bool = Field(default=False, description="the provider got the client's body byte for byte")
    changes: dict[str, list[str]] | None = _json("how its body differs from the client's")
    repairs: dict[str, int] | None = _json("repairs by name, and how often")
    request_headers: dict[str, str] | None = _json("without those that are secrets")
    response_headers: dict[str, str] | None = _json("those worth keeping")
    error_status: int | None = None
    error_type: str | None = None
    error_code: str | None = None
    error_param: str | None = None
    error_message: str | None = Field(default=None, sa_type=Text)


class ToolCall(Table, table=True):
    """One row per tool call in a provider's answer, as it was after repair."""

    __tablename__ = "tool_calls"
    __table_args__ = (Index("ix_tool_calls_tool_call_id", "tool_call_id"), Index("ix_tool_calls_name", "name"))

    exchange_id: str = Field(primary_key=True)
    call: str = Field(primary_key=True, description="the call to a provider whose answer holds it: c1, c2 …")
    choice: int = Field(primary_key=True)
    number: int = Field(primary_key=True, description="its place in the choice, from 0")
    tool_call_id: str | None = Field(default=None, description="as the client got it")
    name: str | None = None
    arguments: str | None = Field(default=None, sa_type=Text)
    offered: bool | None = Field(default=None, description="whether the request offered a tool of that name")
    valid: bool | None = Field(
        default=None, description="whether the arguments fit the offered schema; empty where nobody could tell"
    )
    problem: str | None = Field(default=None, sa_type=Text, description="what the validator said")
    repaired: bool = Field(default=False, description="whether the provider's own text of it was different")


class Mark(Table, table=True):
    """What somebody thinks of an exchange. One row per statement."""

    __tablename__ = "marks"
    __table_args__ = (Index("ix_marks_name_value", "name", "value"),)

    exchange_id: str = Field(primary_key=True)
    name: str = Field(primary_key=True, description="category, tag or note")
    value: str = Field(primary_key=True, sa_type=Text, description="good or bad; the tag; the note's text")
    at: float = Field(description="when it was said")


class Said(Table, table=True):
    """What was said in an exchange, for full-text search: what is new in the request, and the answer."""

    __tablename__ = "said"
    __table_args__ = ({"sqlite_autoincrement": True},)

    number: int | None = Field(default=None, primary_key=True, description="what the full-text index knows it by")
    exchange_id: str = Field(unique=True)
    text: str = Field(
        sa_type=Text,
        description="the messages after the last answer in the request, then the answer; with U+200B between "
        "characters of scripts that are written without spaces, so that they are words to the index",
    )


class Event(Table, table=True):
    """Facts about an exchange, in order."""

    __tablename__ = "events"

    exchange_id: str = Field(primary_key=True)
    seq: int = Field(primary_key=True, description="position in the capture stream")
    at: float
    name: str = Field(description="late.… where it came after the exchange was closed")
    call: str | None = None
    worker: str | None = None
    facts: dict[str, Any] | None = _json("what the event says")


class Body(Table, table=True):
    """The bytes that each side sent, exactly."""

    __tablename__ = "bodies"

    exchange_id: str = Field(primary_key=True)
    part: str = Field(primary_key=True, description="client.request, client.response, c1.request, c1.raw, c1.normal …")
    side: str = Field(description="client or provider")
    kind: str = Field(description="request or response")
    call: str | None = None
    leg: str | None = Field(default=None, description="raw: the provider's bytes; normal: repaired; out: merged")
    content_type: str | None = None
    size: int = Field(description="bytes")
    redacted: int | None = Field(default=None, description="places that `recorder.redact` took out before storing")
    sha256: str | None = Field(default=None, description="empty where the bytes were gone before they were recorded")
    same_as: str | None = Field(default=None, description="the part of this exchange that holds the same bytes")
    data: bytes | None = Field(default=None, sa_type=LargeBinary, description="zstd")
    chunks: bytes | None = Field(
        default=None, sa_type=LargeBinary, description="[offset, microseconds since the first] of each piece; msgpack"
    )


class Pending(Table, table=True):
    """Messages of exchanges that are not over: the recorder's memory, so that it has none of its own."""

    __tablename__ = "pending"

    exchange_id: str = Field(primary_key=True)
    first_seq: int = Field(primary_key=True)
    last_at: float = Field(description="when the newest of them passed")
    messages: bytes = Field(sa_type=LargeBinary, description="msgpack, zstd")


class Position(Table, table=True):
    """How far a feed was read, written together with what was read."""

    __tablename__ = "positions"

    feed: str = Field(primary_key=True)
    seq: int = Field(description="everything up to here is in the tables")
    at: float = Field(description="the newest capture time so far: tells a new stream from a redelivery")


class Poison(Table, table=True):
    """Messages that could not be read, put aside."""

    __tablename__ = "poison"

    number: int | None = Field(default=None, primary_key=True)
    seq: int
    at: float
    subject: str
    reason: str = Field(sa_type=Text)
    data: bytes = Field(sa_type=LargeBinary)


class Stretch(Table, table=True):
    """A stretch of the stream that one of several recorders has taken and not written yet."""

    __tablename__ = "stretches"

    feed: str = Field(primary_key=True)
    first_seq: int = Field(primary_key=True)
    last_seq: int
    first_at: float = Field(description="when its first message passed")
    last_at: float = Field(description="when its last message passed")
    taken_at: float = Field(description="by the database's clock")


TABLES: tuple[type[Table], ...] = (
    Exchange,
    Call,
    ToolCall,
    Mark,
    Said,
    Event,
    Body,
    Pending,
    Position,
    Stretch,
    Poison,
)


def _widen(metadata: MetaData) -> None:
    """Positions, sizes and counts outgrow Postgres's 32 bits."""
    for column in (column for table in metadata.tables.values() for column in table.columns):
        if isinstance(column.type, Integer):
            column.type = BigInteger().with_variant(Integer(), "sqlite")


_widen(Table.metadata)
