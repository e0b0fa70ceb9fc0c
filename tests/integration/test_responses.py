"""OpenAI's Responses through a whole gateway: answers, their memory, background and resumed streams."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import msgspec
import pytest
from aiohttp import ClientResponse, ClientSession

from tests.fixtures.gateway import Gateway
from tests.fixtures.responses import response_of
from tests.fixtures.streams import events

Json = dict[str, Any]


@asynccontextmanager
async def sent(fresh: Gateway, method: str, path: str, **options: Any) -> AsyncIterator[ClientResponse]:
    async with (
        ClientSession() as session,
        session.request(method, f"{fresh.url}/v1/responses{path}", **options) as it,
    ):
        yield it


async def asked(fresh: Gateway, model: str = "hello", **fields: Any) -> bytes:
    async with sent(fresh, "POST", "", json={"model": model, "input": "Hi", **fields}) as answer:
        return await answer.read()


async def created(fresh: Gateway, model: str = "hello", **fields: Any) -> Json:
    value: Json = msgspec.json.decode(await asked(fresh, model, **fields))
    return value


async def got(fresh: Gateway, path: str, method: str = "GET") -> tuple[int, Json]:
    async with sent(fresh, method, path) as answer:
        return answer.status, await answer.json()


async def released(fresh: Gateway) -> None:
    url = f"{fresh.simulated.base_url.removesuffix('/v1')}/_sim/release"
    async with ClientSession() as session, session.post(url) as answer:
        assert answer.status == 200


async def until(fresh: Gateway, id: str, status: str) -> Json:
    with anyio.fail_after(5):
        while True:
            _, response = await got(fresh, f"/{id}")
            if response.get("status") == status:
                return response
            await anyio.sleep(0.02)


async def test_a_response_is_remembered(fresh: Gateway) -> None:
    response = await created(fresh, metadata={"a": "b"})

    status, again = await got(fresh, f"/{response['id']}")

    assert status == 200
    assert again | {"completed_at": 0} == response | {"completed_at": 0}


async def test_a_streamed_response_is_remembered_too(fresh: Gateway) -> None:
    response = response_of(events(await asked(fresh, "thinktool", stream=True)))

    assert (await got(fresh, f"/{response['id']}"))[1] == response


async def test_the_next_turn_needs_only_its_own_input(fresh: Gateway) -> None:
    tools = [{"type": "function", "name": "run_shell", "parameters": {"type": "object"}}]
    first = await created(fresh, "thinktool", tools=tools, instructions="Old.")
    output = {"type": "function_call_output", "call_id": first["output"][-1]["call_id"], "output": "42"}

    second = await created(
        fresh, "thinktool", tools=tools, input=[output], previous_response_id=first["id"], instructions="New."
    )
    await created(fresh, "hello", input="And?", previous_response_id=second["id"])

    messages = fresh.received[-1]["messages"]
    assert [message["role"] for message in messages] == ["user", "assistant", "tool", "assistant", "user"]
    assert messages[1]["reasoning_content"] == "I need the shell."
    assert fresh.received[-2]["messages"][0] == {"role": "system", "content": "New."}


async def test_an_item_can_be_sent_by_its_id(fresh: Gateway) -> None:
    first = await created(fresh, "thinktool")
    references = [{"type": "item_reference", "id": item["id"]} for item in first["output"]]
    output = {"type": "function_call_output", "call_id": first["output"][-1]["call_id"], "output": "42"}

    await created(fresh, "hello", input=[{"role": "user", "content": "Hi"}, *references, output])

    messages = fresh.received[-1]["messages"]
    assert messages[1]["tool_calls"][0]["id"] == output["call_id"]
    assert messages[1]["reasoning_content"] == "I need the shell."


@pytest.mark.parametrize("id", ["resp_nothing", "resp_01ARZ3NDEKTSV4RRFFQ69G5FAV"])
async def test_what_is_not_remembered_is_clearly_not_found(fresh: Gateway, id: str) -> None:
    status, body = await got(fresh, f"/{id}")
    refused = await created(fresh, previous_response_id=id)

    assert status == 404
    message = body["error"]["message"]
    assert id == "resp_nothing" or ("86400 s" in message and "no recorder with a database" in message)
    assert refused["error"]["code"] == "previous_response_not_found"


async def test_what_must_not_be_stored_is_not_found(fresh: Gateway) -> None:
    response = await created(fresh, store=False)

    assert (await got(fresh, f"/{response['id']}"))[0] == 404


async def test_a_deleted_response_is_gone(fresh: Gateway) -> None:
    response = await created(fresh)

    status, deleted = await got(fresh, f"/{response['id']}", "DELETE")

    assert (status, deleted["deleted"]) == (200, True)
    assert (await got(fresh, f"/{response['id']}"))[0] == 404


async def test_the_input_can_be_read_again(fresh: Gateway) -> None:
    response = await created(fresh)

    _, page = await got(fresh, f"/{response['id']}/input_items")

    assert page["data"][0]["content"] == [{"type": "input_text", "text": "Hi"}]


async def test_tokens_are_counted_without_asking_anybody(fresh: Gateway) -> None:
    async with sent(fresh, "POST", "/input_tokens", json={"model": "hello", "input": "Hi there"}) as answer:
        assert 3 <= (await answer.json())["input_tokens"] <= 12

    assert fresh.received == []


async def test_a_background_response_goes_on_without_its_client(fresh: Gateway) -> None:
    response = await created(fresh, "sim/text+hold?after=8", background=True)
    assert response["status"] == "queued"

    waiting = await until(fresh, response["id"], "in_progress")
    await released(fresh)
    done = await until(fresh, response["id"], "completed")

    assert waiting["output"] == []
    assert done["output"][0]["content"][0]["text"]
    assert done["background"] is True


async def test_a_background_response_can_be_cancelled(fresh: Gateway) -> None:
    response = await created(fresh, "sim/text+hold?after=8", background=True)
    await until(fresh, response["id"], "in_progress")

    status, cancelled = await got(fresh, f"/{response['id']}/cancel", "POST")

    assert (status, cancelled["status"]) == (200, "cancelled")


async def test_only_background_responses_can_be_cancelled(fresh: Gateway) -> None:
    response = await created(fresh)

    assert (await got(fresh, f"/{response['id']}/cancel", "POST"))[0] == 400


async def test_a_stream_that_was_left_is_taken_up_where_it_was(fresh: Gateway) -> None:
    first = b""
    body = {"model": "sim/text+hold?after=8", "input": "Hi", "background": True, "stream": True}
    async with sent(fresh, "POST", "", json=body) as answer:
        while first.count(b"\n\n") < 5:
            first += await answer.content.readany()
    seen = events(first[: first.rindex(b"\n\n") + 2])
    id, after = seen[0]["response"]["id"], seen[-1]["sequence_number"]

    async with sent(fresh, "GET", f"/{id}", params={"stream": "true", "starting_after": str(after)}) as answer:
        await released(fresh)
        rest = events(await answer.read())

    assert response_of(seen + rest)["status"] == "completed"


async def test_a_finished_stream_can_be_read_again(fresh: Gateway) -> None:
    first = events(await asked(fresh, "thinktool", stream=True))

    async with sent(fresh, "GET", f"/{first[0]['response']['id']}", params={"stream": "true"}) as answer:
        assert events(await answer.read()) == first


async def test_a_place_to_go_on_from_is_a_number(fresh: Gateway) -> None:
    response = await created(fresh)

    async with sent(fresh, "GET", f"/{response['id']}?stream=true&starting_after=x") as answer:
        assert answer.status == 400


async def test_a_cut_stream_ends_in_a_failed_response(fresh: Gateway) -> None:
    found = events(await asked(fresh, "sim/cut", stream=True))

    assert found[-1]["type"] == "response.failed"
    status, again = await got(fresh, f"/{found[0]['response']['id']}")
    assert (status, again["status"]) == (200, "failed")


async def test_a_refusal_is_openais(fresh: Gateway) -> None:
    async with sent(fresh, "POST", "", json={"model": "sim/overloaded", "input": "Hi", "stream": True}) as answer:
        assert answer.status == 429
        assert (await answer.json())["error"]["type"] == "engine_overloaded_error"


@pytest.mark.parametrize("stream", [False, True])
async def test_a_response_of_the_second_call_is_remembered(fresh: Gateway, stream: bool) -> None:
    body = await asked(fresh, "sim/server-error,text", stream=stream)
    first = response_of(events(body)) if stream else msgspec.json.decode(body)

    status, again = await got(fresh, f"/{first['id']}")

    assert len(fresh.received) > 1
    assert status == 200
    assert again["output"] == first["output"]
    assert again["output"][0]["content"][0]["text"]
