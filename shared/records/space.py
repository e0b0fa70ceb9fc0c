"""How much room the records take, and how it is given back."""

from __future__ import annotations

from contextlib import closing

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
