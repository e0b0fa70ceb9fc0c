"""Who may look is settled before anything starts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from shared.config import Loaded, load
from shared.errors import ConfigError

ALL = ("dashboard", "ingress")


def loaded(services: tuple[str, ...] = ALL, **sections: Any) -> Loaded:
    return load(environ={}, overrides=sections, services=services)


def keys(folder: Path, name: str, key: str) -> str:
    file = folder / f"{name}.yaml"
    file.write_text(f"{name}: {key}\n")
    return f"file:{file}"


def test_on_loopback_nobody_is_asked_for_a_key() -> None:
    assert loaded().dashboard_keys is None


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.7", "moon.example"])
def test_it_never_listens_to_other_machines_without_keys(host: str) -> None:
    with pytest.raises(ConfigError, match=r"dashboard\.keys"):
        loaded(dashboard={"host": host})


def test_an_empty_host_is_refused() -> None:
    with pytest.raises(ConfigError, match="has no value"):
        loaded(dashboard={"host": ""})


def test_its_own_keys_open_it_and_those_of_clients_don_t(tmp_path: Path) -> None:
    found = loaded(
        dashboard={"host": "0.0.0.0", "keys": keys(tmp_path, "ann", "operator-key-1")},
        ingress={"keys": keys(tmp_path, "bot", "client-key-1234")},
    )

    assert found.dashboard_keys is not None
    assert found.client_keys is not None
    assert found.dashboard_keys.name_of("operator-key-1") == "ann"
    assert found.dashboard_keys.name_of("client-key-1234") is None
    assert found.client_keys.name_of("operator-key-1") is None


def test_without_keys_of_its_own_it_takes_the_clients(tmp_path: Path) -> None:
    reference = keys(tmp_path, "bot", "client-key-1234")
    found = loaded(("dashboard",), dashboard={"host": "0.0.0.0"}, ingress={"keys": reference})

    assert found.dashboard_keys is not None
    assert found.dashboard_keys.name_of("client-key-1234") == "bot"
    assert found.client_keys is None


def test_keys_that_can_t_be_read_are_said_once(tmp_path: Path) -> None:
    reference = keys(tmp_path, "bot", "short")
    with pytest.raises(ConfigError) as error:
        loaded(ingress={"keys": reference})

    assert len(error.value.problems) == 1


@pytest.mark.parametrize("name", ["http://moon.example", "moon.example:80", "", "a b"])
def test_a_host_is_a_name_without_anything_around_it(name: str) -> None:
    with pytest.raises(ConfigError, match="without a scheme and a port"):
        loaded(dashboard={"hosts": [name]})
