"""Records in Postgres, for more than one machine: psycopg 3, synchronous, in a thread of the caller's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import URL, Engine, create_engine
from sqlalchemy.pool import NullPool, QueuePool

SCHEMES = ("postgresql", "postgres", "postgresql+psycopg")
CONNECT_S = 5  # until a server that doesn't answer counts as gone
LOST_AFTER_MS = 20_000  # a connection on which nothing is acknowledged for so long is lost
STATEMENT_S = 60.0  # of one statement; a batch takes milliseconds
ROWS_AT_ONCE = 1000  # that a reader holds of a long answer

STREAMED: Mapping[str, Any] = {"stream_results": True, "max_row_buffer": ROWS_AT_ONCE}
AT_ONCE: Mapping[str, Any] = {"stream_results": False}
"""For few rows: a cursor on the server takes six more round trips than they do. To be given with the execution, as a
statement's own options give way to those of its connection."""

_CONNECT: dict[str, Any] = {
    "connect_timeout": CONNECT_S,
    "keepalives_idle": 5,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": LOST_AFTER_MS,
}


def writer(url: URL, busy_timeout_s: float, options: dict[str, Any]) -> Engine:
    """One connection, so that a lock that is held for the session is held by whoever writes."""
    settings = f"-c lock_timeout={busy_timeout_s * 1000:.0f} -c statement_timeout={STATEMENT_S * 1000:.0f}"
    return create_engine(
        with_driver(url),
        poolclass=QueuePool,
        pool_size=1,
        max_overflow=0,
        connect_args={**_CONNECT, "application_name": "moontide recorder", "options": settings},
        isolation_level="READ COMMITTED",
        **options,
    )


def reader(url: URL) -> Engine:
    """A snapshot for each connection, in read-only transactions; long answers come piece by piece."""
    engine = create_engine(
        with_driver(url),
        poolclass=NullPool,
        connect_args={
            **_CONNECT,
            "application_name": "moontide reader",
            "options": "-c default_transaction_read_only=on",
        },
        isolation_level="REPEATABLE READ",
        hide_parameters=True,
    )
    return engine.execution_options(postgresql_readonly=True, **STREAMED)


def with_driver(url: URL) -> URL:
    return url.set(drivername="postgresql+psycopg")
