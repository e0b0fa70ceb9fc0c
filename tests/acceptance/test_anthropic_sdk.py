"""Anthropic's own SDK, as an application uses it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import anthropic
import pytest
from anthropic import Anthropic, beta_tool

from tests.fixtures.gateway import Gateway

pytestmark = pytest.mark.once

Json = dict[str, Any]
NAME, DIALECT = "anthropic-python", "Messages"
PARAMETERS = {"type": "object", "properties": {"command": {"type": "string"}}, "required": ["command"]}
TOOL: Json = {"name": "run_shell", "description": "Runs a command.", "input_schema": PARAMETERS}
QUESTION: Json = {"role": "user", "content": "Run the command."}


def does(what: str) -> pytest.MarkDecorator:
    return pytest.mark.client(NAME, DIALECT, what)


@pytest.fixture
def client(fresh: Gateway) -> Iterator[Anthropic]:
    with Anthropic(base_url=fresh.url, api_key="sk-client", max_retries=0) as found:
        yield found


def ask(**fields: Any) -> Json:
    return {"model": "thinktool", "max_tokens": 4096, "messages": [QUESTION], "tools": [TOOL], **fields}


def results(message: Any) -> Json:
    calls = [block for block in message.content if block.type == "tool_use"]
    assert [call.input for call in calls] == [{"command": "echo 42"}]
    return {
        "role": "user",
        "content": [{"type": "tool_result", "tool_use_id": call.id, "content": "42"} for call in calls],
    }


def check_second(fresh: Gateway, message: Any) -> None:
    assert [block.text for block in message.content if block.type == "text"] == ["It printed 42."]
    assert message.stop_reason == "end_turn"
    turn = fresh.received[-1]["messages"][1]
    assert (turn["reasoning_content"], turn["content"]) == ("I need the shell.", "Let me look.")


@does("tool loop with thinking, plain")
@pytest.mark.parametrize("version", ["2023-06-01", "2026-10-21"])
def test_a_tool_loop(client: Anthropic, fresh: Gateway, version: str) -> None:
    asked = ask(extra_headers={"anthropic-version": version})

    first = client.messages.create(**asked)
    turns = [QUESTION, {"role": "assistant", "content": first.content}, results(first)]
    second = client.messages.create(**asked | {"messages": turns})

    assert [block.type for block in first.content] == ["thinking", "text", "tool_use"]
    assert first.stop_reason == "tool_use"
    check_second(fresh, second)


@does("tool loop with thinking, `messages.stream`")
def test_a_streamed_tool_loop(client: Anthropic, fresh: Gateway) -> None:
    asked = ask(thinking={"type": "adaptive"})
    with client.messages.stream(**asked) as stream:
        texts = [event.text for event in stream if event.type == "text"]
        first = stream.get_final_message()
    turns = [QUESTION, {"role": "assistant", "content": first.content}, results(first)]
    with client.messages.stream(**asked | {"messages": turns}) as stream:
        second = stream.get_final_message()

    assert texts == ["Let me look."]
    assert first.content[0].type == "thinking"
    assert first.content[0].signature
    check_second(fresh, second)


@does("events of `create(stream=True)`")
def test_raw_events(client: Anthropic) -> None:
    events = list(client.messages.create(**ask(stream=True)))

    assert events[0].type == "message_start"
    assert events[-1].type == "message_stop"
    assert events[-2].type == "message_delta"
    assert events[-2].usage.output_tokens > 0


@does("tool runner, which falls back from threads")
@pytest.mark.parametrize("stream", [False, True], ids=["plain", "streamed"])
def test_the_tool_runner(client: Anthropic, fresh: Gateway, stream: bool) -> None:
    commands: list[str] = []

    @beta_tool
    def run_shell(command: str) -> str:
        """Runs a command."""
        commands.append(command)
        return "42"

    runner = client.beta.messages.tool_runner(
        model="thinktool", max_tokens=4096, tools=[run_shell], messages=[QUESTION], stream=stream
    )
    message = runner.until_done()

    assert commands == ["echo 42"]
    check_second(fresh, message)


@does("models and token counts")
def test_models_and_counts(client: Anthropic) -> None:
    assert "hello" in [model.id for model in client.models.list()]
    assert client.models.retrieve("claude-sonnet-4-5").id == "claude-sonnet-4-5"
    assert client.messages.count_tokens(model="hello", messages=[QUESTION], tools=[TOOL]).input_tokens > 10


@does("a model by another name, with `[1m]`")
def test_a_model_by_another_name(client: Anthropic, fresh: Gateway) -> None:
    message = client.messages.create(**ask(model="claude-sonnet-4-5[1m]"))

    assert message.content[0].text == "Hello there."
    assert fresh.received[-1]["model"] == "hello"


@does("typed errors, also in the middle of a stream")
def test_errors_have_their_types(client: Anthropic) -> None:
    with pytest.raises(anthropic.BadRequestError):
        client.messages.create(**ask(messages=[]))
    with pytest.raises(anthropic.OverloadedError):
        client.messages.create(**ask(model="sim/overloaded"))
    with pytest.raises(anthropic.APIStatusError, match="broke off"):
        list(client.messages.create(**ask(model="sim/cut", stream=True)))


@does("a structured answer")
def test_a_structured_answer(client: Anthropic, fresh: Gateway) -> None:
    client.messages.create(**ask(output_config={"format": {"type": "json_schema", "schema": PARAMETERS}}))

    assert fresh.received[-1]["response_format"]["json_schema"]["schema"] == PARAMETERS
