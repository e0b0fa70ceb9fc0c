"""The tables as they were first: exchanges, calls, events, bodies, and the recorder's own."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

WHOLE = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "bodies",
        sa.Column("exchange_id", sa.String(), nullable=False),
        sa.Column("part", sa.String(), nullable=False),
        sa.Column("side", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("call", sa.String(), nullable=True),
        sa.Column("leg", sa.String(), nullable=True),
        sa.Column("content_type", sa.String(), nullable=True),
        sa.Column("size", WHOLE, nullable=False),
        sa.Column("sha256", sa.String(), nullable=True),
        sa.Column("same_as", sa.String(), nullable=True),
        sa.Column("data", sa.LargeBinary(), nullable=True),
        sa.Column("chunks", sa.LargeBinary(), nullable=True),
        sa.PrimaryKeyConstraint("exchange_id", "part", name="pk_bodies"),
    )
    op.create_table(
        "calls",
        sa.Column("exchange_id", sa.String(), nullable=False),
        sa.Column("call", sa.String(), nullable=False),
        sa.Column("at", sa.Float(), nullable=True),
        sa.Column("provider", sa.String(), nullable=True),
        sa.Column("model", sa.String(), nullable=True),
        sa.Column("method", sa.String(), nullable=True),
        sa.Column("url", sa.String(), nullable=True),
        sa.Column("streamed", sa.Boolean(), nullable=True),
        sa.Column("status", WHOLE, nullable=True),
        sa.Column("outcome", sa.String(), nullable=True),
        sa.Column("worker", sa.String(), nullable=True),
        sa.Column("finish_reason", sa.String(), nullable=True),
        sa.Column("completion_id", sa.String(), nullable=True),
        sa.Column("provider_request_id", sa.String(), nullable=True),
        sa.Column("server_timing", sa.String(), nullable=True),
        sa.Column("prompt_tokens", WHOLE, nullable=True),
        sa.Column("completion_tokens", WHOLE, nullable=True),
        sa.Column("cached_tokens", WHOLE, nullable=True),
        sa.Column("reasoning_tokens", WHOLE, nullable=True),
        sa.Column("total_tokens", WHOLE, nullable=True),
        sa.Column("first_byte_s", sa.Float(), nullable=True),
        sa.Column("latency_s", sa.Float(), nullable=True),
        sa.Column("body_bytes", WHOLE, nullable=True),
        sa.Column("frames", WHOLE, nullable=True),
        sa.Column("frames_missing", WHOLE, nullable=False),
        sa.Column("same_body", sa.Boolean(), nullable=False),
        sa.Column("changes", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("repairs", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("request_headers", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("response_headers", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("error_status", WHOLE, nullable=True),
        sa.Column("error_type", sa.String(), nullable=True),
        sa.Column("error_code", sa.String(), nullable=True),
        sa.Column("error_param", sa.String(), nullable=True),
        sa.Column("error_message", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("exchange_id", "call", name="pk_calls"),
    )
    op.create_index("ix_calls_completion_id", "calls", ["completion_id"])
    op.create_index("ix_calls_provider_request_id", "calls", ["provider_request_id"])
    op.create_table(
        "events",
        sa.Column("exchange_id", sa.String(), nullable=False),
        sa.Column("seq", WHOLE, nullable=False),
        sa.Column("at", sa.Float(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("call", sa.String(), nullable=True),
        sa.Column("worker", sa.String(), nullable=True),
        sa.Column("facts", sa.JSON(none_as_null=True), nullable=True),
        sa.PrimaryKeyConstraint("exchange_id", "seq", name="pk_events"),
    )
    op.create_table(
        "exchanges",
        sa.Column("number", WHOLE, nullable=False),
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("at", sa.Float(), nullable=False),
        sa.Column("method", sa.String(), nullable=True),
        sa.Column("path", sa.String(), nullable=True),
        sa.Column("dialect", sa.String(), nullable=True),
        sa.Column("model", sa.String(), nullable=True),
        sa.Column("provider", sa.String(), nullable=True),
        sa.Column("provider_model", sa.String(), nullable=True),
        sa.Column("client", sa.String(), nullable=True),
        sa.Column("peer", sa.String(), nullable=True),
        sa.Column("status", WHOLE, nullable=True),
        sa.Column("outcome", sa.String(), nullable=True),
        sa.Column("streamed", sa.Boolean(), nullable=True),
        sa.Column("finish_reason", sa.String(), nullable=True),
        sa.Column("completion_id", sa.String(), nullable=True),
        sa.Column("provider_request_id", sa.String(), nullable=True),
        sa.Column("server_timing", sa.String(), nullable=True),
        sa.Column("user_id", sa.String(), nullable=True),
        sa.Column("group_id", sa.String(), nullable=True),
        sa.Column("prompt_tokens", WHOLE, nullable=True),
        sa.Column("completion_tokens", WHOLE, nullable=True),
        sa.Column("cached_tokens", WHOLE, nullable=True),
        sa.Column("reasoning_tokens", WHOLE, nullable=True),
        sa.Column("total_tokens", WHOLE, nullable=True),
        sa.Column("first_byte_s", sa.Float(), nullable=True),
        sa.Column("latency_s", sa.Float(), nullable=True),
        sa.Column("token_s", sa.Float(), nullable=True),
        sa.Column("tokens_per_s", sa.Float(), nullable=True),
        sa.Column("calls", WHOLE, nullable=False),
        sa.Column("body_bytes", WHOLE, nullable=True),
        sa.Column("repairs", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("request_type", sa.String(), nullable=True),
        sa.Column("response_type", sa.String(), nullable=True),
        sa.Column("request_headers", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("response_headers", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("error_status", WHOLE, nullable=True),
        sa.Column("error_type", sa.String(), nullable=True),
        sa.Column("error_code", sa.String(), nullable=True),
        sa.Column("error_param", sa.String(), nullable=True),
        sa.Column("error_message", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("number", name="pk_exchanges"),
        sa.UniqueConstraint("id", name="uq_exchanges_id"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_exchanges_at", "exchanges", ["at"])
    op.create_index("ix_exchanges_completion_id", "exchanges", ["completion_id"])
    op.create_index("ix_exchanges_model_at", "exchanges", ["model", "at"])
    op.create_index("ix_exchanges_provider_request_id", "exchanges", ["provider_request_id"])
    op.create_index("ix_exchanges_status_at", "exchanges", ["status", "at"])
    op.create_table(
        "pending",
        sa.Column("exchange_id", sa.String(), nullable=False),
        sa.Column("first_seq", WHOLE, nullable=False),
        sa.Column("last_at", sa.Float(), nullable=False),
        sa.Column("messages", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("exchange_id", "first_seq", name="pk_pending"),
    )
    op.create_table(
        "poison",
        sa.Column("number", WHOLE, nullable=False),
        sa.Column("seq", WHOLE, nullable=False),
        sa.Column("at", sa.Float(), nullable=False),
        sa.Column("subject", sa.String(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("data", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("number", name="pk_poison"),
    )
    op.create_table(
        "positions",
        sa.Column("feed", sa.String(), nullable=False),
        sa.Column("seq", WHOLE, nullable=False),
        sa.Column("at", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("feed", name="pk_positions"),
    )
