"""Files that settings come from: what is a change, and what isn't."""

from __future__ import annotations

import os
from pathlib import Path

import anyio
import pytest

from services.cli import watching
from services.cli.orders import Order, Orders
from services.cli.watching import Watch


def looks(watch: Watch, count: int = 2) -> list[bool]:
    return [watch.is_new(watch.look()) for _ in range(count)]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    file = tmp_path / "moontide.yaml"
    file.write_text("one")
    return file


def test_files_that_stay_as_they_are_are_no_change(file: Path) -> None:
    watch = Watch([str(file)])
    os.utime(file, (1, 1))

    assert looks(watch, 3) == [False, False, False]


def test_a_change_counts_once_when_it_has_lasted(file: Path) -> None:
    watch = Watch([str(file)])
    file.write_text("two")

    assert looks(watch, 3) == [False, True, False]


def test_a_file_that_is_being_written_is_waited_for(file: Path) -> None:
    watch = Watch([str(file)])
    found = []
    for text in ("2", "22", "222"):
        file.write_text(text)
        found += looks(watch, 1)

    assert found == [False, False, False]
    assert looks(watch, 1) == [True]


def test_a_change_that_was_taken_back_is_none(file: Path) -> None:
    watch = Watch([str(file)])
    file.write_text("two")
    looks(watch, 1)
    file.write_text("one")

    assert looks(watch) == [False, False]


def test_a_mounted_folder_whose_symlink_is_swapped_is_a_change(tmp_path: Path) -> None:
    for name, text in (("v1", "one"), ("v2", "two")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "moontide.yaml").write_text(text)
    data = tmp_path / "..data"
    data.symlink_to("v1")
    watch = Watch([str(data / "moontide.yaml")])
    swapped = tmp_path / "..data_tmp"
    swapped.symlink_to("v2")
    swapped.replace(data)

    assert looks(watch) == [False, True]


def test_a_file_that_comes_or_goes_is_a_change(file: Path, tmp_path: Path) -> None:
    late = tmp_path / "late"
    watch = Watch([str(file), str(late)])
    late.write_text("here")
    assert looks(watch) == [False, True]
    late.unlink()

    assert looks(watch) == [False, True]


def test_other_files_are_looked_at_from_when_they_are_named(file: Path, tmp_path: Path) -> None:
    watch = Watch([])
    stale = watch.look()
    watch.follow([str(file)])

    assert not watch.is_new(stale)
    assert looks(watch) == [False, False]
    file.write_text("two")
    assert looks(watch) == [False, True]


async def test_a_lasting_change_is_an_order_to_reload(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "LOOK_S", 0.001)
    watch, orders = Watch([str(file)]), Orders()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(watch.run, orders)
        await anyio.Path(file).write_text("two")
        with anyio.fail_after(5):
            assert await orders.next() is Order.RELOAD
        tasks.cancel_scope.cancel()
