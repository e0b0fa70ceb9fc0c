"""Agents with the official SDKs, in each dialect: every turn ends in a tool call, none is invalid, no loop is seen."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from typing import Any

import pytest
from anthropic import Anthropic

from tests.fixtures.installation import (
    CLIENT_KEY,
    COMMAND_S,
    MESSAGES,
    PROVIDER_KEY,
    WEATHER,
    Installation,
    Simulator,
    installed,
)

ANSWER = "All done: 42 🌤️\n“really”."
PROMISE = "Attempt 1: I am going to do that now."
RECOVERED = "That is all."
SCHEMA = WEATHER["function"]["parameters"]
ANTHROPIC_TOOL: Any = {"name": "get_weather", "input_schema": SCHEMA}
RESPONSES_TOOL: Any = {"type": "function", "name": "get_weather", "parameters": SCHEMA, "strict": False}
BEHAVIOURS = {
    "calls": ("sim/forgetful?thoughts=3", {"ensure_tool_call": {}}),
    "ends": ("sim/forgetful?then=done&thoughts=3", {"ensure_tool_call": {}}),
    "careless": ("sim/careless", {"check_tool_calls": {}}),
    "never": ("sim/forgetful?times=9", {"ensure_tool_call": {}}),
    "varies": ("sim/loop?kind=counter&recovers=true&delay_ms=1&length=40000", {"repeat": {"action": "retry"}}),
    "marked": ("sim/loop?where=markers&recovers=true&delay_ms=1&length=40000", {"repeat": {"action": "retry"}}),
    "loops": ("sim/loop?recovers=true&delay_ms=1&length=40000", {"repeat": {"action": "retry"}}),
}
UNMET = {"unmet": "ensure_tool_call", "attempts": 3}
UNIT = "Return count a."  # of the loop


@pytest.fixture(scope="module")
def enforcing(tmp_path_factory: pytest.TempPathFactory, simulator: Simulator) -> Iterator[Installation]:
    sim = {"kind": "openai", "base_url": simulator.base_url, "api_key": "env:SIM_API_KEY", "continues": True}
    models = {
        name: {"targets": [{"provider": "sim", "model": model}], **how} for name, (model, how) in BEHAVIOURS.items()
    }
    with installed(
        tmp_path_factory.mktemp("enforcing"), simulator, providers={"sim": sim}, models=models
    ) as installation:
        yield installation


either = pytest.mark.parametrize("stream", [True, False], ids=["stream", "plain"])

# -- chat completions


def chat(installation: Installation, model: str, stream: bool, **fields: Any) -> Any:
    """The completion, put together by the SDK where it is streamed."""
    asked: Any = {"model": model, "messages": MESSAGES, "tools": [WEATHER], **fields}
    with installation.client() as client:
        if not stream:
            return client.chat.completions.create(**asked)
        with client.chat.completions.stream(**asked, stream_options={"include_usage": True}) as events:
            return events.get_final_completion()


@either
@pytest.mark.parametrize("model", ["calls", "careless"])
def test_chat_a_turn_ends_in_a_call(enforcing: Installation, model: str, stream: bool) -> None:
    completion = chat(enforcing, model, stream)
    (call,) = completion.choices[0].message.tool_calls

    assert (call.function.name, completion.choices[0].finish_reason) == ("get_weather", "tool_calls")
    assert '"city"' in call.function.arguments
    assert completion.usage.total_tokens > 100


@either
def test_chat_a_turn_that_is_done_has_its_answer(enforcing: Installation, stream: bool) -> None:
    (choice,) = chat(enforcing, "ends", stream).choices

    assert choice.message.content == (f"{PROMISE}\n\n{ANSWER}" if stream else ANSWER)
    assert (choice.finish_reason, choice.message.tool_calls) == ("stop", None)


def test_chat_exhausted_attempts_are_marked_in_a_header(enforcing: Installation) -> None:
    with enforcing.client() as client:
        raw = client.chat.completions.with_raw_response.create(model="never", messages=MESSAGES, tools=[WEATHER])

    assert (raw.headers["X-Moontide-Attempts"], raw.headers["X-Moontide-Unmet"]) == ("3", "ensure_tool_call")


@either
def test_chat_a_loop_is_never_seen(enforcing: Installation, stream: bool) -> None:
    (choice,) = chat(enforcing, "loops", stream, tools=[]).choices

    assert choice.finish_reason == "stop"
    assert choice.message.content.endswith(RECOVERED)
    assert choice.message.content.count(UNIT) <= 1


def test_chat_a_stream_says_at_its_end_that_attempts_were_in_vain(enforcing: Installation) -> None:
    found = chat(enforcing, "never", True)
    with enforcing.client() as client:
        chunks = list(client.chat.completions.create(model="never", messages=MESSAGES, tools=[WEATHER], stream=True))

    assert [(chunk.model_extra or {}).get("moontide") for chunk in chunks if chunk.model_extra] == [UNMET]
    assert (found.choices[0].finish_reason, found.choices[0].message.content[:9]) == ("stop", "Attempt 1")


@either
def test_chat_of_a_loop_that_varies_one_round_is_seen(enforcing: Installation, stream: bool) -> None:
    (choice,) = chat(enforcing, "varies", stream, tools=[]).choices

    assert choice.message.content.endswith(RECOVERED)
    assert len(choice.message.content) < 300


@either
def test_chat_a_call_in_markers_that_loops_is_made_again(enforcing: Installation, stream: bool) -> None:
    (choice,) = chat(enforcing, "marked", stream).choices

    assert (choice.finish_reason, choice.message.content or "") == ("tool_calls", "")
    assert [call.function.name for call in choice.message.tool_calls] == ["get_weather"]


# -- Anthropic's Messages


def message(installation: Installation, model: str, stream: bool, **fields: Any) -> Any:
    asked: Any = {"model": model, "max_tokens": 9000, "messages": MESSAGES, "tools": [ANTHROPIC_TOOL], **fields}
    with Anthropic(base_url=installation.url, api_key=CLIENT_KEY, max_retries=0, timeout=COMMAND_S) as client:
        if not stream:
            return client.messages.create(**asked)
        with client.messages.stream(**asked) as events:
            return events.get_final_message()


@either
@pytest.mark.parametrize("model", ["calls", "careless"])
def test_messages_a_turn_ends_in_a_call(enforcing: Installation, model: str, stream: bool) -> None:
    found = message(enforcing, model, stream)
    (call,) = [block for block in found.content if block.type == "tool_use"]

    assert (call.name, list(call.input), found.stop_reason) == ("get_weather", ["city"], "tool_use")
    assert found.usage.output_tokens > 10


@either
def test_messages_a_turn_that_is_done_has_its_answer(enforcing: Installation, stream: bool) -> None:
    found = message(enforcing, "ends", stream)
    text = "".join(block.text for block in found.content if block.type == "text")

    assert text == (f"{PROMISE}\n\n{ANSWER}" if stream else ANSWER)
    assert (found.stop_reason, [block for block in found.content if block.type == "tool_use"]) == ("end_turn", [])


@either
def test_messages_a_loop_is_never_seen(enforcing: Installation, stream: bool) -> None:
    found = message(enforcing, "loops", stream, tools=[])
    text = "".join(block.text for block in found.content if block.type == "text")

    assert found.stop_reason == "end_turn"
    assert text.endswith(RECOVERED)
    assert text.count(UNIT) <= 1


@either
def test_messages_a_call_in_markers_that_loops_is_made_again(enforcing: Installation, stream: bool) -> None:
    found = message(enforcing, "marked", stream)

    assert [block.type for block in found.content] == ["tool_use"]
    assert found.stop_reason == "tool_use"


def test_messages_a_stream_says_at_its_end_that_attempts_were_in_vain(enforcing: Installation) -> None:
    found = message(enforcing, "never", True)
    asked: Any = {"model": "never", "max_tokens": 9000, "messages": MESSAGES, "tools": [ANTHROPIC_TOOL]}
    with Anthropic(base_url=enforcing.url, api_key=CLIENT_KEY, max_retries=0, timeout=COMMAND_S) as client:
        (told,) = [event for event in client.messages.create(**asked, stream=True) if event.type == "message_delta"]

    assert (told.model_extra or {})["moontide"] == UNMET
    assert (found.stop_reason, found.usage.output_tokens) == ("end_turn", told.usage.output_tokens)


# -- OpenAI's Responses


def response(installation: Installation, model: str, stream: bool, **fields: Any) -> Any:
    asked: Any = {"model": model, "input": "Tell me a story", "tools": [RESPONSES_TOOL], **fields}
    with installation.client() as client:
        if not stream:
            return client.responses.create(**asked)
        with client.responses.stream(**asked) as events:
            return events.get_final_response()


@either
@pytest.mark.parametrize("model", ["calls", "careless"])
def test_responses_a_turn_ends_in_a_call(enforcing: Installation, model: str, stream: bool) -> None:
    found = response(enforcing, model, stream)
    (call,) = [item for item in found.output if item.type == "function_call"]

    assert (call.name, found.status) == ("get_weather", "completed")
    assert '"city"' in call.arguments
    assert found.usage.total_tokens > 100


@either
def test_responses_a_turn_that_is_done_has_its_answer(enforcing: Installation, stream: bool) -> None:
    found = response(enforcing, "ends", stream)

    assert found.output_text == (f"{PROMISE}\n\n{ANSWER}" if stream else ANSWER)
    assert found.status == "completed"
    assert not [item for item in found.output if item.type == "function_call"]


@either
def test_responses_a_loop_is_never_seen(enforcing: Installation, stream: bool) -> None:
    found = response(enforcing, "loops", stream, tools=[])

    assert found.status == "completed"
    assert found.output_text.endswith(RECOVERED)
    assert found.output_text.count(UNIT) <= 1


@either
def test_responses_a_call_in_markers_that_loops_is_made_again(enforcing: Installation, stream: bool) -> None:
    found = response(enforcing, "marked", stream)

    assert [item.type for item in found.output] == ["function_call"]
    assert found.status == "completed"


def test_responses_a_stream_says_at_its_end_that_attempts_were_in_vain(enforcing: Installation) -> None:
    found = response(enforcing, "never", True)

    assert (found.model_extra or {})["moontide"] == UNMET
    assert found.status == "completed"


def test_responses_what_was_enforced_is_remembered(enforcing: Installation) -> None:
    first = response(enforcing, "ends", False)
    with enforcing.client() as client:
        again = client.responses.retrieve(first.id)
        second = client.responses.create(
            model="calls", input="And now?", previous_response_id=first.id, tools=[RESPONSES_TOOL]
        )

    assert again.output_text == ANSWER
    assert [item.type for item in second.output][-1] == "function_call"


# -- and who runs it


def test_an_enforcer_is_in_the_path_only_where_a_model_needs_it(
    enforcing: Installation, moontide: Installation
) -> None:
    def legs(installation: Installation, id: str) -> set[str]:
        installation.recorded(id)
        with contextlib.closing(sqlite3.connect(installation.home / "records.db")) as database:
            return {leg for (leg,) in database.execute("SELECT leg FROM bodies WHERE exchange_id = ?", [id])}

    assert "out" in legs(enforcing, enforcing.chat("calls", tools=[WEATHER]).id)
    assert "out" not in legs(moontide, moontide.chat("sim/text", tools=[WEATHER]).id)


def test_the_record_has_every_attempt_and_no_key(enforcing: Installation) -> None:
    got = enforcing.chat("calls", tools=[WEATHER])
    record = enforcing.record(got.id)
    shown = enforcing.moontide("inspect", got.id)

    assert [call["call"] for call in record["calls"]] == ["c1", "c2"]
    assert "re-prompted" in shown
    assert PROVIDER_KEY not in shown + str(record)
