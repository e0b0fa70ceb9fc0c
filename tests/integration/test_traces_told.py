"""Requests through the whole pipeline, and the traces that a collector gets of them."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest

from services.provider_sim.main import Served
from services.recorder.main import recording
from services.recorder.tracing import traces_of
from shared.config import load
from shared.secrets import Secrets
from shared.subjects import Subjects
from shared.traces import request_id_of, span_id
from shared.worker import Identity, Worker
from tests.fixtures.collectors import Collecting, Seen, collecting
from tests.fixtures.installation import WEATHER
from tests.fixtures.pipeline import Pipeline, pipeline, providers, simulators, targets

pytestmark = pytest.mark.backend

SERVER, CLIENT, INTERNAL = 2, 3, 1
UNSET, FAILED = 0, 2
LOOP = "sim/loop?delay_ms=1&length=200000"  # slow enough that it still runs when it is stopped
PARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


def config(simulated: list[Served], *models: str, **model: Any) -> dict[str, Any]:
    return {"providers": providers(simulated), "models": {"kimi": {"targets": targets(*models), **model}}}


@asynccontextmanager
async def told(running: Pipeline, settings: dict[str, Any], **traces: Any) -> AsyncIterator[Collecting]:
    """A collector that gets the traces of `running`, until the block is over and all are told."""
    async with collecting() as collector:
        said = {"enabled": True, "endpoint": collector.url, **traces}
        root = running.subjects.root
        loaded = load(environ={}, overrides={**settings, "bus": {"root": root}, "traces": said})
        worker = Worker(running.bus, Subjects(root), Identity(service="recorder", instance="recorder-1", capacity=1))
        sink = traces_of(running.bus, loaded.settings, Secrets({}), worker.metrics)
        async with recording(worker, [sink], 10.0):
            yield collector


async def traced(collector: Collecting, id: str) -> list[Seen]:
    await eventually(lambda: bool(collector.of(id)))
    return collector.of(id)


async def eventually(holds: Callable[[], bool]) -> None:
    with anyio.fail_after(20):
        while not holds():  # noqa: ASYNC110 - the sink decides when
            await anyio.sleep(0.02)


def spans_called(spans: list[Seen], name: str) -> list[Seen]:
    return [span for span in spans if span.name.split(" ")[0] == name]


async def test_a_request_is_a_trace_with_the_right_parents_and_times(nats_url: str, bus_root: str) -> None:
    async with simulators(1) as simulated:
        settings = config(simulated, "sim/text?chunks=5")
        async with pipeline(nats_url, bus_root, settings) as running, told(running, settings) as collector:
            began_ns = time.time_ns()
            answer = await running.ask("kimi", stream=True)
            ended_ns = time.time_ns()
            request, stage, call = await traced(collector, answer.id)

    assert (request.name, request.kind, request.service) == ("POST /v1/chat/completions", SERVER, "moontide-ingress")
    assert (stage.name, stage.kind, stage.service) == ("normalize", INTERNAL, "moontide-normalizer")
    assert (call.name, call.kind, call.service) == ("chat sim/text?chunks=5", CLIENT, "moontide-upstream")
    assert (request.parent_id, stage.parent_id, call.parent_id) == ("", request.id, stage.id)
    assert began_ns <= request.began_ns <= stage.began_ns <= call.began_ns
    assert call.began_ns <= call.event("moontide.first-byte").at_ns <= call.ended_ns
    assert call.ended_ns <= stage.ended_ns <= request.ended_ns <= ended_ns
    assert {span.resource["service.namespace"] for span in (request, stage, call)} == {"moontide"}


async def test_a_trace_and_its_request_lead_to_each_other(nats_url: str, bus_root: str) -> None:
    async with simulators(1) as simulated:
        settings = config(simulated, "sim/text")
        async with pipeline(nats_url, bus_root, settings) as running, told(running, settings) as collector:
            answer = await running.ask("kimi")
            request, *_ = await traced(collector, answer.id)

    assert request.attributes["moontide.request.id"] == answer.id
    assert request_id_of(request.trace_id) == answer.id


async def test_a_call_that_was_made_again_is_two_calls(nats_url: str, bus_root: str) -> None:
    async with simulators(1) as simulated:
        settings = config(simulated, "sim/server-error,text")
        async with pipeline(nats_url, bus_root, settings) as running, told(running, settings) as collector:
            answer = await running.ask("kimi", stream=True)
            first, second = spans_called(await traced(collector, answer.id), "chat")

    assert [one.attributes["http.response.status_code"] for one in (first, second)] == [500, 200]
    assert [one.attributes.get("moontide.call.reason") for one in (first, second)] == [None, "retried"]
    assert [one.status[0] for one in (first, second)] == [FAILED, UNSET]
    assert second.links == [first.id]
    assert second.began_ns >= first.ended_ns


async def test_failover_is_two_calls_to_two_providers(nats_url: str, bus_root: str) -> None:
    async with simulators(2) as simulated:
        settings = config(simulated, "sim/unavailable", "sim/text")
        async with pipeline(nats_url, bus_root, settings) as running, told(running, settings) as collector:
            answer = await running.ask("kimi")
            spans = await traced(collector, answer.id)

    first, second = spans_called(spans, "chat")
    assert [one.attributes["moontide.provider"] for one in (first, second)] == ["p1", "p2"]
    assert [one.attributes["gen_ai.provider.name"] for one in (first, second)] == ["p1", "p2"]
    assert second.attributes["moontide.call.reason"] == "failed-over"
    assert spans[0].attributes["gen_ai.provider.name"] == "p2"
    assert spans[0].status[0] == UNSET


async def test_a_stream_that_broke_and_went_on_is_two_calls_of_one_normalizer(nats_url: str, bus_root: str) -> None:
    async with simulators(2) as simulated:
        settings = config(simulated, "sim/text+cut?chunks=20", "sim/text?chunks=20")
        settings["providers"] = providers(simulated, continues=True)
        async with pipeline(nats_url, bus_root, settings) as running, told(running, settings) as collector:
            answer = await running.ask("kimi", stream=True)
            spans = await traced(collector, answer.id)

    calls, stages = spans_called(spans, "chat"), spans_called(spans, "normalize")
    assert [call.attributes["moontide.outcome"] for call in calls] == ["broken", "complete"]
    assert {call.parent_id for call in calls} == {stages[0].id}
    assert stages[0].names() == ["moontide.routed", "moontide.continued"]


async def test_a_repaired_answer_has_its_repairs(nats_url: str, bus_root: str) -> None:
    async with simulators(1) as simulated:
        settings = config(simulated, "sim/k2-markers")
        async with pipeline(nats_url, bus_root, settings) as running, told(running, settings) as collector:
            answer = await running.ask("kimi", stream=True, tools=[WEATHER])
            done = (await running.exchange(answer.id)).done
            (stage,) = spans_called(await traced(collector, answer.id), "normalize")

    repairs = [event for event in stage.events if event.name == "moontide.repaired"]
    assert done.repairs
    assert {
        event.attributes["moontide.repaired.name"]: event.attributes["moontide.repaired.count"] for event in repairs
    } == done.repairs


async def test_a_loop_that_was_cut_is_told_on_its_call(nats_url: str, bus_root: str) -> None:
    async with simulators(1) as simulated:
        settings = config(simulated, LOOP, repeat={"action": "stop"})
        async with (
            pipeline(nats_url, bus_root, settings, sentinels=1) as running,
            told(running, settings) as collector,
        ):
            answer = await running.ask("kimi", stream=True)
            request, *rest = await traced(collector, answer.id)

    (call,) = spans_called(rest, "chat")
    assert {"moontide.loop-found", "moontide.stopped"} <= set(call.names())
    assert request.event("moontide.cancel").attributes["moontide.cancel.by"] == "sentinel"
    assert (call.status[0], request.attributes["moontide.outcome"]) == (0, "stopped")


async def test_the_enforcers_attempts_stand_below_it(nats_url: str, bus_root: str) -> None:
    async with simulators(1) as simulated:
        settings = config(simulated, "sim/text", ensure_tool_call={"max_attempts": 2})
        async with pipeline(nats_url, bus_root, settings) as running, told(running, settings) as collector:
            answer = await running.ask("kimi", stream=True, tools=[WEATHER])
            spans = await traced(collector, answer.id)

    (whole,) = spans_called(spans, "enforce")
    assert whole.names() == ["moontide.re-prompted", "moontide.exhausted"]
    assert [span.parent_id for span in spans_called(spans, "normalize")] == [whole.id, whole.id]
    assert len(spans_called(spans, "chat")) == whole.attributes["moontide.attempts"] == 2


async def test_a_callers_trace_goes_on_and_its_decision_counts(nats_url: str, bus_root: str) -> None:
    async with simulators(1) as simulated:
        settings = config(simulated, "sim/text")
        async with pipeline(nats_url, bus_root, settings) as running, told(running, settings, ratio=0) as collector:
            await running.ask("kimi")
            await running.ask("kimi", headers={"traceparent": PARENT[:-2] + "00"})
            kept = await running.ask("kimi", headers={"traceparent": PARENT, "tracestate": "vendor=1"})
            spans = await traced(collector, kept.id)

    assert {span.trace_id for span in collector.spans} == {PARENT[3:35]}
    assert (spans[0].parent_id, spans[0].state) == (PARENT[36:52], "vendor=1")
    assert len([span for span in collector.spans if span.kind == SERVER]) == 1


async def test_a_refused_request_is_a_trace_too(nats_url: str, bus_root: str) -> None:
    async with simulators(1) as simulated:
        settings = config(simulated, "sim/text")
        async with pipeline(nats_url, bus_root, settings) as running, told(running, settings) as collector:
            answer = await running.ask("no-such-model", headers={"traceparent": PARENT})
            (span,) = await traced(collector, answer.id)

    assert span.attributes["http.response.status_code"] == 404
    assert span.attributes["error.type"] == "model_not_found"
    assert (span.status[0], span.trace_id) == (0, PARENT[3:35])


@pytest.mark.parametrize(
    ("traces", "told_parent", "told_state"),
    [
        ({}, None, None),
        ({"enabled": True}, None, None),
        ({"propagate": True}, PARENT, "vendor=1"),
        ({"enabled": True, "propagate": True}, "its call's", "vendor=1"),
    ],
)
@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/embeddings"])
async def test_a_provider_is_told_of_the_trace_where_a_setting_says_so(
    nats_url: str, bus_root: str, traces: dict[str, Any], path: str, told_parent: str | None, told_state: str | None
) -> None:
    headers = {"traceparent": PARENT, "tracestate": "vendor=1", "baggage": "user=somebody"}
    body = {"model": "kimi", "input": "a", "messages": [{"role": "user", "content": "Hello"}]}
    async with simulators(1) as simulated:
        settings = config(simulated, "sim/text") | {"traces": traces, "routes": [{"provider": "p1"}]}
        async with pipeline(nats_url, bus_root, settings) as running:
            async with running.http.post(f"{running.url}{path}", json=body, headers=headers) as response:
                id = response.headers["X-Moontide-Request-Id"]
                await response.read()
            got = {name.lower(): value for name, value in simulated[0].simulator.journal.entries[-1].headers.items()}

    its_own = f"00-{PARENT[3:35]}-{span_id(id, 'c1'):016x}-01"
    assert got.get("traceparent") == (its_own if told_parent == "its call's" else told_parent)
    assert got.get("tracestate") == told_state
    assert "baggage" not in got


async def test_nothing_that_was_said_and_no_key_is_told(nats_url: str, bus_root: str) -> None:
    async with simulators(1) as simulated:
        settings = config(simulated, "sim/k2-markers")
        settings["providers"]["p1"]["api_key"] = "env:KEY"
        async with (
            pipeline(nats_url, bus_root, settings, environ={"KEY": "sk-provider-4f1d"}) as running,
            told(running, settings | {"providers": providers(simulated)}) as collector,
        ):
            headers = {"Authorization": "Bearer sk-client-9a2b", "Cookie": "crumbs"}
            answer = await running.ask("kimi", stream=True, tools=[WEATHER], headers=headers, user="somebody")
            await traced(collector, answer.id)

    told_all = b"".join(collector.bodies)
    said = [b"Tell me a story", b"sk-provider", b"sk-client", b"crumbs", b"get_weather", b"city", b"somebody"]
    assert [words for words in said if words in told_all] == []
