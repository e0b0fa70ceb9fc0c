"""Jobs whose request ends in a text to go on with, at an upstream worker."""

from __future__ import annotations

from pathlib import Path

import pytest

from services.provider_sim.main import serve
from tests.fixtures.upstream import upstream_for

CONFIG = "providers: {it: {kind: openai, base_url: '%s', continues: %s}}"
PREFIX = {"role": "assistant", "content": "Well, ", "partial": True}


@pytest.mark.parametrize(("continues", "outcome"), [("true", "complete"), ("false", "refused")])
async def test_only_a_provider_that_goes_on_with_a_text_is_asked(tmp_path: Path, continues: str, outcome: str) -> None:
    async with await serve() as simulated:
        async with upstream_for(tmp_path, CONFIG % (simulated.base_url, continues)) as ask:
            messages = [{"role": "user", "content": "Hi"}, PREFIX]
            called = await ask(model="sim/text", messages=messages, stream=True, has_prefix=True)
        count = len(simulated.simulator.journal.entries)

    assert called.raw.end is not None
    assert called.raw.end.outcome == outcome
    assert count == (1 if continues == "true" else 0)
    if called.raw.end.fault is not None:
        assert (called.raw.end.fault.status, called.raw.end.fault.code) == (503, "cannot_continue")
