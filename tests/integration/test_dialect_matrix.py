"""Each dialect with each kind of provider, repaired and raw, streamed and plain: the same conversation every time."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, get_args

import msgspec
import pytest
from aiohttp import ClientSession

from shared.assembly import Assembly
from shared.config.settings import ProviderKind
from tests.fixtures.gateway import SCENARIOS, Gateway, Setting, gateway
from tests.fixtures.responses import response_of
from tests.fixtures.streams import events, message_of

pytestmark = pytest.mark.once

Json = dict[str, Any]

KINDS = get_args(ProviderKind)
COMMAND = {"command": "echo 42"}
RAW = SCENARIOS.replace("thinktool:", "raw-thinktool:").replace("hello:", "raw-hello:").partition("scenarios:")[2]
PARAMETERS = {"type": "object", "properties": {"command": {"type": "string"}}, "required": ["command"]}
QUESTION = "Run the command."


@pytest.fixture(scope="module", params=KINDS)
def provider(
    request: pytest.FixtureRequest, nats_url: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Gateway]:
    setting = Setting(kind=request.param, scenarios=SCENARIOS + RAW)
    with gateway(nats_url, str(tmp_path_factory.mktemp("home")), setting) as found:
        yield found


class Chat:
    """What a client of a dialect sends, and what it understands of the answer."""

    path = "/v1/chat/completions"
    has_call_ids = True

    def first(self, model: str) -> Json:
        tools = [{"type": "function", "function": {"name": "run_shell", "parameters": PARAMETERS}}]
        return {"model": model, "messages": [{"role": "user", "content": QUESTION}], "tools": tools}

    def second(self, model: str, answer: Json) -> Json:
        asked = self.first(model)
        known = ("role", "content", "reasoning_content", "tool_calls")  # to this client
        message = {name: answer["choices"][0]["message"].get(name) for name in known}
        result = {"role": "tool", "tool_call_id": message["tool_calls"][0]["id"], "content": "42"}
        return {**asked, "messages": [*asked["messages"], message, result]}

    def read(self, body: bytes, stream: bool) -> Json:
        if stream:
            assembly = Assembly()
            assembly.feed(body)
            body = assembly.completion()
        answer: Json = msgspec.json.decode(body)
        return answer

    def called(self, answer: Json) -> Json:
        call = answer["choices"][0]["message"]["tool_calls"][0]["function"]
        arguments: Json = msgspec.json.decode(call["arguments"])
        return arguments

    def said(self, answer: Json) -> str:
        return str(answer["choices"][0]["message"]["content"])


class Messages:
    path = "/v1/messages"
    has_call_ids = True

    def first(self, model: str) -> Json:
        tools = [{"name": "run_shell", "input_schema": PARAMETERS}]
        return {"model": model, "max_tokens": 99, "messages": [{"role": "user", "content": QUESTION}], "tools": tools}

    def second(self, model: str, answer: Json) -> Json:
        asked = self.first(model)
        result = {"type": "tool_result", "tool_use_id": answer["content"][-1]["id"], "content": "42"}
        turns = [{"role": "assistant", "content": answer["content"]}, {"role": "user", "content": [result]}]
        return {**asked, "messages": [*asked["messages"], *turns]}

    def read(self, body: bytes, stream: bool) -> Json:
        answer: Json = message_of(events(body)) if stream else msgspec.json.decode(body)
        return answer

    def called(self, answer: Json) -> Json:
        given: Json = answer["content"][-1]["input"]
        return given

    def said(self, answer: Json) -> str:
        return str(answer["content"][-1]["text"])


class Responses:
    path = "/v1/responses"
    has_call_ids = True

    def first(self, model: str) -> Json:
        tools = [{"type": "function", "name": "run_shell", "parameters": PARAMETERS}]
        include = ["reasoning.encrypted_content"]
        question = [{"role": "user", "content": QUESTION}]
        return {"model": model, "input": question, "tools": tools, "store": False, "include": include}

    def second(self, model: str, answer: Json) -> Json:
        asked = self.first(model)
        output = {"type": "function_call_output", "call_id": answer["output"][-1]["call_id"], "output": "42"}
        return {**asked, "input": [*asked["input"], *answer["output"], output]}

    def read(self, body: bytes, stream: bool) -> Json:
        answer: Json = response_of(events(body)) if stream else msgspec.json.decode(body)
        return answer

    def called(self, answer: Json) -> Json:
        arguments: Json = msgspec.json.decode(answer["output"][-1]["arguments"])
        return arguments

    def said(self, answer: Json) -> str:
        return str(answer["output"][-1]["content"][0]["text"])


class Functions(Chat):
    """Chat completions as they were before `tools`."""

    has_call_ids = False

    def first(self, model: str) -> Json:
        functions = [{"name": "run_shell", "parameters": PARAMETERS}]
        return {"model": model, "messages": [{"role": "user", "content": QUESTION}], "functions": functions}

    def second(self, model: str, answer: Json) -> Json:
        asked = self.first(model)
        known = ("role", "content", "reasoning_content", "function_call")
        message = {name: answer["choices"][0]["message"].get(name) for name in known}
        result = {"role": "function", "name": "run_shell", "content": "42"}
        return {**asked, "messages": [*asked["messages"], message, result]}

    def called(self, answer: Json) -> Json:
        assert answer["choices"][0]["finish_reason"] == "function_call"
        arguments: Json = msgspec.json.decode(answer["choices"][0]["message"]["function_call"]["arguments"])
        return arguments


Dialect = Chat | Messages | Responses


@pytest.mark.parametrize("stream", [False, True], ids=["plain", "streamed"])
@pytest.mark.parametrize("model", ["thinktool", "raw-thinktool"])
@pytest.mark.parametrize(
    "dialect", [Chat(), Functions(), Messages(), Responses()], ids=lambda dialect: type(dialect).__name__.lower()
)
async def test_a_tool_loop_with_thinking(provider: Gateway, dialect: Dialect, model: str, stream: bool) -> None:
    provider.reset()

    first = await asked(provider, dialect, dialect.first(model), stream)
    second = await asked(provider, dialect, dialect.second(model, first), stream)

    assert dialect.called(first) == COMMAND
    assert dialect.said(second) == "It printed 42."
    _, turn, result = provider.received[-1]["messages"]
    is_found_by_id = isinstance(turn["content"], list)  # a signature, which Anthropic alone wants back
    thought = "I need the shell." if dialect.has_call_ids or not is_found_by_id else ""
    assert heard(turn) == (thought, "Let me look.", answered(result))


def heard(turn: Json) -> tuple[str, str, str]:
    """The assistant's turn as its provider got it back: what it thought, what it said, and its call's id."""
    if isinstance(turn["content"], list):  # Anthropic's own
        *thoughts, text, call = turn["content"]
        return "".join(thought["thinking"] for thought in thoughts), text["text"], call["id"]
    return turn.get("reasoning_content") or turn["reasoning"], turn["content"], turn["tool_calls"][0]["id"]


def answered(result: Json) -> str:
    """The call that got 42 as its result."""
    if isinstance(result["content"], list):
        block = result["content"][0]
        assert block["content"] == [{"type": "text", "text": "42"}]
        return str(block["tool_use_id"])
    assert result["content"] == "42"
    return str(result["tool_call_id"])


async def asked(provider: Gateway, dialect: Dialect, body: Json, stream: bool) -> Json:
    body = {**body, "stream": True} if stream else body
    async with ClientSession() as session, session.post(f"{provider.url}{dialect.path}", json=body) as answer:
        data = await answer.read()
        assert answer.status == 200, data
        return dialect.read(data, stream)
