"""Keys and accounts over a change of settings: what is the same stays, what isn't begins afresh."""

from __future__ import annotations

from pathlib import Path

import anyio
import pytest

from services.upstream.calls import Account
from services.upstream.desks import provider_keys
from services.upstream.google_tokens import Tokens
from shared.config import Loaded, load
from shared.errors import SecretError
from shared.seal import SealKey
from shared.secrets import Secret
from tests.fixtures.google import service_account

SEAL = SealKey.generate()
CONFIG = (
    "providers: {v: {kind: vertex, project: p, credentials: 'file:account'}, m: {kind: moonshot, api_key: 'file:k'}}"
)


def loaded(folder: Path, account: str, key: str = "sk-key-1") -> Loaded:
    (folder / "gcp.json").write_text(account)
    (folder / "account").write_text(str(folder / "gcp.json"))
    (folder / "k").write_text(key)
    (folder / "moontide.yaml").write_text(CONFIG)
    return load(environ={}, file=folder / "moontide.yaml", services=["upstream"])


def test_tokens_of_the_same_account_go_on_and_those_of_another_one_are_others(tmp_path: Path) -> None:
    one = loaded(tmp_path, service_account("http://127.0.0.1:9"))
    before = provider_keys(one.settings, one.secrets, SEAL)
    same = provider_keys(one.settings, one.secrets, SEAL, before)
    other = loaded(tmp_path, service_account("http://127.0.0.1:9", "another"))
    after = provider_keys(other.settings, other.secrets, SEAL, before)

    assert same.providers["v"] is before.providers["v"]
    assert after.providers["v"] is not before.providers["v"]
    assert isinstance(after.providers["v"], Tokens)
    assert after.providers["m"] == before.providers["m"]


def test_credentials_that_are_none_leave_everything_as_it_is(tmp_path: Path) -> None:
    one = loaded(tmp_path, service_account("http://127.0.0.1:9"))
    before = provider_keys(one.settings, one.secrets, SEAL)
    (tmp_path / "gcp.json").write_bytes(b"\xff\xfe")
    with pytest.raises(SecretError, match="not the key of a service account"):
        provider_keys(one.settings, one.secrets, SEAL, before)
    (tmp_path / "gcp.json").unlink()
    with pytest.raises(SecretError, match="cannot be read"):
        provider_keys(one.settings, one.secrets, SEAL, before)


def test_an_account_is_another_one_with_another_key_address_or_header() -> None:
    one = Account("openai", "http://a/v1", "", Secret("k1"), (("x-key", "1"),))

    assert one == Account("openai", "http://a/v1", "", Secret("k1"), (("x-key", "1"),))
    assert one != Account("openai", "http://a/v1", "", Secret("k2"), (("x-key", "1"),))
    assert one != Account("openai", "http://b/v1", "", Secret("k1"), (("x-key", "1"),))
    assert one != Account("openai", "http://a/v1", "", Secret("k1"), (("x-key", "2"),))
    assert "k1" not in repr(one)


async def test_tokens_that_nobody_needs_are_no_longer_kept_fresh() -> None:
    class Never:
        token, expiry = "t", None

        def refresh(self, _http: object) -> None:
            raise ValueError("not now")

    tokens = Tokens("v", Never())
    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(tokens.keep_fresh)
            await tokens.until_first()
            tokens.retire()  # the group ends: nothing runs any more
