"""What can be wrong with a records database, told apart by who has to do something about it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy.exc import DatabaseError, DataError, DBAPIError, IntegrityError, NotSupportedError, ProgrammingError

from shared.secrets import scrub

_ABOUT_ROWS = (IntegrityError, DataError, ProgrammingError, NotSupportedError)
_WRONG_STATEMENT = "42"  # Postgres's class for what it refuses whatever the row: no such table, no right to it


class NoRecords(Exception):
    """There is no records database at that place. The text says which place."""


class RecordsUnavailable(Exception):
    """The database is there but can't be used now: locked, full, not writable, damaged, or of another version."""


@contextmanager
def unavailable() -> Iterator[None]:
    """What a database or its file refuses becomes RecordsUnavailable; what is wrong with a row does not."""
    try:
        yield
    except (DatabaseError, OSError) as error:
        if is_about_rows(error):
            raise
        raise RecordsUnavailable(_in_one_line(error)) from error
    except DBAPIError as error:  # psycopg's client side: the connection is closed
        if not error.connection_invalidated:
            raise
        raise RecordsUnavailable(_in_one_line(error)) from error


def is_about_rows(error: Exception) -> bool:
    """Whether another row could be written while this one can't."""
    if not isinstance(error, (DatabaseError, OSError, RecordsUnavailable)):
        return not (isinstance(error, DBAPIError) and error.connection_invalidated)
    state = getattr(getattr(error, "orig", None), "sqlstate", None) or ""
    return isinstance(error, _ABOUT_ROWS) and not state.startswith(_WRONG_STATEMENT)


def _in_one_line(error: DBAPIError | OSError) -> str:
    text = str(error.orig) if isinstance(error, DBAPIError) else f"{error.filename}: {error.strerror}"
    return scrub(" ".join(text.split()))
