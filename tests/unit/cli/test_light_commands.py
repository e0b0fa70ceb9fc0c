"""What runs every few seconds, as a container's health check, costs little."""

from __future__ import annotations

import subprocess
import sys

import pytest


@pytest.mark.parametrize("command", ["workers", "tap"])
@pytest.mark.parametrize("heavy", ["sqlalchemy", "aiohttp.web", "services.ingress.main"])
def test_a_command_that_only_listens_loads_no_service(command: str, heavy: str) -> None:
    look = f"import sys, services.cli.{command}; sys.exit({heavy!r} in sys.modules)"

    assert subprocess.run([sys.executable, "-c", look], check=False).returncode == 0
