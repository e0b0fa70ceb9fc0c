"""Records in a file: SQLite in WAL mode with synchronous=NORMAL.

A killed process loses nothing that was committed; a power cut may take the last commits back, and with them the
position, so that the recorder reads those messages again.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Any
from urllib.parse import quote

from sqlalchemy import URL, Connection, Engine, create_engine, event
from sqlalchemy.pool import NullPool, QueuePool

from shared.records.faults import NoRecords

WAL_PAGES = 4000  # pages of 4 KiB between checkpoints

_CONNECT: dict[str, Any] = {"check_same_thread": False, "isolation_level": None}


def path_of(url: URL) -> Path:
    if not url.database or url.database == ":memory:":
        raise NoRecords(f"{url.render_as_string()} is no records database: write sqlite:///path")
    return Path(url.database).expanduser().absolute()


def writer(path: Path, busy_timeout_s: float, options: dict[str, Any]) -> Engine:
    _make_file(path)
    engine = create_engine(
        f"sqlite:///{path}",
        poolclass=QueuePool,
        pool_size=1,
        max_overflow=0,
        connect_args={**_CONNECT, "timeout": busy_timeout_s},
        **options,
    )
    event.listen(engine, "connect", _prepare_writer)
    event.listen(engine, "begin", _begin_immediately)
    return engine


def reader(path: Path, busy_timeout_s: float) -> Engine:
    if not path.is_file():
        raise NoRecords(f"no records at {path}: nothing was recorded there yet")
    address = f"sqlite:///file:{quote(str(path))}?{_read_mode(path)}&uri=true"
    return create_engine(address, poolclass=NullPool, connect_args={**_CONNECT, "timeout": busy_timeout_s})


def _make_file(path: Path) -> None:
    """The file is its owner's alone from the moment it exists; -wal and -shm inherit its mode."""
    for folder in reversed([path.parent, *path.parent.parents]):
        if not folder.exists():
            folder.mkdir(mode=0o700, exist_ok=True)
    file = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        if os.name == "posix" and stat.S_IMODE(os.fstat(file).st_mode) & 0o077:
            os.fchmod(file, 0o600)
    finally:
        os.close(file)


def _prepare_writer(connection: Any, _record: Any) -> None:
    """`auto_vacuum` counts in a new file only; an older one gets it from `moontide migrate --compact`."""
    pragmas = ("auto_vacuum=INCREMENTAL", "journal_mode=WAL", "synchronous=NORMAL", "temp_store=MEMORY")
    for pragma in (*pragmas, f"wal_autocheckpoint={WAL_PAGES}"):
        connection.execute(f"PRAGMA {pragma}")


def _begin_immediately(connection: Connection) -> None:
    """The write lock is taken first: a transaction that began can't fail for it halfway."""
    connection.exec_driver_sql("BEGIN IMMEDIATE")


def _read_mode(path: Path) -> str:
    """A closed database in a folder that can't be written to has no -wal file and can't get one."""
    closed = not path.with_name(f"{path.name}-wal").exists()
    return "immutable=1" if closed and not os.access(path.parent, os.W_OK) else "mode=ro"
