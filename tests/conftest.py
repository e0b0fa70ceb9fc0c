"""What every test can ask for; the fixtures themselves are in tests/fixtures."""

import os
from collections.abc import Iterator

import pytest
import structlog
from hypothesis import HealthCheck, settings

pytest_plugins = [
    "tests.fixtures.backends",
    "tests.fixtures.databases",
    "tests.fixtures.found",
    "tests.fixtures.workspace",
    "tests.fixtures.browsers",
    "tests.fixtures.buses",
    "tests.fixtures.gateway",
    "tests.fixtures.clients",
]

# The same examples every time, so that what a run says depends on the code alone; HYPOTHESIS_EXPLORE=1 tries others.
settings.register_profile("explore", deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True)
settings.register_profile("same", settings.get_profile("explore"), derandomize=True)
settings.load_profile("explore" if os.environ.get("HYPOTHESIS_EXPLORE") else "same")


@pytest.fixture(autouse=True)
def own_logging() -> Iterator[None]:
    """A command that runs within a test sets up logging for its process, which is that of all tests."""
    before = structlog.get_config()
    yield
    structlog.configure(**before)
