"""Turns that have to end in a tool call, and calls that have to fit, through the whole pipeline."""

from __future__ import annotations

import io
import json
import os
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest
from anyio.abc import Process

from services.provider_sim.main import Served
from shared.contracts import Cancel, encode
from tests.fixtures.pipeline import Answer, Pipeline, pipeline, providers, received, simulators, targets

pytestmark = [pytest.mark.backend, pytest.mark.once]

WEATHER: dict[str, Any] = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}
PROMISE = "Attempt 1: I am going to do that now."
ANSWER = "All done: 42 🌤️\n“really”."
ENSURE = {"ensure_tool_call": {}}
BUFFER = {"ensure_tool_call": {"mode": "buffer"}}
CHECK = {"check_tool_calls": {}}
COUNTED = {"include_usage": True}
USER = {"role": "user", "content": "Hi"}
STUCK = {"model": "stuck", "stream": True, "messages": [USER], "tools": [WEATHER]}
"""The second attempt stops in the middle, for as long as nobody lets it go on."""
either = pytest.mark.parametrize("stream", [True, False], ids=["stream", "plain"])
MODELS: dict[str, tuple[str, Mapping[str, Any]]] = {
    "call": ("sim/forgetful?thoughts=3", ENSURE),
    "done": ("sim/forgetful?then=done", ENSURE),
    "silent": ("sim/forgetful?then=silent", ENSURE),
    "never": ("sim/forgetful?times=9", ENSURE),
    "buffer": ("sim/forgetful?thoughts=3", BUFFER),
    "prompt": ("sim/tool-call", ENSURE),
    "text": ("sim/text", ENSURE),
    "careless": ("sim/careless?calls=2", CHECK),
    "unknown": ("sim/careless?wrong=name", CHECK),
    "hopeless": ("sim/careless?times=9", CHECK),
    "torn": ("sim/broken-arguments?fault=hopeless,tool-call", CHECK),
    "markers": ("sim/announced-call,k2-markers", ENSURE),
    "stuck": ("sim/announced-call,text+hold?after=5", ENSURE),
    "raw": ("sim/forgetful", {**ENSURE, "repair": {"enabled": False}}),
}


@asynccontextmanager
async def enforced(nats_url: str, root: str, **more: Any) -> AsyncIterator[tuple[Pipeline, Served]]:
    async with simulators(1) as one:
        models = {name: {"targets": targets(model), **how} for name, (model, how) in MODELS.items()}
        config = {"providers": providers(one), "models": models}
        async with pipeline(nats_url, root, config, **more) as running:
            yield running, one[0]


def calls(answer: Answer) -> list[tuple[str, str]]:
    """Name and arguments of the tool calls that the client has."""
    found: dict[int, list[str]] = {}
    for choice in (one for chunk in answer.chunks or [json.loads(answer.body)] for one in chunk["choices"]):
        said = choice.get("delta") or choice.get("message") or {}
        for at, call in enumerate(said.get("tool_calls") or ()):
            name, arguments = found.setdefault(call.get("index", at), ["", ""])
            function = call["function"]
            found[call.get("index", at)] = [name or function.get("name", ""), arguments + function["arguments"]]
    return [(name, arguments) for name, arguments in found.values()]


def reasons(answer: Answer) -> list[str]:
    choices = [one for chunk in answer.chunks or [json.loads(answer.body)] for one in chunk.get("choices", ())]
    return [one["finish_reason"] for one in choices if one.get("finish_reason")]


def asked(simulated: Served) -> list[dict[str, Any]]:
    return [entry.json() for entry in simulated.simulator.journal.entries]


# -- every turn ends in a call


@either
async def test_a_turn_without_a_call_is_asked_again_until_it_has_one(
    nats_url: str, bus_root: str, stream: bool
) -> None:
    async with enforced(nats_url, bus_root) as (running, simulated):
        answer = await running.ask("call", stream=stream, tools=[WEATHER])
        exchange = await running.exchange(answer.id)
        first, second = asked(simulated)

    assert [name for name, _ in calls(answer)] == ["get_weather"]
    assert reasons(answer) == ["tool_calls"]
    assert answer.text() == (PROMISE if stream else "")
    assert second["messages"][: len(first["messages"])] == first["messages"]
    assert second["messages"][-2]["content"] == PROMISE
    assert "done" not in answer.body.decode().replace("[DONE]", "")
    assert (exchange.done.outcome, exchange.done.calls, exchange.done.attempts) == ("complete", 2, 2)
    assert exchange.ends["c0.out"].done_seen
    assert "re-prompted" in exchange.names()


async def test_a_stream_is_one_message_over_all_attempts(nats_url: str, bus_root: str) -> None:
    async with enforced(nats_url, bus_root) as (running, _):
        answer = await running.ask("call", stream=True, tools=[WEATHER], stream_options=COUNTED)
        exchange = await running.exchange(answer.id)
    deltas = [one["delta"] for chunk in answer.chunks for one in chunk["choices"]]
    raw = [exchange.ends[f"{call}.raw"].usage for call in ("c1", "c2")]

    assert len({chunk["id"] for chunk in answer.chunks}) == 1
    assert sum("role" in delta for delta in deltas) == 1
    assert answer.body.count(b"[DONE]") == 1
    assert answer.usage["total_tokens"] == sum(one.total_tokens for one in raw if one is not None)
    assert exchange.done.usage is not None
    assert exchange.done.usage.total_tokens == answer.usage["total_tokens"]
    assert answer.text("reasoning_content").count("\n\n") == 1


async def test_the_first_attempt_reaches_the_client_while_the_second_runs(nats_url: str, bus_root: str) -> None:
    async with enforced(nats_url, bus_root) as (running, simulated):
        url, said = f"{running.url}/v1/chat/completions", b""
        async with running.http.post(url, json=STUCK) as response:
            await until(lambda: received(simulated) == 2)
            with anyio.fail_after(5):
                while "please:" not in spoken(said):
                    said += await response.content.readany()
            response.close()

    assert spoken(said).startswith("I will now use get_weather to find that out.")


def spoken(data: bytes) -> str:
    """The content of a stream that may break off anywhere."""
    whole = data[: data.rfind(b"\n\n") + 1].split(b"\n")
    chunks = [json.loads(line[6:]) for line in whole if line.startswith(b"data: {")]
    return "".join(one["delta"].get("content") or "" for chunk in chunks for one in chunk["choices"])


@either
async def test_the_termination_call_becomes_content(nats_url: str, bus_root: str, stream: bool) -> None:
    async with enforced(nats_url, bus_root) as (running, _):
        answer = await running.ask("done", stream=stream, tools=[WEATHER])

    assert answer.text() == (f"{PROMISE}\n\n{ANSWER}" if stream else ANSWER)
    assert (calls(answer), reasons(answer)) == ([], ["stop"])


@either
async def test_a_turn_that_only_ends_has_the_words_before_it(nats_url: str, bus_root: str, stream: bool) -> None:
    async with enforced(nats_url, bus_root) as (running, _):
        answer = await running.ask("silent", stream=stream, tools=[WEATHER])

    assert (answer.text(), reasons(answer)) == (PROMISE, ["stop"])


async def test_a_buffered_stream_holds_the_last_attempt_alone(nats_url: str, bus_root: str) -> None:
    async with enforced(nats_url, bus_root) as (running, _):
        answer = await running.ask("buffer", stream=True, tools=[WEATHER])

    assert (answer.text(), [name for name, _ in calls(answer)]) == ("", ["get_weather"])
    assert "\n\n" not in answer.text("reasoning_content")


@either
async def test_exhausted_attempts_are_marked(nats_url: str, bus_root: str, stream: bool) -> None:
    async with enforced(nats_url, bus_root) as (running, simulated):
        answer = await running.ask("never", stream=stream, tools=[WEATHER])
        exchange = await running.exchange(answer.id)
        count = received(simulated)

    assert count == 3
    assert (answer.status, reasons(answer), calls(answer)) == (200, ["stop"], [])
    assert answer.text().endswith("Attempt 3: I am going to do that now.")
    assert [name for name in exchange.names() if name != "repaired"] == ["re-prompted", "re-prompted", "exhausted"]
    assert (exchange.done.attempts, exchange.done.unmet) == (3, "ensure_tool_call")
    if not stream:
        assert (answer.headers["X-Moontide-Attempts"], answer.headers["X-Moontide-Unmet"]) == ("3", "ensure_tool_call")


async def test_one_attempt_is_no_news(nats_url: str, bus_root: str) -> None:
    async with enforced(nats_url, bus_root) as (running, simulated):
        answer = await running.ask("prompt", tools=[WEATHER])
        count = received(simulated)

    assert count == 1
    assert "X-Moontide-Attempts" not in answer.headers


@either
async def test_without_tools_nothing_is_added_or_asked_again(nats_url: str, bus_root: str, stream: bool) -> None:
    async with enforced(nats_url, bus_root) as (running, simulated):
        answer = await running.ask("text", stream=stream)
        (sent,) = asked(simulated)
        exchange = await running.exchange(answer.id)

    assert [message["role"] for message in sent["messages"]] == ["user"]
    assert "tools" not in sent
    assert reasons(answer) == ["stop"]
    assert len(answer.text()) > 100
    assert exchange.done.calls == 1


@either
async def test_several_choices_are_none_of_its_business(nats_url: str, bus_root: str, stream: bool) -> None:
    async with enforced(nats_url, bus_root) as (running, simulated):
        answer = await running.ask("call", stream=stream, tools=[WEATHER], n=2)
        exchange = await running.exchange(answer.id)
        count = received(simulated)

    assert (count, answer.text()) == (1, PROMISE)
    assert "c0.out" not in exchange.ends


@either
async def test_a_turn_that_has_ended_already_costs_no_call(nats_url: str, bus_root: str, stream: bool) -> None:
    function = {"name": "done", "arguments": json.dumps({"final_answer": "It is warm."})}
    last = {"role": "assistant", "content": None, "tool_calls": [{"id": "a", "type": "function", "function": function}]}
    messages = [USER, last]
    async with enforced(nats_url, bus_root) as (running, simulated):
        answer = await running.ask("call", stream=stream, tools=[WEATHER], messages=messages)
        exchange = await running.exchange(answer.id)
        count = received(simulated)

    assert (count, answer.text(), reasons(answer)) == (0, "It is warm.", ["stop"])
    assert (exchange.done.outcome, exchange.done.calls) == ("complete", 0)


async def test_a_call_in_markers_is_one(nats_url: str, bus_root: str) -> None:
    async with enforced(nats_url, bus_root) as (running, _):
        answer = await running.ask("markers", stream=True, tools=[WEATHER])

    assert [name for name, _ in calls(answer)] == ["get_weather"]
    assert "<|" not in answer.text()


async def test_it_works_without_repair(nats_url: str, bus_root: str) -> None:
    async with enforced(nats_url, bus_root) as (running, _):
        answer = await running.ask("raw", stream=True, tools=[WEATHER])

    assert [name for name, _ in calls(answer)] == ["get_weather"]


async def test_the_record_shows_what_was_added(nats_url: str, bus_root: str) -> None:
    async with enforced(nats_url, bus_root) as (running, _):
        answer = await running.ask("call", tools=[WEATHER])
        exchange = await running.exchange(answer.id)
    first, second = exchange.sent["c1"], exchange.sent["c2"]

    assert {"messages", "tools"} <= set(first.changes["set"])
    assert second.changes["why"][0] == "asked again (ensure_tool_call, 2 of 3)"
    assert not first.same_body
    assert b'"done"' in bytes(first.body.json)  # type: ignore[arg-type]


async def test_a_request_too_large_for_a_message_is_asked_again_too(nats_url: str, bus_root: str) -> None:
    body = {"model": "call", "tools": [WEATHER], "messages": [{"role": "user", "content": "word " * 1_000_000}]}
    headers = {"Content-Type": "application/json"}
    async with enforced(nats_url, bus_root) as (running, simulated):
        url, data = f"{running.url}/v1/chat/completions", io.BytesIO(json.dumps(body).encode())
        async with running.http.post(url, data=data, headers=headers) as response:
            answer = await response.json()
        count = received(simulated)

    assert (count, answer["choices"][0]["finish_reason"]) == (2, "tool_calls")


# -- calls that fit


@either
async def test_calls_that_do_not_fit_are_asked_again(nats_url: str, bus_root: str, stream: bool) -> None:
    async with enforced(nats_url, bus_root) as (running, simulated):
        answer = await running.ask("careless", stream=stream, tools=[WEATHER])
        exchange = await running.exchange(answer.id)
        _, second = asked(simulated)
    told = [event for name, event in exchange.events if name == "invalid-call"]

    assert len(calls(answer)) == 2
    assert all("city" in json.loads(arguments) for _, arguments in calls(answer))
    assert answer.text() == "Let me see."
    assert [message["role"] for message in second["messages"][-3:]] == ["assistant", "tool", "tool"]
    assert '"city" is a required property' in second["messages"][-2]["content"]
    assert [(one.call, one.facts["provider"], one.facts["tool"], one.facts["problem"]) for one in told] == [
        ("c1", "p1", "get_weather", "schema")
    ]


async def test_a_tool_that_nobody_offered_is_asked_again(nats_url: str, bus_root: str) -> None:
    async with enforced(nats_url, bus_root) as (running, _):
        answer = await running.ask("unknown", stream=True, tools=[WEATHER])
        exchange = await running.exchange(answer.id)
    told = [event.facts["problem"] for name, event in exchange.events if name == "invalid-call"]

    assert [name for name, _ in calls(answer)] == ["get_weather"]
    assert told == ["unknown_tool"]


async def test_a_call_that_repair_had_to_leave_out_is_made_again(nats_url: str, bus_root: str) -> None:
    async with enforced(nats_url, bus_root) as (running, _):
        answer = await running.ask("torn", stream=True, tools=[WEATHER])
        exchange = await running.exchange(answer.id)
    told = [event.facts["problem"] for name, event in exchange.events if name == "invalid-call"]

    assert [name for name, _ in calls(answer)] == ["get_weather"]
    assert told == ["unreadable"]


@either
async def test_calls_that_never_fit_come_with_a_mark(nats_url: str, bus_root: str, stream: bool) -> None:
    async with enforced(nats_url, bus_root) as (running, _):
        answer = await running.ask("hopeless", stream=stream, tools=[WEATHER])
        exchange = await running.exchange(answer.id)

    assert calls(answer) == [("get_weather", "{}")]
    assert exchange.done.unmet == "check_tool_calls"
    assert exchange.names().count("invalid-call") == 3


# -- trouble in an attempt


async def test_every_attempt_may_fail_over(nats_url: str, bus_root: str) -> None:
    async with simulators(2) as two:
        model = {"targets": targets("sim/server-error", "sim/forgetful"), **ENSURE}
        config = {"providers": providers(two, circuit={"failures": 100}, retry={"attempts": 1}), "models": {"m": model}}
        async with pipeline(nats_url, bus_root, config) as running:
            answer = await running.ask("m", stream=True, tools=[WEATHER])
            exchange = await running.exchange(answer.id)

    assert [name for name, _ in calls(answer)] == ["get_weather"]
    assert sorted(exchange.sent) == ["c1", "c2", "c3", "c4"]
    assert [exchange.ends[f"c{n}.raw"].outcome for n in range(1, 5)] == ["refused", "complete"] * 2
    assert exchange.done.calls == 4


async def test_an_attempt_that_breaks_goes_on_from_another_call(nats_url: str, bus_root: str) -> None:
    async with simulators(1) as one:
        model = {"targets": targets("sim/forgetful+cut?after=3"), **ENSURE}
        config = {"providers": providers(one, continues=True), "models": {"m": model}}
        async with pipeline(nats_url, bus_root, config) as running:
            answer = await running.ask("m", stream=True, tools=[WEATHER])
            exchange = await running.exchange(answer.id)

    assert answer.text().startswith(PROMISE)
    assert "continued" in exchange.names()
    assert "re-prompted" in exchange.names()
    assert exchange.sent["c3"].changes["why"][0].startswith("asked again")


@either
async def test_a_first_attempt_that_is_refused_is_an_error(nats_url: str, bus_root: str, stream: bool) -> None:
    async with simulators(1) as one:
        model = {"targets": targets("sim/bad-request"), **ENSURE}
        async with pipeline(nats_url, bus_root, {"providers": providers(one), "models": {"m": model}}) as running:
            answer = await running.ask("m", stream=stream, tools=[WEATHER])

    assert answer.status == 400
    assert "invalid temperature" in str(answer.error)


@either
async def test_a_later_attempt_that_is_refused_leaves_the_answer(nats_url: str, bus_root: str, stream: bool) -> None:
    async with simulators(1) as one:
        model = {"targets": targets("sim/announced-call,bad-request"), **ENSURE}
        async with pipeline(nats_url, bus_root, {"providers": providers(one), "models": {"m": model}}) as running:
            answer = await running.ask("m", stream=stream, tools=[WEATHER])
            exchange = await running.exchange(answer.id)

    assert (answer.status, answer.error, reasons(answer)) == (200, None, ["stop"])
    assert "I will now use get_weather" in answer.text()
    assert exchange.done.unmet == "ensure_tool_call"


async def test_a_plain_answer_that_is_void_is_not_in_the_next_one(nats_url: str, bus_root: str) -> None:
    async with simulators(1) as one:
        model = {"targets": targets("sim/text+cut?after=9,tool-call"), **ENSURE}
        async with pipeline(nats_url, bus_root, {"providers": providers(one), "models": {"m": model}}) as running:
            answer = await running.ask("m", tools=[WEATHER])

    assert answer.text() == "Let me look that up."
    assert len(calls(answer)) == 1


async def test_a_client_that_leaves_ends_the_attempt_that_runs(nats_url: str, bus_root: str) -> None:
    async with enforced(nats_url, bus_root) as (running, simulated):
        async with running.http.post(f"{running.url}/v1/chat/completions", json=STUCK) as response:
            id = response.headers["X-Moontide-Request-Id"]
            await until(lambda: received(simulated) == 2)
            await response.content.readany()
            response.close()
        exchange = await running.exchange(id)
        await until(lambda: simulated.simulator.journal.entries[1].outcome == "disconnected")
        count = received(simulated)

    assert exchange.done.outcome == "cancelled"
    assert count == 2


async def test_a_cancel_ends_the_attempt_that_runs_and_there_is_no_other(nats_url: str, bus_root: str) -> None:
    async with enforced(nats_url, bus_root) as (running, simulated):
        async with running.http.post(f"{running.url}/v1/chat/completions", json=STUCK) as response:
            id = response.headers["X-Moontide-Request-Id"]
            await until(lambda: received(simulated) == 2)
            cancel = Cancel(by="operator", why="enough")
            await running.bus.publish(running.subjects.cancel(id), encode(cancel))
            whole = await response.read()
        exchange = await running.exchange(id)
        count = received(simulated)

    assert b'"code":"cancelled"' in whole
    assert (exchange.done.outcome, count) == ("cancelled", 2)


async def until(condition: Any) -> None:
    with anyio.fail_after(10):
        while not condition():  # noqa: ASYNC110 - the simulator tells nobody
            await anyio.sleep(0.01)


async def test_without_an_enforcer_there_is_no_capacity(nats_url: str, bus_root: str) -> None:
    async with simulators(1) as one:
        models = {"m": {"targets": targets("sim/text"), **ENSURE}, "n": {"targets": targets("sim/text")}}
        config = {"providers": providers(one), "models": models, "ingress": {"port": 0, "queue_timeout_s": 0.2}}
        async with (
            enforcer_process(nats_url, bus_root) as process,
            pipeline(nats_url, bus_root, config, enforcers=0) as running,
        ):
            process.kill()
            await process.wait()
            answer = await running.ask("m", tools=[WEATHER])
            other = await running.ask("n")

    assert (answer.status, answer.error and answer.error["code"]) == (503, "no_capacity")
    assert "Retry-After" in answer.headers
    assert other.status == 200


@asynccontextmanager
async def enforcer_process(nats_url: str, root: str) -> AsyncIterator[Process]:
    """An enforcer of its own: one to kill."""
    environ = {**os.environ, "MOONTIDE_NATS_URL": nats_url, "MOONTIDE_BUS_ROOT": root}
    command = [sys.executable, "-m", "services.cli.main", "enforcer"]
    async with await anyio.open_process(command, env=environ, stdout=None, stderr=None) as process:
        try:
            yield process
        finally:
            if process.returncode is None:
                process.kill()


async def test_the_last_enforcer_killed_mid_stream_ends_in_a_clear_error(nats_url: str, bus_root: str) -> None:
    async with simulators(1) as one:
        models = {"m": {"targets": targets("sim/text?delay_ms=50&chunks=400"), **ENSURE}}
        config = {"providers": providers(one), "models": models}
        async with (
            enforcer_process(nats_url, bus_root) as process,
            pipeline(nats_url, bus_root, config, enforcers=0) as running,
        ):
            body = {**STUCK, "model": "m"}
            async with running.http.post(f"{running.url}/v1/chat/completions", json=body) as response:
                await response.content.readany()
                process.kill()
                with anyio.fail_after(8):
                    whole = await response.read()
            await until(lambda: one[0].simulator.journal.entries[0].outcome == "disconnected")

    assert b'"code":"no_capacity"' in whole
