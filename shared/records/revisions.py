"""Which revision a database's tables have, and how they are brought to the newest one.

A database from before there were migrations has a table `schema_version` that says 1: that is revision 0001.
"""

from __future__ import annotations

import threading

from sqlalchemy import Connection, inspect, text

from shared.records.tables import REVISION

FIRST = "0001"
VERSION_TABLE = "alembic_version"
OLD_VERSION_TABLE = "schema_version"
ONE_AT_A_TIME = threading.Lock()  # in this process: what a migration calls `op` is Alembic's one and only
LOCK = 0x6D6F6F6E  # of Postgres: one migrates, the others wait and find it done


def revision_of(connection: Connection) -> str | None:
    """The tables' revision; None where there are none of ours."""
    tables = inspect(connection).get_table_names()
    if VERSION_TABLE in tables:
        revision: str | None = connection.scalar(text(f"SELECT version_num FROM {VERSION_TABLE}"))  # noqa: S608
        return revision
    if OLD_VERSION_TABLE in tables and "exchanges" in tables:
        return FIRST
    return None


def misfit(revision: str) -> str | None:
    """What is to be done about tables that this Moontide can't use as they are; None where it can."""
    if revision == REVISION:
        return None
    if revision < REVISION:
        return f"the tables are of revision {revision}, this Moontide reads {REVISION}: run `moontide migrate`"
    return f"the tables are of revision {revision}, this Moontide reads {REVISION}: use the newer Moontide"


def migrate(connection: Connection) -> tuple[str | None, str]:
    """Brings the tables up to date inside the caller's transaction: from which revision, to which.

    The caller's transaction holds the database's write lock (SQLite), or takes a lock here (Postgres), so that of two
    that begin at once the second finds everything done. Tables of a newer Moontide are left alone.
    """
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": LOCK})
    before = revision_of(connection)
    if before is not None and before >= REVISION:
        return before, before
    _upgrade(connection, before)
    return before, REVISION


def _upgrade(connection: Connection, before: str | None) -> None:
    from alembic import command  # a quarter of a second that only who migrates waits for
    from alembic.config import Config

    config = Config(attributes={"connection": connection})
    config.set_main_option("script_location", "shared.records:migrations")
    config.set_main_option("path_separator", "os")
    with ONE_AT_A_TIME:
        if before == FIRST:
            command.stamp(config, FIRST)
        command.upgrade(config, "head")
