"""Answers that run in a loop, through the whole pipeline: stopped well-formed, or told of, and never in the way."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest
from anyio.abc import Process

from services.provider_sim.main import Served, serve
from services.provider_sim.scenarios import load
from tests.fixtures.pipeline import Answer, Exchange, Pipeline, pipeline, providers, received, simulators, targets

pytestmark = [pytest.mark.backend, pytest.mark.once]

LENGTH = 6_000  # characters of a loop that nobody stops
ENDLESS = 40_000  # of one that has to be stopped
EARLY = 3_000  # characters in which one is stopped
AGAIN = "and once more the same words, "
STOP = {"action": "stop"}
COUNTED = {"include_usage": True}
MESSAGE = {"role": "user", "content": "Tell me a story"}
TOOL: dict[str, Any] = {
    "type": "function",
    "function": {
        "name": "write_file",
        "parameters": {"type": "object", "properties": {"text": {"type": "string"}}, "required": ["text"]},
    },
}
LOOPS = {
    "exact": ("sim/loop", "content"),
    "counter": ("sim/loop?kind=counter", "content"),
    "reasoning": ("sim/loop?where=reasoning", "reasoning_content"),
    "arguments": ("sim/loop?where=arguments", "tool_calls.0.arguments"),
}
both = pytest.mark.parametrize("repair", [True, False], ids=["repaired", "raw"])
every_loop = pytest.mark.parametrize("model", LOOPS)


def paced(model: str) -> str:
    """Slow enough that a cancel comes while the loop still runs."""
    return f"{model}{'&' if '?' in model else '?'}delay_ms=1&length={ENDLESS}"


def config(simulated: list[Served], repeat: Mapping[str, Any], *, repair: bool = True) -> dict[str, Any]:
    how = {"repeat": repeat, "repair": {"enabled": repair}}
    models = {name: {"targets": targets(paced(model)), **how} for name, (model, _) in LOOPS.items()}
    models["short"] = {"targets": targets(f"sim/loop?length={LENGTH}"), **how}
    models["healthy"] = {"targets": targets("sim/text"), **how}
    models["choices"] = {"targets": targets("two-choices"), **how}
    return {"providers": providers(simulated), "models": models}


@asynccontextmanager
async def looping(
    nats_url: str, root: str, repeat: Mapping[str, Any] = STOP, *, repair: bool = True, sentinels: int = 1
) -> AsyncIterator[tuple[Pipeline, Served]]:
    async with (
        simulators(1) as one,
        pipeline(nats_url, root, config(one, repeat, repair=repair), sentinels=sentinels) as running,
    ):
        yield running, one[0]


def reasons(answer: Answer) -> dict[int, list[str]]:
    """Finish reasons by choice."""
    found: dict[int, list[str]] = {}
    for chunk in answer.chunks or [json.loads(answer.body)]:
        for choice in chunk.get("choices", ()):
            if choice.get("finish_reason"):
                found.setdefault(choice["index"], []).append(choice["finish_reason"])
    return found


def loops_told(exchange: Exchange) -> list[dict[str, Any]]:
    return [event.facts for name, event in exchange.events if name == "loop-found"]


# -- stop


@both
@every_loop
async def test_a_stream_that_loops_ends_well_formed(nats_url: str, bus_root: str, model: str, repair: bool) -> None:
    async with looping(nats_url, bus_root, repair=repair) as (running, simulated):
        answer = await running.ask(model, stream=True, stream_options=COUNTED, tools=[TOOL])
        exchange = await running.exchange(answer.id)
    raw, done = exchange.ends["c1.raw"], exchange.done

    assert (answer.status, answer.error) == (200, None)
    assert reasons(answer) == {0: ["repeat"]}
    assert answer.body.endswith(b"data: [DONE]\n\n")
    assert answer.body.count(b"[DONE]") == 1
    assert len(answer.text() + answer.text("reasoning_content")) < EARLY
    assert (raw.outcome, raw.finish_reason) == ("stopped", "repeat")
    assert (done.outcome, done.finish_reason, done.status, done.calls) == ("stopped", "repeat", 200, 1)
    assert simulated.simulator.journal.entries[0].outcome == "disconnected"


@every_loop
async def test_a_stopped_answer_has_a_usage(nats_url: str, bus_root: str, model: str) -> None:
    async with looping(nats_url, bus_root) as (running, _):
        answer = await running.ask(model, stream=True, stream_options=COUNTED, tools=[TOOL])
        exchange = await running.exchange(answer.id)
    stopped = [event.facts for name, event in exchange.events if name == "stopped"]

    assert 100 < answer.usage["completion_tokens"] < EARLY / 4
    assert answer.usage["prompt_tokens"] > 0
    assert exchange.done.usage is not None
    assert exchange.done.usage.completion_tokens == answer.usage["completion_tokens"]
    assert [(facts["by"], facts["usage"]) for facts in stopped] == [("sentinel", "estimated")]


async def test_the_usage_is_told_only_to_those_who_asked(nats_url: str, bus_root: str) -> None:
    async with looping(nats_url, bus_root) as (running, _):
        answer = await running.ask("exact", stream=True)

    assert not any(chunk.get("usage") for chunk in answer.chunks)


@both
@every_loop
async def test_a_plain_answer_that_loops_is_put_together(
    nats_url: str, bus_root: str, model: str, repair: bool
) -> None:
    async with looping(nats_url, bus_root, repair=repair) as (running, _):
        answer = await running.ask(model, tools=[TOOL])
        exchange = await running.exchange(answer.id)

    assert answer.status == 200
    assert reasons(answer) == {0: ["repeat"]}
    assert "tool_calls" not in json.loads(answer.body)["choices"][0]["message"]
    assert answer.usage["completion_tokens"] > 100
    assert exchange.done.outcome == "stopped"


@every_loop
async def test_what_was_found_is_an_event(nats_url: str, bus_root: str, model: str) -> None:
    async with looping(nats_url, bus_root) as (running, _):
        answer = await running.ask(model, stream=True, tools=[TOOL])
        exchange = await running.exchange(answer.id)
    (told,) = loops_told(exchange)

    assert told["action"] == "stop"
    assert (told["choice"], told["channel"]) == (0, LOOPS[model][1])
    assert told["kind"] == ("varying" if model == "counter" else "exact")
    assert told["period"] > 0
    assert told["repeats"] >= 5
    assert told["start"] >= 100


async def test_the_finish_reason_is_the_operators(nats_url: str, bus_root: str) -> None:
    async with looping(nats_url, bus_root, {**STOP, "finish_reason": "length"}) as (running, _):
        answer = await running.ask("exact", stream=True)

    assert reasons(answer) == {0: ["length"]}


async def test_a_healthy_answer_is_left_alone(nats_url: str, bus_root: str) -> None:
    async with looping(nats_url, bus_root) as (running, simulated):
        streamed = await running.ask("healthy", stream=True)
        plain = await running.ask("healthy")
        exchange = await running.exchange(plain.id)

    assert reasons(streamed) == {0: ["stop"]}
    assert reasons(plain) == {0: ["stop"]}
    assert streamed.text() == plain.text()
    assert loops_told(exchange) == []
    assert [entry.json()["stream"] for entry in simulated.simulator.journal.entries] == [True, True]


# -- several choices

HEALTHY_WORDS = 60


def two_choices(loops: tuple[int, ...]) -> str:
    """A scenario: both choices speak in turn, one word each; choice 1 finishes after a while, unless it loops too."""
    steps: list[dict[str, Any]] = []

    def say(index: int, content: str, reason: str | None = None) -> None:
        delta = {"content": content} if reason is None else {}
        choice = {"index": index, "delta": delta, "finish_reason": reason}
        steps.append({"data": {"id": "c", "object": "chat.completion.chunk", "choices": [choice]}})

    for turn in range(400):
        say(0, AGAIN)
        if 1 in loops:
            say(1, AGAIN)
        elif turn < HEALTHY_WORDS:
            say(1, f"word{turn * 7919 % 1000} ")
        elif turn == HEALTHY_WORDS:
            say(1, "", "stop")
        steps.append({"sleep_s": 0.002})
    return json.dumps({"scenarios": {"two-choices": {"answers": [{"steps": steps}]}}})


async def choices(
    nats_url: str, root: str, loops: tuple[int, ...], repair: bool, repeat: Mapping[str, Any] = STOP
) -> Answer:
    async with (
        await serve(scenarios=load(two_choices(loops))) as simulated,
        pipeline(nats_url, root, config([simulated], repeat, repair=repair), sentinels=1) as running,
    ):
        answer = await running.ask("choices", stream=True, n=2)
        assert received(simulated) == 1
        return answer


@both
async def test_a_choice_that_loops_does_not_stop_a_healthy_one(nats_url: str, bus_root: str, repair: bool) -> None:
    answer = await choices(nats_url, bus_root, (0,), repair)
    said = [c["delta"].get("content", "") for chunk in answer.chunks for c in chunk["choices"] if c["index"] == 1]

    assert reasons(answer) == {0: ["repeat"], 1: ["stop"]}
    assert len("".join(said).split()) == HEALTHY_WORDS


@both
async def test_an_answer_whose_choices_all_loop_is_stopped(nats_url: str, bus_root: str, repair: bool) -> None:
    answer = await choices(nats_url, bus_root, (0, 1), repair)

    assert reasons(answer) == {0: ["repeat"], 1: ["repeat"]}
    assert len(answer.text()) < 2 * EARLY


async def test_with_several_choices_retry_is_stop(nats_url: str, bus_root: str) -> None:
    answer = await choices(nats_url, bus_root, (0, 1), True, {"action": "retry"})

    assert reasons(answer) == {0: ["repeat"], 1: ["repeat"]}
    assert len(answer.text()) < 2 * EARLY


# -- warn, and off


async def test_warn_only_tells(nats_url: str, bus_root: str) -> None:
    async with looping(nats_url, bus_root, {"action": "warn"}) as (running, _):
        answer = await running.ask("short", stream=True)
        exchange = await running.exchange(answer.id)

    assert reasons(answer) == {0: ["length"]}
    assert len(answer.text()) == LENGTH
    assert [told["action"] for told in loops_told(exchange)] == ["warn"]
    assert exchange.done.outcome == "complete"


@pytest.mark.parametrize("repeat", [{"action": "off"}, {"action": "stop", "threshold": 0}, {}])
async def test_off_is_off(nats_url: str, bus_root: str, repeat: dict[str, Any]) -> None:
    async with looping(nats_url, bus_root, repeat) as (running, simulated):
        answer = await running.ask("short")
        exchange = await running.exchange(answer.id)

    assert len(answer.text()) == LENGTH
    assert loops_told(exchange) == []
    assert simulated.simulator.journal.entries[0].json().get("stream") is not True


# -- never in the way


async def test_without_a_sentinel_a_loop_runs_on(nats_url: str, bus_root: str) -> None:
    async with looping(nats_url, bus_root, sentinels=0) as (running, _):
        answer = await running.ask("short", stream=True)
        exchange = await running.exchange(answer.id)

    assert len(answer.text()) == LENGTH
    assert exchange.done.outcome == "complete"


async def test_of_several_sentinels_one_watches(nats_url: str, bus_root: str) -> None:
    async with looping(nats_url, bus_root, sentinels=3) as (running, _):
        answers = [await running.ask("exact", stream=True) for _ in range(4)]
        exchanges = [await running.exchange(answer.id) for answer in answers]

    assert [reasons(answer) for answer in answers] == [{0: ["repeat"]}] * 4
    assert [len(loops_told(exchange)) for exchange in exchanges] == [1] * 4


@asynccontextmanager
async def sentinel_process(running: Pipeline, nats_url: str, folder: Path) -> AsyncIterator[Process]:
    """A sentinel of its own: one to kill. It is in the queue group inside the block."""
    environ = {**os.environ, "MOONTIDE_NATS_URL": nats_url, "MOONTIDE_HOME": str(folder)}
    environ["MOONTIDE_BUS_ROOT"] = running.subjects.root
    command = [sys.executable, "-m", "services.cli.main", "sentinel"]
    beats = anyio.Event()

    async def heard(_message: object) -> None:
        beats.set()

    await running.bus.subscribe(running.subjects.worker("sentinel", "*"), heard)
    async with await anyio.open_process(command, env=environ, stdout=None, stderr=None) as process:
        try:
            with anyio.fail_after(15):
                await beats.wait()
            yield process
        finally:
            if process.returncode is None:
                process.kill()


async def test_a_sentinel_that_is_killed_hurts_no_answer(nats_url: str, bus_root: str, tmp_path: Path) -> None:
    async with (
        looping(nats_url, bus_root, sentinels=0) as (running, _),
        sentinel_process(running, nats_url, tmp_path) as process,
    ):
        await stopped_by(running)
        body = {"model": "exact", "stream": True, "messages": [MESSAGE]}
        async with running.http.post(f"{running.url}/v1/chat/completions", json=body) as response:
            beginning = await response.content.readany()
            process.kill()
            whole = beginning + await response.read()
        after = await running.ask("short", stream=True)

    assert whole.endswith(b"data: [DONE]\n\n")
    assert whole.count(b'"finish_reason":"length"') == 1
    assert after.error is None
    assert len(after.text()) == LENGTH


async def stopped_by(running: Pipeline) -> None:
    """Asks until the sentinel has one: its first heartbeat comes before it takes watches."""
    with anyio.fail_after(60):  # an answer that nobody stops takes its time
        while reasons(await running.ask("exact", stream=True)) != {0: ["repeat"]}:
            pass


# -- the other dialects


async def asked(running: Pipeline, path: str, body: dict[str, Any]) -> list[dict[str, Any]]:
    """The events of a stream, or the one body."""
    async with running.http.post(f"{running.url}{path}", json=body) as response:
        assert response.status == 200
        data = await response.read()
        if response.content_type != "text/event-stream":
            return [json.loads(data)]
    return [json.loads(line[6:]) for line in data.split(b"\n") if line.startswith(b"data: {")]


ANTHROPIC_TOOL = {"name": "write_file", "input_schema": TOOL["function"]["parameters"]}
RESPONSES_TOOL = {"type": "function", **TOOL["function"]}


@both
@every_loop
@pytest.mark.parametrize("stream", [True, False], ids=["stream", "plain"])
async def test_anthropics_messages(nats_url: str, bus_root: str, model: str, stream: bool, repair: bool) -> None:
    body = {"model": model, "max_tokens": 9000, "messages": [MESSAGE], "stream": stream, "tools": [ANTHROPIC_TOOL]}
    async with looping(nats_url, bus_root, repair=repair) as (running, _):
        events = await asked(running, "/v1/messages", body)
    kinds = [event["type"] for event in events]
    last = events[-2] if stream else events[0]
    reason = last["delta"]["stop_reason"] if stream else last["stop_reason"]

    assert "error" not in kinds
    assert kinds[-1] == ("message_stop" if stream else "message")
    assert reason in ("end_turn", "max_tokens")
    assert last["usage"]["output_tokens"] > 100


@both
@every_loop
@pytest.mark.parametrize("stream", [True, False], ids=["stream", "plain"])
async def test_openais_responses(nats_url: str, bus_root: str, model: str, stream: bool, repair: bool) -> None:
    body = {"model": model, "input": "Tell me a story", "stream": stream, "tools": [RESPONSES_TOOL]}
    async with looping(nats_url, bus_root, repair=repair) as (running, _):
        events = await asked(running, "/v1/responses", body)
    response = events[-1]["response"] if stream else events[0]

    if stream:
        assert events[-1]["type"] == "response.incomplete"
    assert response["status"] == "incomplete"
    assert response["incomplete_details"] == {"reason": "repeat"}
    assert response["usage"]["output_tokens"] > 100
