"""deploy/init and compose.yaml know the users that the table of rights has, each its own."""

from __future__ import annotations

import shutil
import stat
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from services.cli.nats_config import password_of
from shared.rights import rights
from shared.subjects import Subjects

ROOT = Path(__file__).parents[2]
USERS = list(rights(Subjects()))
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text(encoding="utf-8"))["services"]


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A checkout with nothing but the script."""
    (tmp_path / "deploy").mkdir()
    shutil.copy(ROOT / "deploy" / "init", tmp_path / "deploy" / "init")
    return tmp_path


def init(place: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([place / "deploy" / "init", *arguments], capture_output=True, text=True, check=False)


def variables(place: Path) -> dict[str, str]:
    lines = (place / ".env").read_text().splitlines()
    found = dict(line.split("=", 1) for line in lines)
    assert len(found) == len(lines)
    return found


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_every_user_gets_a_password_of_its_own(place: Path) -> None:
    assert init(place).returncode == 0
    passwords = [variables(place)[password_of(user)] for user in USERS]

    assert len(set(passwords)) == len(USERS)
    assert min(map(len, passwords)) == 48


def test_what_is_there_stays_and_what_is_missing_is_made(place: Path) -> None:
    (place / ".env").write_text("MOONSHOT_API_KEY=sk-1\nNATS_TAP_PASSWORD=mine")
    (place / ".env").chmod(0o644)
    init(place)
    first = variables(place)
    init(place)

    assert (first["MOONSHOT_API_KEY"], first["NATS_TAP_PASSWORD"]) == ("sk-1", "mine")
    assert variables(place) == first


def test_nobody_else_reads_the_secrets(place: Path) -> None:
    init(place)
    init(place, "--rotate")

    assert (mode(place / ".env"), mode(place / "deploy" / "secrets")) == (0o600, 0o700)
    assert [path.name for path in (place / "deploy" / "secrets").iterdir()] == ["client-keys.yaml"]


@pytest.mark.parametrize("named", [["tap", "ingress"], []])
def test_passwords_are_rotated(place: Path, named: list[str]) -> None:
    init(place)
    before = variables(place)
    done = init(place, "--rotate", *named)
    after = variables(place)

    assert done.returncode == 0
    assert {name for name in before if before[name] != after[name]} == set(map(password_of, named or USERS))
    assert not any(password in done.stdout for password in after.values())


def test_a_user_that_is_not_there_changes_nothing(place: Path) -> None:
    init(place)
    before = variables(place)
    done = init(place, "--rotate", "tap", "bob")

    assert (done.returncode, variables(place)) == (2, before)
    assert "there is no NATS user `bob`" in done.stderr


@pytest.mark.parametrize("user", USERS)
def test_each_container_logs_in_as_its_own_user_with_its_own_password(user: str) -> None:
    environ = COMPOSE[user]["environment"]
    url = environ["MOONTIDE_NATS_URL"]

    assert url.startswith(f"nats://{user}:${{{password_of(user)}:?")
    assert [other for other in USERS if other != user and password_of(other) in str(environ)] == []


def test_the_server_is_told_every_password_in_quotes() -> None:
    told = COMPOSE["nats"]["environment"]

    assert set(told) == set(map(password_of, USERS))
    assert all(value.startswith('"${') and value.endswith('}"') for value in told.values())
