"""OpenAI's own SDK goes on with responses that only the records have: the capture stream has let go of them."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import openai
import pytest
from openai import OpenAI

from shared.records.database import NoRecords
from shared.records.queries import NotFound, reading
from tests.fixtures.gateway import Gateway, Setting, gateway
from tests.fixtures.workspace import purge_capture

Json = dict[str, Any]
PATIENCE_S = 30.0
TOOL: Json = {"type": "function", "name": "run_shell", "parameters": {"type": "object"}}
LARGE = "x" * 3_000_000  # more than a message takes


class Recalled:
    """A gateway with a recorder, and what its capture stream can be made to forget."""

    def __init__(self, gateway: Gateway, nats_url: str, records: str) -> None:
        self.gateway = gateway
        self.client = client_of(gateway, "sk-client")
        self._nats_url = nats_url
        self._records = records

    def forget(self, *responses: Any) -> None:
        """Once the recorder has them, the stream has them no more."""
        for response in responses:
            self.until(lambda row: row["state"] == "done", response.id)
        self.purge()

    def purge(self) -> None:
        self.gateway.portal.call(purge_capture, self._nats_url, self.gateway.subjects.root)

    def until_marked(self, response: Any) -> None:
        with until_found() as is_over:
            while not is_over():
                with reading(self._records) as records:
                    if any(event["name"] == "deleted" for event in records.events(response.id[5:])):
                        return
        raise AssertionError("no mark of the deletion")

    def until(self, holds: Any, id: str) -> None:
        with until_found() as is_over:
            while not is_over():
                try:
                    with reading(self._records) as records:
                        if holds(records.get(id[5:])):
                            return
                except (NotFound, NoRecords):
                    time.sleep(0.02)
        raise AssertionError(f"{id} was not recorded")


@contextmanager
def until_found() -> Iterator[Any]:
    until = time.monotonic() + PATIENCE_S
    yield lambda: time.monotonic() > until


def client_of(gateway: Gateway, key: str) -> OpenAI:
    return OpenAI(base_url=f"{gateway.url}/v1", api_key=key, max_retries=0)


@pytest.fixture
def recalled(nats_url: str, tmp_path: Path, records_url: str) -> Iterator[Recalled]:
    with gateway(nats_url, str(tmp_path / "home"), Setting(records=records_url)) as found:
        yield Recalled(found, nats_url, records_url)


@pytest.mark.parametrize("streamed", [True, False])
def test_a_conversation_goes_on(recalled: Recalled, streamed: bool) -> None:
    client = recalled.client
    asked: Json = {"model": "thinktool", "input": "Run it.", "tools": [TOOL]}
    if streamed:
        with client.responses.stream(**asked) as events:
            first = events.get_final_response()
    else:
        first = client.responses.create(**asked)
    recalled.forget(first)
    result: Json = {"type": "function_call_output", "call_id": first.output[-1].call_id, "output": "42"}  # type: ignore[union-attr]

    second = client.responses.create(model="thinktool", input=[result], tools=[TOOL], previous_response_id=first.id)  # type: ignore[list-item]

    messages = recalled.gateway.received[-1]["messages"]
    assert second.output_text == "It printed 42."
    assert [message["role"] for message in messages] == ["user", "assistant", "tool"]
    assert messages[1]["reasoning_content"] == "I need the shell."


def test_a_conversation_of_three_turns_goes_on(recalled: Recalled) -> None:
    client = recalled.client
    first = client.responses.create(model="hello", input="One")
    second = client.responses.create(model="hello", input="Two", previous_response_id=first.id)
    recalled.forget(first, second)

    client.responses.create(model="hello", input="Three", previous_response_id=second.id)

    said = [message["content"] for message in recalled.gateway.received[-1]["messages"]]
    assert said == ["One", "Hello there.", "Two", "Hello there.", "Three"]


def test_a_response_and_its_input_are_the_same_as_before(recalled: Recalled) -> None:
    client = recalled.client
    created = client.responses.create(model="thinktool", input="Run it.", tools=[TOOL], metadata={"a": "b"})  # type: ignore[list-item]
    before = client.responses.retrieve(created.id)
    items = client.responses.input_items.list(created.id).data
    recalled.forget(created)

    assert client.responses.retrieve(created.id) == before
    assert client.responses.input_items.list(created.id).data == items


def test_its_events_can_be_read_again(recalled: Recalled) -> None:
    client = recalled.client
    before = list(client.responses.create(model="hello", input="Hi", stream=True))
    response = before[-1].response  # type: ignore[union-attr]
    recalled.forget(response)

    again = list(client.responses.retrieve(response.id, stream=True, starting_after=1))

    assert again == before[2:]


def test_a_large_one_comes_by_the_object_store(recalled: Recalled) -> None:
    client = recalled.client
    first = client.responses.create(model="hello", input=LARGE)
    recalled.forget(first)

    second = client.responses.create(model="hello", input="And?", previous_response_id=first.id)

    (item,) = client.responses.input_items.list(first.id).data
    assert second.output_text == "Hello there."
    assert item.content[0].text == LARGE  # type: ignore[union-attr]


def test_a_deleted_one_is_gone_also_when_only_the_records_know(recalled: Recalled) -> None:
    client = recalled.client
    created = client.responses.create(model="hello", input="Hi")
    recalled.forget(created)

    client.responses.delete(created.id)

    with pytest.raises(openai.NotFoundError):
        client.responses.retrieve(created.id)
    recalled.until_marked(created)
    recalled.forget(created)
    with pytest.raises(openai.NotFoundError):
        client.responses.retrieve(created.id)


def test_what_was_not_to_be_stored_is_not_told(recalled: Recalled) -> None:
    created = recalled.client.responses.create(model="hello", input="Hi", store=False)
    recalled.forget(created)

    with pytest.raises(openai.NotFoundError, match="for as long as they are recorded"):
        recalled.client.responses.retrieve(created.id)


def test_what_is_no_response_is_not_told(recalled: Recalled) -> None:
    chat = recalled.client.chat.completions.with_raw_response.create(
        model="hello", messages=[{"role": "user", "content": "Hi"}]
    )
    id = f"resp_{chat.headers['X-Moontide-Request-Id']}"
    recalled.until(lambda row: row["state"] == "done", id)
    recalled.purge()

    with pytest.raises(openai.NotFoundError, match="for as long as they are recorded"):
        recalled.client.responses.retrieve(id)
