"""What the record says of requests that took several calls: every call with its error, and what the client got."""

from __future__ import annotations

from typing import Any

import pytest

from services.recorder.store import Store
from tests.fixtures.pipeline import Pipeline, pipeline, providers, simulators, targets
from tests.fixtures.recording import FEED, record, rows

pytestmark = pytest.mark.backend


async def recorded(running: Pipeline, id: str, url: str) -> dict[str, list[dict[str, Any]]]:
    """The rows of one request, as the recorder makes them of what was captured."""
    await running.exchange(id)
    captured = await running.bus.history(running.subjects.of_request(id), limit=5000)
    store = Store.open(url, FEED)
    record(store, captured, running.subjects.root)
    store.close()
    return rows(url)


async def test_both_calls_of_a_continued_stream_are_on_record(nats_url: str, bus_root: str, records_url: str) -> None:
    async with simulators(2) as two:
        models = {"kimi": {"targets": targets("sim/text+cut?chunks=9&after=6", "sim/text?chunks=9")}}
        async with pipeline(nats_url, bus_root, {"providers": providers(two, continues=True), "models": models}) as it:
            answer = await it.ask("kimi", stream=True)
            found = await recorded(it, answer.id, records_url)

    assert [(call["call"], call["provider"], call["outcome"]) for call in found["calls"]] == [
        ("c1", "p1", "broken"),
        ("c2", "p2", "complete"),
    ]
    assert [exchange["outcome"] for exchange in found["exchanges"]] == ["complete"]
    assert {event["name"] for event in found["events"]} >= {"routed", "continued"}


async def test_a_refused_call_is_on_record_with_its_error(nats_url: str, bus_root: str, records_url: str) -> None:
    async with simulators(2) as two:
        models = {"kimi": {"targets": targets("sim/overloaded", "sim/text")}}
        async with pipeline(nats_url, bus_root, {"providers": providers(two), "models": models}) as it:
            answer = await it.ask("kimi")
            found = await recorded(it, answer.id, records_url)

    assert [(call["provider"], call["outcome"], call["status"]) for call in found["calls"]] == [
        ("p1", "refused", 429),
        ("p2", "complete", 200),
    ]
    assert found["exchanges"][0]["provider"] == "p2"
