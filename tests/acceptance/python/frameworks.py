"""One run of one framework: `python frameworks.py <what> <url>`. Ends with status 0 where it went as it should."""

from __future__ import annotations

import asyncio
import json
import os
import sys

WHAT, URL = sys.argv[1:]
KEY, TASK, ANSWER = "sk-client", "Run the command.", "It printed 42."
os.environ |= {"OPENAI_API_KEY": KEY, "OPENAI_BASE_URL": f"{URL}/v1", "ANTHROPIC_API_KEY": KEY}
os.environ |= {"ANTHROPIC_BASE_URL": URL, "OPENAI_AGENTS_DISABLE_TRACING": "1", "LITELLM_LOCAL_MODEL_COST_MAP": "True"}
commands: list[str] = []


def run_shell(command: str) -> str:
    """Runs a shell command."""
    commands.append(command)
    return "42"


def langchain(model) -> None:
    from langchain_core.messages import HumanMessage, ToolMessage
    from langchain_core.tools import tool

    bound = model.bind_tools([tool(run_shell)])
    messages = [HumanMessage(TASK)]

    def streamed():
        chunks = list(bound.stream(messages))
        return sum(chunks[1:], chunks[0])

    first = streamed()
    [call] = first.tool_calls
    messages += [first, ToolMessage(run_shell(**call["args"]), tool_call_id=call["id"])]
    assert ANSWER in str(streamed().content)


def langchain_openai() -> None:
    from langchain_openai import ChatOpenAI

    langchain(ChatOpenAI(model="thinktool"))


def langchain_responses() -> None:
    from langchain_openai import ChatOpenAI

    langchain(ChatOpenAI(model="thinktool", use_responses_api=True))


def langchain_anthropic() -> None:
    from langchain_anthropic import ChatAnthropic

    langchain(ChatAnthropic(model="thinktool", max_tokens=99))


def pydantic_ai(model) -> None:
    from pydantic_ai import Agent

    async def main() -> None:
        result = await Agent(model, tools=[run_shell]).run(TASK, event_stream_handler=drain)
        assert ANSWER in result.output

    async def drain(context, events) -> None:  # which makes it ask for streams
        async for _ in events:
            pass

    asyncio.run(main())


def pydantic_openai() -> None:
    from pydantic_ai.models.openai import OpenAIChatModel

    pydantic_ai(OpenAIChatModel("thinktool"))


def pydantic_responses() -> None:
    from pydantic_ai.models.openai import OpenAIResponsesModel

    pydantic_ai(OpenAIResponsesModel("thinktool"))


def pydantic_anthropic() -> None:
    from pydantic_ai.models.anthropic import AnthropicModel

    pydantic_ai(AnthropicModel("thinktool"))


def agents(model_of) -> None:
    from agents import Agent, Runner, function_tool

    async def main() -> None:
        agent = Agent(name="tester", instructions="Test.", tools=[function_tool(run_shell)], model=model_of())
        result = Runner.run_streamed(agent, TASK)
        async for _ in result.stream_events():
            pass
        assert ANSWER in result.final_output

    asyncio.run(main())


def agents_chat() -> None:
    from agents import OpenAIChatCompletionsModel
    from openai import AsyncOpenAI

    agents(lambda: OpenAIChatCompletionsModel(model="thinktool", openai_client=AsyncOpenAI()))


def agents_responses() -> None:
    from agents import OpenAIResponsesModel
    from openai import AsyncOpenAI

    agents(lambda: OpenAIResponsesModel(model="thinktool", openai_client=AsyncOpenAI()))


def litellm(model: str, **more) -> None:
    import litellm as library

    function = {"name": "run_shell", "parameters": {"type": "object", "properties": {"command": {"type": "string"}}}}
    messages = [{"role": "user", "content": TASK}]

    def streamed():
        tools = [{"type": "function", "function": function}]
        chunks = library.completion(model, messages, tools=tools, stream=True, api_key=KEY, **more)
        return library.stream_chunk_builder(list(chunks)).choices[0].message

    first = streamed()
    [call] = first.tool_calls
    result = run_shell(**json.loads(call.function.arguments))
    messages += [first.model_dump(), {"role": "tool", "tool_call_id": call.id, "content": result}]
    assert ANSWER in streamed().content


def litellm_openai() -> None:
    litellm("openai/thinktool", api_base=f"{URL}/v1")


def litellm_anthropic() -> None:
    litellm("anthropic/thinktool", api_base=URL, max_tokens=99)


def litellm_responses() -> None:
    import litellm as library

    tool = {"type": "function", "name": "run_shell", "parameters": {"type": "object", "properties": {}}}
    items = [{"role": "user", "content": TASK}]

    def streamed():
        stream = library.responses(
            model="openai/thinktool", input=items, tools=[tool], stream=True, api_base=f"{URL}/v1", api_key=KEY
        )
        *_, last = stream
        return [item if isinstance(item, dict) else item.model_dump() for item in last.response.output]

    output = streamed()
    call = output[-1]
    result = run_shell(**json.loads(call["arguments"]))
    items += [*output, {"type": "function_call_output", "call_id": call["call_id"], "output": result}]
    assert ANSWER in streamed()[-1]["content"][0]["text"]


def instructor(provider: str, **more) -> None:
    import instructor as library
    from pydantic import BaseModel

    class Person(BaseModel):
        name: str
        age: int

    client = library.from_provider(f"{provider}/sim/tool-call")
    person = client.chat.completions.create(
        response_model=Person, messages=[{"role": "user", "content": "Who?"}], **more
    )
    assert isinstance(person, Person)


def instructor_openai() -> None:
    instructor("openai")


def instructor_anthropic() -> None:
    instructor("anthropic", max_tokens=99)


globals()[WHAT]()
assert WHAT.startswith("instructor") or commands == ["echo 42"], commands
