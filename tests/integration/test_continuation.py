"""A stream that breaks goes on from another call: seamlessly, wherever it broke."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import anyio
import pytest

from tests.fixtures.pipeline import Answer, Pipeline, pipeline, providers, simulators, targets

pytestmark = [pytest.mark.backend, pytest.mark.once]

WHOLE = "sim/reasoning?chunks=12&thoughts=8"
BREAKAGES = ["cut", "cut?how=close", "truncate", "error-event", "error-event?shape=openrouter"]
EVENTS = 1 + 8 + 12  # role, reasoning, content


async def until(condition: Callable[[], bool]) -> None:
    with anyio.fail_after(5):
        while not condition():  # noqa: ASYNC110 - the simulator tells nobody
            await anyio.sleep(0.01)


def said(answer: Answer) -> tuple[str, str]:
    return answer.text("reasoning_content"), answer.text()


def is_seamless(answer: Answer, whole: Answer) -> bool:
    ids = {chunk["id"] for chunk in answer.chunks}
    deltas = [choice for chunk in answer.chunks for choice in chunk["choices"]]
    roles = [choice["delta"]["role"] for choice in deltas if choice["delta"].get("role")]
    reasons = [choice["finish_reason"] for choice in deltas if choice.get("finish_reason")]
    return (
        answer.error is None
        and said(answer) == said(whole)
        and len(ids) == 1
        and roles == ["assistant"]
        and reasons == ["stop"]
        and answer.body.endswith(b"data: [DONE]\n\n")
        and answer.body.count(b"[DONE]") == 1
    )


async def whole_answer(running: Pipeline) -> Answer:
    return await running.ask("whole", stream=True, stream_options={"include_usage": True})


@pytest.mark.parametrize("repair", [True, False])
@pytest.mark.parametrize("breakage", BREAKAGES)
async def test_a_stream_goes_on_wherever_it_broke(nats_url: str, bus_root: str, breakage: str, repair: bool) -> None:
    broken, _, parameters = breakage.partition("?")
    async with simulators(2) as two:
        models: dict[str, Any] = {"whole": {"targets": targets(WHOLE), "repair": {"enabled": repair}}}
        for after in range(EVENTS + 1):
            cut = f"sim/reasoning+{broken}?chunks=12&thoughts=8&after={after}{parameters and '&' + parameters}"
            models[f"cut{after}"] = {"targets": targets(cut, WHOLE), "repair": {"enabled": repair}}
        circuit = {"failures": 1000}
        config = {"providers": providers(two, continues=True, circuit=circuit), "models": models}
        async with pipeline(nats_url, bus_root, config) as running:
            whole = await whole_answer(running)
            cuts = [
                await running.ask(f"cut{after}", stream=True, stream_options={"include_usage": True})
                for after in range(EVENTS + 1)
            ]
            exchanges = [await running.exchange(answer.id) for answer in cuts]

    assert is_seamless(whole, whole)
    assert [after for after, answer in enumerate(cuts) if not is_seamless(answer, whole)] == []
    for exchange in exchanges[2:]:
        assert exchange.ends["c1.raw"].continued
        assert exchange.ends["c1.raw"].outcome in ("broken", "truncated")
        assert exchange.ends["c2.raw"].outcome == "complete"
        assert exchange.done.calls == 2
        assert exchange.done.leg == "c1.normal"
        assert "continued" in exchange.names()


async def test_moonshot_continues_without_being_told_so(nats_url: str, bus_root: str) -> None:
    tool = {"type": "function", "function": {"name": "get_weather", "parameters": {"type": "object"}}}
    async with simulators(2) as two:
        moonshot = {"kind": "moonshot", "api_key": "env:OUR_KEY"}
        cuts = {f"cut{at}": f"sim/reasoning+strict+cut?chunks=12&thoughts=8&after={at}" for at in (4, 12, 18)}
        models = {name: {"targets": targets(cut, WHOLE)} for name, cut in cuts.items()}
        models["whole"] = {"targets": targets(WHOLE)}
        config = {"providers": providers(two, **moonshot), "models": models}
        async with pipeline(nats_url, bus_root, config, environ={"OUR_KEY": "sk-sim"}) as it:
            whole = await whole_answer(it)
            answers = [await it.ask(name, stream=True, tools=[tool]) for name in cuts]

    assert [is_seamless(answer, whole) for answer in answers] == [True] * 3


async def test_a_stream_may_break_again_and_again_and_meet_refusals(nats_url: str, bus_root: str) -> None:
    async with simulators(4) as four:
        first = "sim/reasoning+cut?chunks=12&thoughts=8&after=5"
        again = "sim/reasoning+cut?chunks=12&thoughts=8&after=9&again"
        models = {
            "whole": {"targets": targets(WHOLE)},
            "kimi": {"targets": targets(first, "sim/overloaded", again, WHOLE)},
        }
        async with pipeline(nats_url, bus_root, {"providers": providers(four, continues=True), "models": models}) as it:
            whole, answer = await whole_answer(it), await it.ask("kimi", stream=True)
            exchange = await it.exchange(answer.id)

    assert is_seamless(answer, whole)
    assert [exchange.ends[f"c{n}.raw"].outcome for n in (1, 2, 3, 4)] == ["broken", "refused", "broken", "complete"]
    assert exchange.done.calls == 4


async def test_usage_is_the_sum_of_what_the_providers_counted(nats_url: str, bus_root: str) -> None:
    async with simulators(2) as two:
        counted = "sim/text+usage+cut?chunks=9&place=top&after=11"  # the finish chunk never comes, its usage does
        models = {"kimi": {"targets": targets("sim/text+cut?chunks=9&after=6", "sim/text?chunks=9")}}
        models["counted"] = {"targets": targets(counted, "sim/text?chunks=9")}
        async with pipeline(nats_url, bus_root, {"providers": providers(two, continues=True), "models": models}) as it:
            answer = await it.ask("kimi", stream=True, stream_options={"include_usage": True})
            exchange = await it.exchange(answer.id)

    second = exchange.ends["c2.raw"].usage
    assert second is not None
    assert exchange.done.usage == second
    assert answer.usage["total_tokens"] == second.total_tokens


async def test_a_half_sent_tool_call_is_not_continued(nats_url: str, bus_root: str) -> None:
    tool = {"type": "function", "function": {"name": "get_weather", "parameters": {"type": "object"}}}
    async with simulators(2) as two:
        models = {"kimi": {"targets": targets("sim/tool-call+cut?after=4", "sim/text")}}
        async with pipeline(nats_url, bus_root, {"providers": providers(two, continues=True), "models": models}) as it:
            answer = await it.ask("kimi", stream=True, tools=[tool])
            exchange = await it.exchange(answer.id)

    assert answer.error is not None
    assert answer.error["code"] == "provider_broke_off"
    assert exchange.done.calls == 1


@pytest.mark.parametrize("continues", [True, False])
async def test_where_nobody_continues_there_is_a_well_formed_error(
    nats_url: str, bus_root: str, continues: bool
) -> None:
    async with simulators(2) as two:
        models = {"kimi": {"targets": targets("sim/text+cut?after=6", "sim/text")}}
        config = {"providers": providers(two, continues=continues), "models": models}
        async with pipeline(nats_url, bus_root, config) as it:
            answer = await it.ask("kimi", stream=True, n=2 if continues else 1)

    assert answer.status == 200
    assert answer.error is not None
    assert answer.chunks[-1]["error"]["code"] == "provider_broke_off"


async def test_when_those_that_should_go_on_are_all_out_there_is_one_error(nats_url: str, bus_root: str) -> None:
    async with simulators(2) as two:
        models = {"kimi": {"targets": targets("sim/text+cut?after=6&again", "sim/unauthorized")}}
        retry = {"attempts": 2, "base_s": 0.01}
        config = {"providers": providers(two, continues=True, retry=retry), "models": models}
        async with pipeline(nats_url, bus_root, config) as it:
            answer = await it.ask("kimi", stream=True)
            exchange = await it.exchange(answer.id)

    assert answer.status == 200
    assert [chunk for chunk in answer.chunks if "error" in chunk] == answer.chunks[-1:]
    assert exchange.done.outcome == "broken"
    assert exchange.done.calls == 3


async def test_a_stream_of_which_nothing_was_said_yet_starts_anywhere_else(nats_url: str, bus_root: str) -> None:
    async with simulators(2) as two:
        models = {"kimi": {"targets": targets("sim/text+cut?after=1", "sim/text")}}
        async with pipeline(nats_url, bus_root, {"providers": providers(two), "models": models}) as it:
            answer = await it.ask("kimi", stream=True)

    assert answer.error is None
    assert answer.text()
    assert sum("role" in choice["delta"] for chunk in answer.chunks for choice in chunk["choices"]) == 1


async def test_a_client_that_leaves_stops_the_call_that_goes_on(nats_url: str, bus_root: str) -> None:
    async with simulators(2) as two:
        models = {"kimi": {"targets": targets("sim/text+cut?after=6", "sim/text+hold?after=2")}}
        async with pipeline(nats_url, bus_root, {"providers": providers(two, continues=True), "models": models}) as it:
            second = two[1].simulator.journal
            async with anyio.create_task_group() as client:
                client.start_soon(partial(it.ask, "kimi", stream=True))
                await until(lambda: any(entry.held_at for entry in second.entries))
                client.cancel_scope.cancel()
            await until(lambda: all(entry.outcome != "open" for entry in second.entries))

    assert [entry.outcome for entry in second.entries] == ["disconnected"]
