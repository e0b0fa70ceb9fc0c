"""How much room the records take, and how it is given back."""

from __future__ import annotations

from contextlib import closing
from math import ceil

from sqlalchemy import Connection, Engine, text

OTHER_BYTES = 2048  # of an exchange's other rows and of indexes, in Postgres: an estimate
PAGES_AT_ONCE = 2000  # given back in one transaction: 8 MiB, so that writing waits for a moment only


def used_bytes(connection: Connection) -> int:
    """What the records take, without what deleted ones have left free. In Postgres it is added up: its tables keep the
    room of deleted rows, and don't say how much that is."""
    if connection.dialect.name == "postgresql":
        return int(connection.scalar(text(_POSTGRES_BYTES)) or 0)
    size, pages, free = (_pragma(connection, name) for name in ("page_size", "page_count", "freelist_count"))
    return size * (pages - free)


def exchanges_past(connection: Connection, keep_bytes: float) -> int:
    """About how many must go until the records take no more than that."""
    return too_many(count_of(connection), used_bytes(connection), keep_bytes)


def count_of(connection: Connection) -> int:
    return int(connection.scalar(text("SELECT count(*) FROM exchanges")) or 0)


def too_many(count: int, used: float, keep_bytes: float) -> int:
    """Of so many exchanges that take `used` bytes, if all are equally large."""
    return 0 if used <= keep_bytes else ceil(count * (used - keep_bytes) / used)


def file_bytes(connection: Connection) -> int:
    """What a Postgres keeps for the records on its disk, free room and indexes included: never less than they take."""
    return int(connection.scalar(text(_POSTGRES_FILES)) or 0)


def give_back(connection: Connection) -> bool:
    """Hands some free pages of an SQLite file back to the file system; whether there are more.

    Postgres uses the space of deleted rows again, by its own autovacuum.
    """
    if connection.dialect.name == "postgresql" or _pragma(connection, "auto_vacuum") == 0:
        return False
    raw = connection.connection.driver_connection  # each row that is read frees a page, and SQLAlchemy reads none
    assert raw is not None  # noqa: S101 - for mypy
    raw.execute(f"PRAGMA incremental_vacuum({PAGES_AT_ONCE})").fetchall()
    return _pragma(connection, "freelist_count") > 0


def compact(engine: Engine) -> str:
    """Rewrites an SQLite file in the form that can give space back; nobody else can write meanwhile."""
    if engine.dialect.name == "postgresql":
        return "Postgres uses the room of deleted rows again; `VACUUM FULL` gives it back"
    with closing(engine.raw_connection()) as raw:  # outside of a transaction, which VACUUM asks for
        cursor = raw.cursor()
        (before,), (size,) = (cursor.execute(f"PRAGMA {name}").fetchone() for name in ("page_count", "page_size"))
        cursor.execute("PRAGMA auto_vacuum=INCREMENTAL")
        cursor.execute("VACUUM")
        (after,) = cursor.execute("PRAGMA page_count").fetchone()
    return f"{before * size:,} bytes before, {after * size:,} after; gives space back from now on"


def _pragma(connection: Connection, name: str) -> int:
    return int(connection.exec_driver_sql(f"PRAGMA {name}").scalar() or 0)


_POSTGRES_FILES = """
SELECT sum(pg_total_relation_size(oid)) FROM pg_class
WHERE relkind = 'r' AND relnamespace = (SELECT oid FROM pg_namespace WHERE nspname = current_schema())
"""

_POSTGRES_BYTES = f"""
SELECT (
    SELECT coalesce(sum(pg_column_size(data) + coalesce(pg_column_size(chunks), 0)), 0)
    FROM bodies WHERE data IS NOT NULL
) + (
    SELECT coalesce(sum(pg_column_size(text) + pg_column_size(words)), 0) FROM said
) + (
    SELECT count(*) FROM exchanges
) * {OTHER_BYTES}
"""  # noqa: S608 - of constants
