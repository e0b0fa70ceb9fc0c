"""What a command imports before it begins: each of these costs a tenth of a second or so."""

from __future__ import annotations

import subprocess
import sys

import pytest


@pytest.mark.parametrize(
    ("module", "unwanted"),
    [
        ("services.cli.main", ["aiohttp", "sqlalchemy", "nats", "services.cli.up"]),
        ("services.cli.up", ["google", "cryptography", "services.provider_sim"]),
    ],
)
def test_a_command_does_not_import_what_it_may_not_need(module: str, unwanted: list[str]) -> None:
    show = f"import sys, {module}; print([name for name in {unwanted!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", show], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "[]"
