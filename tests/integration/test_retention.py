"""What is kept, and what is given back, on both databases."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path

from sqlalchemy import text

from services.recorder.store import Store
from shared.records.space import used_bytes
from tests.fixtures.exchanges import Script, captured, streamed
from tests.fixtures.recording import FEED, record, rows

TABLES = ("calls", "tool_calls", "said", "events", "bodies", "marks")


def large(id: str) -> Script:
    call = b'{"choices":[{"message":{"content":"hello","tool_calls":[{"function":{"name":"f","arguments":"{}"}}]}}]}'
    return Script(id).request().sent().head().data(call + b" " + os.urandom(20_000)).event("noted").end().done()


def checkpoint(file: Path) -> None:
    """What is in the log goes into the file."""
    with closing(sqlite3.connect(file)) as database:
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def used(store: Store) -> int:
    with store._engine.connect() as connection:
        return used_bytes(connection)


def test_old_exchanges_are_deleted_with_all_that_belongs_to_them(records_url: str) -> None:
    store = Store.open(records_url, FEED)
    record(store, captured([large("A"), streamed("A2"), Script("LIVE").request()]))
    with store._engine.begin() as connection:
        connection.execute(text("UPDATE exchanges SET at = 5"))
        connection.execute(text("INSERT INTO marks VALUES ('A', 'tag', 'old', 1), ('B', 'tag', 'new', 1)"))
    record(store, captured([large("A"), streamed("A2"), Script("LIVE").request(), large("B")]))

    assert store.expire(before=6) == 2
    store.close()
    left = rows(records_url, ["exchanges", *TABLES])
    assert {row["id"] for row in left["exchanges"]} == {"B", "LIVE"}
    assert {row["exchange_id"] for name in TABLES for row in left[name]} == {"B"}


def test_past_a_size_the_oldest_go_until_the_rest_fits(records_url: str) -> None:
    store = Store.open(records_url, FEED)
    record(store, captured([large(f"ID{number:03}") for number in range(100)]))
    with store._engine.begin() as connection:
        connection.execute(text("UPDATE exchanges SET at = number"))
    limit = used(store) // 2

    rounds = [store.shrink(limit)]
    while rounds[-1]:
        rounds.append(store.shrink(limit))
    assert used(store) <= limit
    store.close()

    left = [row["id"] for row in rows(records_url, ["exchanges"])["exchanges"]]
    assert 30 < len(left) < 60
    assert left == [f"ID{number:03}" for number in range(100 - len(left), 100)]
    assert len(rounds) < 10


def test_a_size_that_is_not_reached_deletes_nothing(records_url: str) -> None:
    store = Store.open(records_url, FEED)
    record(store, captured([large("A")]))

    assert store.shrink(1024**3) == 0
    store.close()


def test_space_is_given_back_to_the_file_system_a_little_at_a_time(tmp_path: Path) -> None:
    store = Store.open(f"sqlite:///{tmp_path}/records.db", FEED)
    record(store, captured([large(f"ID{number:03}") for number in range(900)]))
    file = tmp_path / "records.db"
    checkpoint(file)
    before = file.stat().st_size

    assert store.expire(before=2e9) == 900
    rounds = 1
    while store.give_back():
        rounds += 1
    checkpoint(file)
    store.close()

    assert rounds > 1
    assert file.stat().st_size < before / 10
