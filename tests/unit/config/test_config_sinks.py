"""Sinks: their addresses, and how they come to their passwords."""

from __future__ import annotations

from pathlib import Path

import pytest

from shared.config import load
from shared.config.show import as_yaml
from shared.errors import ConfigError


def written(folder: Path, text: str) -> Path:
    file = folder / "moontide.yaml"
    file.write_text(text)
    return file


def test_a_database_gets_its_password_from_a_reference(tmp_path: Path) -> None:
    file = written(tmp_path, "records: [{url: 'postgresql://u@db:5433/m', password: env:PW}]")

    loaded = load(environ={"PW": "p@ss/word"}, file=file, services=["records"])

    assert loaded.databases() == ["postgresql://u:p%40ss%2Fword@db:5433/m"]
    assert "p@ss" not in as_yaml(loaded)
    assert "p@ss" not in repr(loaded)


def test_a_whole_address_can_be_a_reference(tmp_path: Path) -> None:
    file = written(tmp_path, "records: [{url: env:HOOK}, {url: env:DB}]")

    loaded = load(environ={"HOOK": "https://h/x", "DB": "postgresql://u:pw@db/m"}, file=file, services=["records"])

    assert loaded.databases() == ["postgresql://u:pw@db/m"]
    assert "pw" not in as_yaml(loaded)


def test_an_address_in_the_environment_may_hold_its_password() -> None:
    loaded = load(environ={"MOONTIDE_RECORDS_URL": "postgresql://u:pw@db/m"}, services=["records"])

    assert loaded.databases() == ["postgresql://u:pw@db/m"]
    assert "pw" not in as_yaml(loaded)


def test_several_sinks_are_taken_and_the_databases_among_them_can_be_read(tmp_path: Path) -> None:
    file = written(tmp_path, "records: [{url: 'https://h/x'}, {url: 'sqlite:////a.db'}, {url: 'postgres://u@h/d'}]")

    assert load(environ={}, file=file).databases() == ["sqlite:////a.db", "postgres://u@h/d"]


def test_a_password_that_is_not_there_is_named_for_who_needs_it(tmp_path: Path) -> None:
    file = written(tmp_path, "records: [{url: 'postgresql://u@db/m', password: env:PW}]")

    load(environ={}, file=file, services=["normalizer"])
    with pytest.raises(ConfigError, match=r"records\[0\].password: env:PW: PW is not set"):
        load(environ={}, file=file, services=["recorder"])
