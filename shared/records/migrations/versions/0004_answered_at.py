"""When an answer had ended, as its maker's clock has it: a response that is read again says the same as at first."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Of what is there already, the client's end stands for it."""
    op.add_column("exchanges", sa.Column("answered_at", sa.Float(), nullable=True))
