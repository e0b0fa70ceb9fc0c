"""The tables' history: whatever a database was, it becomes what the tables say."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from click.testing import CliRunner
from sqlalchemy import inspect, text

from services.cli.main import main
from shared.records.database import RecordsUnavailable, open_reader, open_writer, unavailable, unmigrated
from shared.records.queries import reading
from shared.records.revisions import migrate, revision_of
from shared.records.tables import REVISION, Table
from tests.fixtures.recording import url_in

VERSION_1 = Path(__file__).parents[1] / "cases" / "records-version-1.sql"
OF_THE_INDEX = ("said_index", "words", "ix_said_words")  # made by a migration for one database only


@pytest.fixture
def old_url(tmp_path: Path) -> str:
    """A database as the first Moontide made it, with one exchange."""
    with closing(sqlite3.connect(tmp_path / "records.db")) as database:
        database.executescript(VERSION_1.read_text())
    return url_in(tmp_path)


def differences(url: str) -> list[Any]:
    engine = unmigrated(url)
    with engine.connect() as connection:
        options = {"compare_type": True, "include_name": is_of_the_tables}
        found = compare_metadata(MigrationContext.configure(connection, opts=options), Table.metadata)
    engine.dispose()
    return found


def is_of_the_tables(name: str | None, kind: str, _parents: object) -> bool:
    return not (name or "").startswith(OF_THE_INDEX)


def test_migrations_make_exactly_the_tables(records_url: str) -> None:
    open_writer(records_url).dispose()

    assert differences(records_url) == []


def test_the_newest_migration_is_the_tables_revision() -> None:
    config = Config()
    config.set_main_option("script_location", "shared.records:migrations")
    config.set_main_option("path_separator", "os")

    assert ScriptDirectory.from_config(config).get_current_head() == REVISION


def test_a_database_of_the_first_moontide_is_migrated_with_what_it_holds(old_url: str) -> None:
    open_writer(old_url).dispose()

    assert differences(old_url) == []
    with reading(old_url) as records:
        assert [(row["id"], row["cost_usd"]) for row in records.newest()] == [("01OLD", None)]
    engine = unmigrated(old_url)
    with engine.connect() as connection:
        assert "schema_version" not in inspect(connection).get_table_names()
    engine.dispose()


def test_a_reader_of_older_tables_says_how_they_are_migrated(old_url: str) -> None:
    with pytest.raises(RecordsUnavailable, match=r"0001.*run `moontide migrate`"):
        open_reader(old_url)


@pytest.mark.parametrize("opened", [open_reader, open_writer])
def test_tables_of_a_newer_moontide_are_refused_and_left_alone(
    opened: Callable[[str], object], records_url: str
) -> None:
    engine = open_writer(records_url)
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    engine.dispose()

    with pytest.raises(RecordsUnavailable, match=r"revision 9999.*use the newer Moontide"):
        opened(records_url)


def test_of_several_that_begin_at_once_one_migrates(records_url: str) -> None:
    """A second migration would fail on tables that are there. A file that is just being made may be locked for a
    moment: then the recorder tries again, as here."""
    at_once, found, refused = threading.Barrier(4), [], []

    def begin() -> None:
        at_once.wait()
        while True:
            engine = unmigrated(records_url)
            try:
                with unavailable(), engine.begin() as connection:
                    found.append(migrate(connection))
                return
            except RecordsUnavailable as error:
                refused.append(str(error))
            finally:
                engine.dispose()

    threads = [threading.Thread(target=begin) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(found, key=str) == [(REVISION, REVISION)] * 3 + [(None, REVISION)]
    assert all("locked" in why for why in refused)


def test_a_migration_that_fails_leaves_everything_as_it_was(old_url: str, tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "records.db")) as database:
        database.execute("CREATE TABLE stretches (mine TEXT)")
        database.commit()

    with pytest.raises(RecordsUnavailable, match="stretches already exists"):
        open_writer(old_url)
    engine = unmigrated(old_url)
    with engine.connect() as connection:
        assert revision_of(connection) == "0001"
        assert "marks" not in inspect(connection).get_table_names()
    engine.dispose()


def test_the_command_says_from_what_to_what(old_url: str) -> None:
    first = CliRunner().invoke(main, ["migrate", "--url", old_url])
    second = CliRunner().invoke(main, ["migrate", "--url", old_url, "--compact"])

    assert (first.exit_code, second.exit_code) == (0, 0)
    assert f"from 0001 to revision {REVISION}" in first.output
    assert f"is at revision {REVISION}" in second.output
    assert "gives space back from now on" in second.output


def test_the_command_says_what_keeps_it_from_migrating() -> None:
    result = CliRunner().invoke(main, ["migrate", "--url", "mysql://host/db"])

    assert result.exit_code == 1
    assert "write sqlite:///path or postgresql://" in result.output
