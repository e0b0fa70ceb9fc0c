"""What of new settings comes into force while a process runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from shared.config import Loaded, digest, files_of, load, merged
from shared.errors import ConfigError

KEYS = "ann: ck-key-of-ann\n"


def loaded(folder: Path, text: str, **overrides: Any) -> Loaded:
    file = folder / "moontide.yaml"
    file.write_text(text)
    return load(environ={"HOME": str(folder), "K": "sk-key-1"}, file=file, overrides=overrides)


def test_what_can_change_does_and_what_cannot_is_named(tmp_path: Path) -> None:
    running = loaded(tmp_path, "ingress: {port: 1, ping_s: 5}\nlog: {level: info}")
    fresh = loaded(tmp_path, "ingress: {port: 2, ping_s: 7}\nlog: {level: debug}\nbus: {root: other}")

    now, waiting = merged(running, fresh)

    assert (now.settings.ingress.port, now.settings.ingress.ping_s, now.settings.bus.root) == (1, 7, "moontide")
    assert waiting == ("bus", "ingress.port", "log")


def test_settings_that_are_the_same_wait_for_nothing(tmp_path: Path) -> None:
    running = loaded(tmp_path, "ingress: {port: 1}")

    assert merged(running, running) == (running, ())


def test_an_ingress_that_everybody_reaches_keeps_its_keys_whatever_the_file_says_of_its_next_address(
    tmp_path: Path,
) -> None:
    (tmp_path / "keys.yaml").write_text(KEYS)
    running = loaded(tmp_path, "ingress: {host: 0.0.0.0, keys: 'file:keys.yaml'}")
    fresh = loaded(tmp_path, "\ningress: {host: 127.0.0.1}")

    with pytest.raises(ConfigError, match=r"moontide.yaml:2: ingress.host: 0.0.0.0 can .* needs a restart"):
        merged(running, fresh)


def test_the_digest_is_of_what_the_file_says_and_a_reload_can_change(tmp_path: Path) -> None:
    one = digest(loaded(tmp_path, "ingress: {ping_s: 5}"))

    assert digest(loaded(tmp_path, "# as before\ningress:\n  ping_s: 5\n")) == one
    assert digest(loaded(tmp_path, "ingress: {ping_s: 5}", ingress={"port": 8})) == one
    assert digest(loaded(tmp_path, "ingress: {ping_s: 5, port: 8}")) == one
    assert digest(loaded(tmp_path, "ingress: {ping_s: 6}")) != one


def test_the_digest_has_nothing_of_a_secret(tmp_path: Path) -> None:
    text = "providers: {a: {kind: moonshot, api_key: 'file:key'}}"
    found = set()
    for key in ("sk-key-1", "sk-key-2"):
        (tmp_path / "key").write_text(key)
        found.add(digest(loaded(tmp_path, text)))

    assert len(found) == 1


def test_the_files_that_settings_come_from_are_those_that_they_name(tmp_path: Path) -> None:
    (tmp_path / "account").write_text(str(tmp_path / "gcp.json"))
    file = tmp_path / "moontide.yaml"
    file.write_text(
        "ingress: {keys: 'file:keys.yaml'}\n"
        "providers:\n"
        "  a: {kind: moonshot, api_key: 'file:not-there'}\n"
        "  b: {kind: vertex, credentials: 'file:account'}\n"
        "  c: {kind: vertex, credentials: 'env:GCP'}\n"
        "  d: {kind: moonshot, api_key: 'env:K'}\n"
        "  e: {kind: vertex, credentials: 'file:nowhere'}\n"
    )

    found = files_of(environ={"GCP": "/x/gcp.json", "K": "sk-key-1"}, file=file)

    named = ("keys.yaml", "not-there", "account", "gcp.json", "nowhere")
    assert found == {str(file), "/x/gcp.json", *(str(tmp_path / name) for name in named)}


@pytest.mark.parametrize("text", ["a: [", None])
def test_a_file_that_can_t_be_read_is_looked_at_until_it_can(tmp_path: Path, text: str | None) -> None:
    file = tmp_path / "moontide.yaml"
    if text is not None:
        file.write_text(text)

    assert files_of(environ={}, file=file) == {str(file)}
    assert files_of(environ={}) == frozenset()


def test_a_key_in_the_environment_is_no_file(tmp_path: Path) -> None:
    text = "providers: {b: {kind: vertex, credentials: 'env:GCP'}}"
    (tmp_path / "m.yaml").write_text(text)

    found = files_of(environ={"GCP": '{"type": "service_account"}'}, file=tmp_path / "m.yaml")

    assert found == {str(tmp_path / "m.yaml")}
