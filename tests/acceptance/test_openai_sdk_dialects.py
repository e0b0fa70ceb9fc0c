"""OpenAI's own SDK, as an application uses it: chat completions and responses."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import openai
import pytest
from openai import OpenAI

from tests.fixtures.gateway import Gateway

pytestmark = pytest.mark.once

Json = dict[str, Any]
NAME = "openai-python"
PARAMETERS = {
    "type": "object",
    "properties": {"command": {"type": "string"}},
    "required": ["command"],
    "additionalProperties": False,
}
CHAT_TOOL: Json = {"type": "function", "function": {"name": "run_shell", "strict": True, "parameters": PARAMETERS}}
TOOL: Json = {"type": "function", "name": "run_shell", "strict": True, "parameters": PARAMETERS}
QUESTION: Json = {"role": "user", "content": "Run the command."}


def chat(what: str) -> pytest.MarkDecorator:
    return pytest.mark.client(NAME, "chat completions", what)


def responses(what: str) -> pytest.MarkDecorator:
    return pytest.mark.client(NAME, "Responses", what)


@pytest.fixture
def client(fresh: Gateway) -> Iterator[OpenAI]:
    with OpenAI(base_url=f"{fresh.url}/v1", api_key="sk-client", max_retries=0) as found:
        yield found


# -- chat completions


def ask(**fields: Any) -> Json:
    return {"model": "thinktool", "messages": [QUESTION], "tools": [CHAT_TOOL], **fields}


@chat("tool loop with reasoning, plain")
def test_a_tool_loop(client: OpenAI, fresh: Gateway) -> None:
    message = client.chat.completions.create(**ask()).choices[0].message
    assert message.tool_calls is not None
    call = message.tool_calls[0]
    result = {"role": "tool", "tool_call_id": call.id, "content": "42"}

    second = client.chat.completions.create(**ask(messages=[QUESTION, message, result]))

    assert second.choices[0].message.content == "It printed 42."
    assert fresh.received[-1]["messages"][1]["reasoning_content"] == "I need the shell."


@chat("`chat.completions.stream`")
def test_a_streamed_tool_call(client: OpenAI) -> None:
    with client.chat.completions.stream(**ask()) as stream:
        completion = stream.get_final_completion()

    calls = completion.choices[0].message.tool_calls
    assert calls is not None
    assert calls[0].function.arguments == '{"command": "echo 42"}'


@chat("models and typed errors, also in the middle of a stream")
def test_models_and_errors(client: OpenAI) -> None:
    assert "hello" in [model.id for model in client.models.list()]
    assert client.models.retrieve("hello").id == "hello"
    with pytest.raises(openai.RateLimitError):
        client.chat.completions.create(**ask(model="sim/overloaded"))
    with pytest.raises(openai.APIError, match="broke off"):
        list(client.chat.completions.create(**ask(model="sim/cut", stream=True)))


FUNCTION: Json = {"name": "run_shell", "parameters": PARAMETERS}


@chat("`functions`, the form before tools, plain")
def test_legacy_functions(client: OpenAI, fresh: Gateway) -> None:
    asked: Json = {"model": "thinktool", "functions": [FUNCTION], "function_call": "auto"}
    first = client.chat.completions.create(messages=[QUESTION], **asked).choices[0]
    assert first.finish_reason == "function_call"
    assert first.message.function_call is not None
    assert first.message.function_call.arguments == '{"command": "echo 42"}'
    assert first.message.tool_calls is None

    result: Json = {"role": "function", "name": "run_shell", "content": "42"}
    second = client.chat.completions.create(messages=[QUESTION, first.message, result], **asked).choices[0]

    assert second.message.content == "It printed 42."
    _, turn, answer = fresh.received[-1]["messages"]
    assert (turn["reasoning_content"], answer["role"], answer["content"]) == ("I need the shell.", "tool", "42")
    assert turn["tool_calls"][0]["id"] == answer["tool_call_id"]


@chat("`functions`, streamed")
def test_legacy_functions_streamed(client: OpenAI) -> None:
    stream = client.chat.completions.create(
        model="thinktool",
        messages=[QUESTION],
        functions=[FUNCTION],
        stream=True,  # type: ignore[list-item]
    )
    choices = [chunk.choices[0] for chunk in stream if chunk.choices]
    calls = [choice.delta.function_call for choice in choices if choice.delta.function_call]

    assert (calls[0].name, "".join(call.arguments or "" for call in calls)) == ("run_shell", '{"command": "echo 42"}')
    assert choices[-1].finish_reason == "function_call"


@chat("`/v1/completions`, by passthrough")
def test_completions(client: OpenAI) -> None:
    assert client.completions.create(model="sim/text", prompt="Once").choices[0].text


@chat("embeddings, by passthrough")
def test_embeddings(client: OpenAI) -> None:
    assert client.embeddings.create(model="any", input="Hi").data[0].embedding


# -- responses


def request(**fields: Any) -> Json:
    return {"model": "thinktool", "input": [QUESTION], "tools": [TOOL], **fields}


def output_for(response: Any) -> Json:
    call = response.output[-1]
    assert (call.type, call.name, call.arguments) == ("function_call", "run_shell", '{"command": "echo 42"}')
    return {"type": "function_call_output", "call_id": call.call_id, "output": "42"}


def check_second(fresh: Gateway, response: Any) -> None:
    assert response.output_text == "It printed 42."
    assert fresh.received[-1]["messages"][1]["reasoning_content"] == "I need the shell."


@responses("tool loop, `store: false` with encrypted reasoning, plain")
def test_a_stateless_tool_loop(client: OpenAI, fresh: Gateway) -> None:
    asked = request(store=False, include=["reasoning.encrypted_content"])

    first = client.responses.create(**asked)
    second = client.responses.create(**asked | {"input": [QUESTION, *first.output, output_for(first)]})

    check_second(fresh, second)


@responses("tool loop by `previous_response_id`, plain")
def test_a_stored_tool_loop(client: OpenAI, fresh: Gateway) -> None:
    first = client.responses.create(**request())

    second = client.responses.create(**request(input=[output_for(first)], previous_response_id=first.id))

    check_second(fresh, second)


@responses("tool loop, `responses.stream`")
def test_a_streamed_tool_loop(client: OpenAI, fresh: Gateway) -> None:
    with client.responses.stream(**request()) as stream:
        first = stream.get_final_response()
    with client.responses.stream(**request(input=[output_for(first)], previous_response_id=first.id)) as stream:
        texts = [event.delta for event in stream if event.type == "response.output_text.delta"]
        second = stream.get_final_response()

    assert "".join(texts) == "It printed 42."
    check_second(fresh, second)


@responses("`retrieve`, `input_items`, `delete`")
def test_coming_back(client: OpenAI) -> None:
    response = client.responses.create(**request(model="hello"))

    assert client.responses.retrieve(response.id).output_text == "Hello there."
    assert [item.type for item in client.responses.input_items.list(response.id)] == ["message"]
    client.responses.delete(response.id)
    with pytest.raises(openai.NotFoundError):
        client.responses.retrieve(response.id)


@responses("background, resumed stream and `cancel`")
def test_in_the_background(client: OpenAI, fresh: Gateway) -> None:
    stream = client.responses.create(**request(model="sim/text+hold?after=8", background=True, stream=True))
    seen = [next(stream) for _ in range(6)]
    stream.close()
    id = seen[0].response.id

    cancelled = client.responses.cancel(id)
    rest = list(client.responses.retrieve(id, stream=True, starting_after=seen[-1].sequence_number))

    assert cancelled.status == "cancelled"
    numbers = [event.sequence_number for event in (*seen, *rest)]
    assert numbers == list(range(len(numbers)))


@responses("a custom tool")
def test_a_custom_tool(client: OpenAI) -> None:
    tool = {"type": "custom", "name": "note", "description": "Takes a note."}

    response = client.responses.create(model="sim/tool-call", input="Note it.", tools=[tool])

    call = response.output[-1]
    assert call.type == "custom_tool_call"
    assert isinstance(call.input, str)


@responses("typed errors, a failed stream")
def test_errors(client: OpenAI) -> None:
    with pytest.raises(openai.RateLimitError):
        client.responses.create(**request(model="sim/overloaded"))
    with pytest.raises(openai.BadRequestError, match="not found"):
        client.responses.create(**request(previous_response_id="resp_nothing"))
    last = list(client.responses.create(**request(model="sim/cut", stream=True)))[-1]
    assert last.type == "response.failed"
