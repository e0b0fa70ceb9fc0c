"""How many tools a request offered: what sums over tool calls ask of each exchange, without its body."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """What is there already is not looked through: its bodies are read when somebody asks."""
    whole = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    op.add_column("exchanges", sa.Column("tools_offered", whole, nullable=True))
