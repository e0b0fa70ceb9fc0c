"""Five providers that fail at random: no client sees an error that another target could have avoided.

    CHAOS_REQUESTS=10000 .venv/bin/python -m pytest -s tests/integration/test_chaos.py

Without the variable there are fewer requests, so that every test run can afford it.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.fixtures.pipeline import Answer, Pipeline, pipeline, providers, simulators, targets

pytestmark = [pytest.mark.backend, pytest.mark.once]

REQUESTS = int(os.environ.get("CHAOS_REQUESTS", "1000"))
AT_ONCE = 32
FLAKY = "sim/reasoning+flaky?chunks=8&thoughts=4&rate=0.3"
WHOLE = "sim/reasoning?chunks=8&thoughts=4"


@dataclass
class Outcome:
    """What the clients saw."""

    fine: int = 0
    errors: list[Answer] = field(default_factory=list)
    wrong: list[Answer] = field(default_factory=list)  # a 200 whose text is not what an undisturbed provider says


def said(answer: Answer) -> tuple[str, str]:
    return answer.text("reasoning_content"), answer.text()


async def clients(running: Pipeline, count: int, whole: tuple[str, str]) -> Outcome:
    outcome, numbers = Outcome(), iter(range(count))

    async def client() -> None:
        for number in numbers:
            answer = await running.ask("kimi", stream=number % 2 == 0)
            if answer.status != 200 or answer.error is not None:
                outcome.errors.append(answer)
            elif said(answer) != whole:
                outcome.wrong.append(answer)
            else:
                outcome.fine += 1

    await asyncio.gather(*(client() for _ in range(AT_ONCE)))
    return outcome


async def avoidable(running: Pipeline, answer: Answer) -> bool:
    """Whether some provider was never asked for this request."""
    exchange = await running.exchange(answer.id)
    return len({sent.provider for sent in exchange.sent.values()}) < 5


async def test_five_providers_failing_at_random_cost_no_client_an_error(
    nats_url: str, bus_root: str, capfd: pytest.CaptureFixture[str]
) -> None:
    async with simulators(5) as five:
        config: dict[str, Any] = {
            "providers": providers(five, continues=True, circuit={"failures": 5, "open_s": 0.2, "cap_s": 1.0}),
            "models": {
                "kimi": {"targets": targets(*[FLAKY] * 5), "strategy": "round_robin"},
                "whole": {"targets": targets(WHOLE)},
            },
            "log": {"level": "error"},
        }
        async with pipeline(nats_url, bus_root, config, upstreams=2) as running:
            whole = said(await running.ask("whole", stream=True))
            began = time.monotonic()
            outcome = await clients(running, REQUESTS, whole)
            took_s = time.monotonic() - began
            counted = [await avoidable(running, answer) for answer in outcome.errors]
        entries = [entry for one in five for entry in one.simulator.journal.entries]
        calls = sum(one.simulator.journal.entries[-1].number for one in five) - 1

    capfd.readouterr()
    with capfd.disabled():
        ended = Counter(entry.outcome for entry in entries)
        print(
            f"\nchaos: {REQUESTS} requests in {took_s:.1f} s, {calls} provider calls (of the last {len(entries)},"
            f" {sum(entry.status != 200 for entry in entries)} were refused and {ended['cut']} cut); clients saw"
            f" {outcome.fine} whole answers, {len(outcome.wrong)} wrong ones, {len(outcome.errors)} errors,"
            f" {sum(counted)} of them avoidable"
        )
    assert outcome.wrong == []
    assert sum(counted) == 0
    assert outcome.fine + len(outcome.errors) == REQUESTS
    assert calls > 1.2 * REQUESTS
