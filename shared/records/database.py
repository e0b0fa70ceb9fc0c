"""Opening a records database: for a writer, or for readers who change nothing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
from sqlalchemy import URL, Connection, Engine, make_url

from shared.records import postgres, sqlite
from shared.records.faults import NoRecords, RecordsUnavailable, is_about_rows, unavailable
from shared.records.revisions import migrate, misfit, revision_of

__all__ = ["NoRecords", "RecordsUnavailable", "is_about_rows", "open_reader", "open_writer", "unavailable"]

BUSY_TIMEOUT_S = 5.0  # how long a database waits for somebody else's lock


def open_writer(url: str, busy_timeout_s: float = BUSY_TIMEOUT_S) -> Engine:
    """An engine for one writer, with the newest tables; raises RecordsUnavailable."""
    with unavailable():
        engine = unmigrated(url, busy_timeout_s)
        with closing_on_failure(engine), engine.begin() as connection:
            _, revision = migrate(connection)
            _refuse_misfit(revision)
    return engine


def unmigrated(url: str, busy_timeout_s: float = BUSY_TIMEOUT_S) -> Engine:
    """An engine for one writer, whatever tables are there."""
    parsed = parsed_url(url)
    options: dict[str, Any] = {
        "json_serializer": _as_json,
        "hide_parameters": True,  # an error's text goes into the log, what people said does not
    }
    if is_postgres(parsed):
        return postgres.writer(parsed, busy_timeout_s, options)
    return sqlite.writer(sqlite.path_of(parsed), busy_timeout_s, options)


def open_reader(url: str) -> Engine:
    """An engine that can't write, create or migrate; raises NoRecords or RecordsUnavailable."""
    parsed = parsed_url(url)
    with unavailable():
        is_file = not is_postgres(parsed)
        engine = sqlite.reader(sqlite.path_of(parsed), BUSY_TIMEOUT_S) if is_file else postgres.reader(parsed)
        with closing_on_failure(engine), engine.connect() as connection:
            _check_revision(connection, place_of(url))
    return engine


def sqlite_path(url: str) -> Path:
    parsed = parsed_url(url)
    if is_postgres(parsed):
        raise NoRecords(f"{place_of(url)} is no file")
    return sqlite.path_of(parsed)


def place_of(url: str) -> str:
    """Where the records are, for people: a path, or an address without its password."""
    parsed = parsed_url(url)
    if not is_postgres(parsed):
        return str(sqlite.path_of(parsed))
    return without_password(parsed).render_as_string()


def without_password(url: URL) -> URL:
    """The same place, however one is let in there."""
    return URL.create(url.drivername, url.username, None, url.host, url.port, url.database)


def parsed_url(url: str) -> URL:
    parsed = make_url(url)
    if parsed.drivername not in ("sqlite", *postgres.SCHEMES):
        raise NoRecords(
            f"{parsed.render_as_string()} is no records database: write sqlite:///path or postgresql://host/database"
        )
    return parsed


def is_postgres(url: URL) -> bool:
    return url.drivername in postgres.SCHEMES


@contextmanager
def closing_on_failure(engine: Engine) -> Iterator[None]:
    try:
        yield
    except BaseException:
        engine.dispose()
        raise


def _as_json(value: Any) -> str:
    return msgspec.json.encode(value).decode()


def _check_revision(connection: Connection, place: str) -> None:
    revision = revision_of(connection)
    if revision is None:
        raise NoRecords(f"{place} holds no records: it is another database, or nothing was recorded yet")
    _refuse_misfit(revision)


def _refuse_misfit(revision: str) -> None:
    why = misfit(revision)
    if why is not None:
        raise RecordsUnavailable(why)
