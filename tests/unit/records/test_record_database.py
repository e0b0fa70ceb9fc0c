"""The file that records are in."""

from __future__ import annotations

import os
import sqlite3
import stat
from contextlib import closing
from pathlib import Path

import pytest

from services.recorder.store import Store
from shared.records.database import NoRecords, RecordsUnavailable, open_reader, open_writer
from shared.records.queries import Filter, reading
from shared.records.tables import TABLES, Table
from tests.fixtures.exchanges import Script, captured, plain, streamed
from tests.fixtures.recording import FEED, record, rows, url_in


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.skipif(os.name != "posix", reason="file modes are POSIX's")
def test_only_its_owner_reads_the_file_and_its_folder(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        url = url_in(tmp_path / "new" / "home")
        store = Store.open(url, FEED)
        record(store, captured([plain("A")]))
        files = {path.name: mode(path) for path in (tmp_path / "new" / "home").iterdir()}
        store.close()
    finally:
        os.umask(before)

    assert files == {"records.db": 0o600, "records.db-wal": 0o600, "records.db-shm": 0o600}
    assert (mode(tmp_path / "new"), mode(tmp_path / "new" / "home")) == (0o700, 0o700)


def test_a_full_disk_is_unavailable_and_nothing_of_the_batch_is_written(tmp_path: Path) -> None:
    url = url_in(tmp_path)
    store = Store.open(url, FEED)
    with store._engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA max_page_count = 40")
    stream = captured([Script(f"ID{n}").request().head().data(os.urandom(20_000)).end().done() for n in range(20)])

    with pytest.raises(RecordsUnavailable, match="full"):
        record(store, stream)
    assert store.position().seq == 0

    with store._engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA max_page_count = 100000")
    record(store, stream)
    store.close()
    assert len(rows(url)["exchanges"]) == 20


def test_a_reader_writes_nothing(tmp_path: Path) -> None:
    url = url_in(tmp_path)
    open_writer(url).dispose()
    engine = open_reader(url)

    with pytest.raises(Exception, match="readonly"), engine.connect() as connection:
        connection.exec_driver_sql("DELETE FROM exchanges")
    engine.dispose()


def test_an_empty_file_holds_no_records(tmp_path: Path) -> None:
    (tmp_path / "records.db").touch()

    with pytest.raises(NoRecords, match="holds no records"):
        open_reader(url_in(tmp_path))


@pytest.mark.parametrize("url", ["mysql://host/db", "sqlite://", "sqlite:///:memory:"])
def test_what_is_no_place_for_records_is_refused(url: str) -> None:
    with pytest.raises(NoRecords, match="sqlite:///path"):
        open_reader(url)


def test_old_exchanges_are_deleted_with_all_that_belongs_to_them(tmp_path: Path) -> None:
    url = url_in(tmp_path)
    store = Store.open(url, FEED)
    record(store, captured([streamed("A"), Script("LIVE").request()]))
    with store._engine.begin() as connection:
        connection.exec_driver_sql("UPDATE exchanges SET at = 5")
    record(store, captured([streamed("A"), Script("LIVE").request(), streamed("B")]))

    assert store.expire(before=6) == 1
    store.close()
    left = rows(url)
    assert {row["id"] for row in left["exchanges"]} == {"B", "LIVE"}
    assert {row["exchange_id"] for name in ("calls", "events", "bodies") for row in left[name]} == {"B"}


def test_numbers_count_exchanges_without_a_gap(tmp_path: Path) -> None:
    url = url_in(tmp_path)
    store = Store.open(url, FEED)
    stream = captured([streamed("A"), plain("B"), streamed("C")])
    for message in stream:
        record(store, [message])
    store.close()

    with reading(url) as records:
        assert [row["number"] for row in records.newest()] == [3, 2, 1]
        assert next(records.newest(1, Filter(since=0, until=1)), None) is None


def test_searching_by_a_name_reads_an_index(tmp_path: Path) -> None:
    url = url_in(tmp_path)
    open_writer(url).dispose()
    with closing(sqlite3.connect(tmp_path / "records.db")) as database:
        plans = [
            database.execute(f"EXPLAIN QUERY PLAN SELECT * FROM exchanges WHERE {where}").fetchall()
            for where in (
                "id >= 'A' AND id < 'B'",
                "completion_id = 'x' OR id IN (SELECT exchange_id FROM calls WHERE completion_id = 'x')",
                "at >= 5 AND at < 6",
            )
        ]

    assert not [step for plan in plans for step in plan if step[3].startswith("SCAN")]


def test_every_constraint_has_a_name_that_a_migration_can_use() -> None:
    for table in (kind.metadata.tables[str(kind.__tablename__)] for kind in TABLES):
        assert all(constraint.name for constraint in table.constraints)
        assert all(index.name for index in table.indexes)
    assert len(Table.metadata.tables) == len(TABLES)
