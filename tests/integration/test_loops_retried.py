"""Answers that run in a loop, asked again through the whole pipeline: the client gets an answer and no loop."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from services.provider_sim.main import Served
from tests.fixtures.pipeline import Answer, Pipeline, pipeline, providers, received, simulators, targets

pytestmark = [pytest.mark.backend, pytest.mark.once]

RETRY = {"action": "retry"}
COUNTED = {"include_usage": True}
TOOL: dict[str, Any] = {
    "type": "function",
    "function": {
        "name": "write_file",
        "parameters": {"type": "object", "properties": {"text": {"type": "string"}}, "required": ["text"]},
    },
}
HEALTHY = 200  # characters before the loop
PERIOD = 40
SHOWN = HEALTHY + PERIOD + 20  # of which the client of a stream sees at most so many, if the loop's rounds are equal
LOOP = "delay_ms=1&length=40000"
MODELS = {
    "exact": f"sim/loop?recovers=true&{LOOP}",
    "counter": f"sim/loop?recovers=true&kind=counter&{LOOP}",
    "reasoning": f"sim/loop?recovers=true&where=reasoning&{LOOP}",
    "arguments": f"sim/loop?recovers=true&where=arguments&{LOOP}",
    "markers": f"sim/loop?recovers=true&where=markers&{LOOP}",
    "hopeless": f"sim/loop?again=true&{LOOP}",
    "healthy": "sim/text",
    "code": "sim/tool-call",
}
either = pytest.mark.parametrize("stream", [True, False], ids=["stream", "plain"])
watched = pytest.mark.parametrize("sentinels", [0, 1], ids=["alone", "with a sentinel"])


@asynccontextmanager
async def looping(
    nats_url: str, root: str, *, continues: bool = True, sentinels: int = 0, **repeat: Any
) -> AsyncIterator[tuple[Pipeline, Served]]:
    async with simulators(1) as one:
        models = {name: {"targets": targets(model), "repeat": {**RETRY, **repeat}} for name, model in MODELS.items()}
        config = {"providers": providers(one, continues=continues), "models": models}
        async with pipeline(nats_url, root, config, sentinels=sentinels) as running:
            yield running, one[0]


def reasons(answer: Answer) -> list[str]:
    choices = [one for chunk in answer.chunks or [json.loads(answer.body)] for one in chunk.get("choices", ())]
    return [one["finish_reason"] for one in choices if one.get("finish_reason")]


def asked(simulated: Served) -> list[dict[str, Any]]:
    return [entry.json() for entry in simulated.simulator.journal.entries]


@either
@watched
async def test_the_answer_goes_on_behind_what_was_good_of_it(
    nats_url: str, bus_root: str, stream: bool, sentinels: int
) -> None:
    async with looping(nats_url, bus_root, sentinels=sentinels) as (running, simulated):
        answer = await running.ask("exact", stream=stream, **({"stream_options": COUNTED} if stream else {}))
        exchange = await running.exchange(answer.id)
        _, second = asked(simulated)
    prefix = second["messages"][-1]

    assert (prefix["role"], prefix["partial"]) == ("assistant", True)
    assert answer.text() == f"{prefix['content']} That is all."
    assert len(prefix["content"]) < (SHOWN if stream else HEALTHY + 5)
    assert reasons(answer) == ["stop"]
    assert second["frequency_penalty"] == 0.3
    assert (exchange.ends["c1.raw"].outcome, exchange.done.outcome) == ("stopped", "complete")
    assert exchange.ends["c1.raw"].body_bytes < 40_000
    assert (exchange.done.calls, exchange.done.attempts) == (2, 2)


async def test_the_tokens_of_the_call_that_looped_are_counted(nats_url: str, bus_root: str) -> None:
    async with looping(nats_url, bus_root) as (running, _):
        answer = await running.ask("exact", stream=True, stream_options=COUNTED)
        exchange = await running.exchange(answer.id)
    raw = [exchange.ends[f"{call}.raw"].usage for call in ("c1", "c2")]
    stopped = [event.facts["usage"] for name, event in exchange.events if name == "stopped"]

    assert stopped == ["estimated"]
    assert answer.usage["total_tokens"] == sum(one.total_tokens for one in raw if one is not None)
    assert exchange.done.usage is not None
    assert exchange.done.usage.total_tokens == answer.usage["total_tokens"]


@either
async def test_of_a_loop_of_rounds_that_vary_hardly_more_than_one_is_seen(
    nats_url: str, bus_root: str, stream: bool
) -> None:
    async with looping(nats_url, bus_root) as (running, _):
        answer = await running.ask("counter", stream=stream)

    assert answer.text().endswith(" That is all.")
    assert len(answer.text()) < SHOWN + PERIOD / 2 + len(" That is all.")


@either
async def test_thoughts_that_loop_are_gone_on_with(nats_url: str, bus_root: str, stream: bool) -> None:
    async with looping(nats_url, bus_root) as (running, simulated):
        answer = await running.ask("reasoning", stream=stream)
        _, second = asked(simulated)

    assert answer.text("reasoning_content") == second["messages"][-1]["reasoning_content"]
    assert len(answer.text("reasoning_content")) < SHOWN
    assert answer.text() == " That is all."


@either
async def test_a_call_that_loops_is_made_again(nats_url: str, bus_root: str, stream: bool) -> None:
    async with looping(nats_url, bus_root) as (running, _):
        answer = await running.ask("arguments", stream=stream, tools=[TOOL])
        exchange = await running.exchange(answer.id)
    told = [event.facts for name, event in exchange.events if name == "re-prompted"]

    assert reasons(answer) == ["tool_calls"]
    assert [facts["channel"] for facts in told] == ["tool_calls.0.arguments"]
    assert len(answer.body) < 8_000


@either
async def test_a_call_in_markers_that_loops_is_made_again(nats_url: str, bus_root: str, stream: bool) -> None:
    """The repair engine holds such a call back, so the sentinel alone sees it."""
    async with looping(nats_url, bus_root, sentinels=1) as (running, simulated):
        answer = await running.ask("markers", stream=stream, tools=[TOOL])
        exchange = await running.exchange(answer.id)
        first, second = asked(simulated)
    told = [event.facts for name, event in exchange.events if name == "re-prompted"]

    assert reasons(answer) == ["tool_calls"]
    assert b"tool_call_begin" not in answer.body
    assert answer.text() == ""
    assert [(facts["why"], facts["continues"]) for facts in told] == [("loop", False)]
    assert ("frequency_penalty" in first, second["frequency_penalty"]) == (False, 0.3)
    assert exchange.ends["c1.raw"].body_bytes < 1_000_000 / 4
    assert exchange.ends["c1.raw"].outcome == "stopped"


@either
async def test_where_no_provider_goes_on_with_a_text_a_plain_answer_begins_again(
    nats_url: str, bus_root: str, stream: bool
) -> None:
    async with looping(nats_url, bus_root, continues=False) as (running, simulated):
        answer = await running.ask("exact", stream=stream)
        exchange = await running.exchange(answer.id)
        sent = asked(simulated)

    if stream:  # content that the client has can't be taken back
        assert (reasons(answer), exchange.done.outcome, len(sent)) == (["repeat"], "stopped", 1)
        assert len(answer.text()) < SHOWN
    else:
        assert (reasons(answer), exchange.done.outcome, len(sent)) == (["stop"], "complete", 2)
        assert answer.text().endswith(" That is all.")
        assert "partial" not in sent[1]["messages"][-1]


@either
async def test_a_model_that_only_loops_gets_the_end_of_stop(nats_url: str, bus_root: str, stream: bool) -> None:
    async with looping(nats_url, bus_root, max_attempts=2) as (running, simulated):
        answer = await running.ask("hopeless", stream=stream)
        exchange = await running.exchange(answer.id)
        count = received(simulated)

    assert (count, reasons(answer)) == (2, ["repeat"])
    assert len(answer.text()) < SHOWN
    assert (exchange.done.outcome, exchange.done.unmet) == ("stopped", "loop")
    assert exchange.names().count("exhausted") == 1
    mark = [chunk["moontide"] for chunk in answer.chunks if "moontide" in chunk]
    assert mark == ([{"unmet": "loop", "attempts": 2}] if stream else [])


@either
@watched
async def test_a_healthy_answer_is_asked_for_once_and_comes_whole(
    nats_url: str, bus_root: str, stream: bool, sentinels: int
) -> None:
    async with looping(nats_url, bus_root, sentinels=sentinels) as (running, simulated):
        answer = await running.ask("healthy", stream=stream)
        call = await running.ask("code", stream=stream, tools=[TOOL])
        count = received(simulated)

    assert (count, reasons(answer), reasons(call)) == (2, ["stop"], ["tool_calls"])
    assert len(answer.text().split()) == 40


async def test_several_choices_are_none_of_its_business(nats_url: str, bus_root: str) -> None:
    async with looping(nats_url, bus_root) as (running, _):
        answer = await running.ask("healthy", stream=True, n=2)
        exchange = await running.exchange(answer.id)

    assert reasons(answer) == ["stop"]
    assert "c0.out" not in exchange.ends


async def test_only_providers_that_go_on_with_a_text_are_asked_to(nats_url: str, bus_root: str) -> None:
    async with simulators(2) as two:
        config = providers(two)
        config["p2"]["continues"] = True
        model = {"targets": targets(MODELS["exact"], MODELS["exact"]), "repeat": RETRY}
        async with pipeline(nats_url, bus_root, {"providers": config, "models": {"m": model}}) as running:
            answer = await running.ask("m", stream=True)

    assert answer.text().endswith(" That is all.")
    assert [received(one) for one in two] == [1, 1]
