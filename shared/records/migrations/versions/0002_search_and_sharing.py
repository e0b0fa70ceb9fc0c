"""Tool calls, marks, costs; full-text search over what was said; what several recorders share."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

WHOLE = sa.BigInteger().with_variant(sa.Integer(), "sqlite")

ADDED = "INSERT INTO said_index(rowid, text) VALUES (new.number, new.text);"
GONE = "INSERT INTO said_index(said_index, rowid, text) VALUES ('delete', old.number, old.text);"
NO_WORDS = "\u200b\n\r\t" + "".join(chr(code) for code in range(0x21, 0x7F) if not chr(code).isalnum())
"""What parts words. Postgres's own parser would take `a/b.py` for one word, as it takes addresses and file names."""

WORDS_OF = "E'" + "".join(f"\\u{ord(char):04x}" for char in NO_WORDS) + "'"
STATEMENTS = {
    "sqlite": (
        "CREATE VIRTUAL TABLE said_index USING fts5("
        "text, content='said', content_rowid='number', tokenize='unicode61 remove_diacritics 0')",
        f"CREATE TRIGGER said_added AFTER INSERT ON said BEGIN {ADDED} END",
        f"CREATE TRIGGER said_deleted AFTER DELETE ON said BEGIN {GONE} END",
        f"CREATE TRIGGER said_changed AFTER UPDATE ON said BEGIN {GONE} {ADDED} END",
    ),
    "postgresql": (
        "ALTER TABLE said ADD COLUMN words tsvector GENERATED ALWAYS AS ("
        f"to_tsvector('simple', translate(text, {WORDS_OF}, repeat(' ', {len(NO_WORDS)})))) STORED",
        "CREATE INDEX ix_said_words ON said USING gin (words)",
    ),
}


def upgrade() -> None:
    op.create_table(
        "marks",
        sa.Column("exchange_id", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.Column("at", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("exchange_id", "name", "value", name="pk_marks"),
    )
    op.create_index("ix_marks_name_value", "marks", ["name", "value"])
    op.create_table(
        "said",
        sa.Column("number", WHOLE, nullable=False),
        sa.Column("exchange_id", sa.String(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("number", name="pk_said"),
        sa.UniqueConstraint("exchange_id", name="uq_said_exchange_id"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "stretches",
        sa.Column("feed", sa.String(), nullable=False),
        sa.Column("first_seq", WHOLE, nullable=False),
        sa.Column("last_seq", WHOLE, nullable=False),
        sa.Column("first_at", sa.Float(), nullable=False),
        sa.Column("last_at", sa.Float(), nullable=False),
        sa.Column("taken_at", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("feed", "first_seq", name="pk_stretches"),
    )
    op.create_table(
        "tool_calls",
        sa.Column("exchange_id", sa.String(), nullable=False),
        sa.Column("call", sa.String(), nullable=False),
        sa.Column("choice", WHOLE, nullable=False),
        sa.Column("number", WHOLE, nullable=False),
        sa.Column("tool_call_id", sa.String(), nullable=True),
        sa.Column("name", sa.String(), nullable=True),
        sa.Column("arguments", sa.Text(), nullable=True),
        sa.Column("offered", sa.Boolean(), nullable=True),
        sa.Column("valid", sa.Boolean(), nullable=True),
        sa.Column("problem", sa.Text(), nullable=True),
        sa.Column("repaired", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("exchange_id", "call", "choice", "number", name="pk_tool_calls"),
    )
    op.create_index("ix_tool_calls_name", "tool_calls", ["name"])
    op.create_index("ix_tool_calls_tool_call_id", "tool_calls", ["tool_call_id"])
    op.add_column("bodies", sa.Column("redacted", WHOLE, nullable=True))
    op.add_column("calls", sa.Column("cost_usd", sa.Float(), nullable=True))
    op.add_column("exchanges", sa.Column("cost_usd", sa.Float(), nullable=True))
    _index_words()
    op.execute("DROP TABLE IF EXISTS schema_version")


def _index_words() -> None:
    for statement in STATEMENTS[op.get_bind().dialect.name]:
        op.get_bind().exec_driver_sql(statement)
