"""Requests that are refused before their exchange begins: answered with an id, and recorded under it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import anyio
import pytest

from shared.contracts import HttpRequest
from tests.fixtures.embedded import NatsServer
from tests.fixtures.pipeline import Answer, Exchange, Pipeline, pipeline

KEY, WRONG = "ck-of-max-0123456789", "sk-wrong-0123456789abcdef"
NEVER = "http://127.0.0.1:1/v1"  # no request here gets as far as a provider
MODELS = {"known": {"targets": [{"provider": "sim"}]}}
LIMIT_BYTES = 4096


def config(home: Path, **ingress: Any) -> dict[str, Any]:
    keys = home / "keys.yaml"
    keys.write_text(f"max: {KEY}\n")
    keys.chmod(0o600)
    door = {"port": 0, "keys": f"file:{keys}", "max_body_bytes": LIMIT_BYTES, **ingress}
    return {"ingress": door, "providers": {"sim": {"kind": "openai", "base_url": NEVER}}, "models": MODELS}


Opened = Callable[..., AbstractAsyncContextManager[Pipeline]]


@pytest.fixture
def opened(nats_url: str, bus_root: str, tmp_path: Path) -> Opened:
    """Makes a pipeline whose ingress asks for a key."""
    return lambda **ingress: pipeline(nats_url, bus_root, config(tmp_path, **ingress))


async def ask(door: Pipeline, path: str, body: Any = b"", key: str | None = KEY, method: str = "POST") -> Answer:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {key}"} if key else {})
    async with door.http.request(method, f"{door.url}{path}", data=data, headers=headers) as response:
        return Answer(response.status, response.headers, await response.read())


async def recorded(door: Pipeline, answer: Answer) -> tuple[HttpRequest, Exchange]:
    found = await door.exchange(answer.id)
    [captured] = await door.bus.history(door.subjects.request(answer.id))
    return HttpRequest(**json_of(captured.data)), found


def json_of(data: bytes) -> dict[str, Any]:
    fields: dict[str, Any] = json.loads(data)
    del fields["type"]
    return fields


async def everything(door: Pipeline) -> bytes:
    """All that was captured."""
    return b"\n".join(captured.data for captured in await door.bus.history(door.subjects.captured))


HELLO = [{"role": "user", "content": "Hi"}]
CASES = [
    ("/v1/chat/completions", b"{bad", 400, "invalid_json", None, "openai_chat"),
    ("/v1/chat/completions", {"model": "known", "messages": "Hi"}, 400, "invalid_request", "messages", "openai_chat"),
    ("/v1/chat/completions", {"model": "nope", "messages": HELLO}, 404, "model_not_found", "model", "openai_chat"),
    ("/v1/chat/completions", b"x" * (LIMIT_BYTES + 1), 413, "request_too_large", None, "openai_chat"),
    ("/v1/messages", {"model": "nope", "max_tokens": 9, "messages": HELLO}, 404, "model_not_found", "model", None),
    ("/v1/messages", {"model": 7}, 400, "invalid_request", "model", "anthropic_messages"),
    ("/v1/messages/count_tokens", b"[]", 400, "invalid_request", None, "anthropic_messages"),
    ("/v1/responses", {"model": "known", "input": 7}, 400, "invalid_request", "input", "openai_responses"),
    (
        "/v1/responses",
        {"model": "known", "input": "Hi", "previous_response_id": "resp_x"},
        400,
        "previous_response_not_found",
        "previous_response_id",
        "openai_responses",
    ),
    ("/v1/files?api_key=abc", b"", 400, "secret_in_query", "api_key", "passthrough"),
]


@pytest.mark.parametrize(("path", "body", "status", "code", "param", "dialect"), CASES)
async def test_a_refused_request_is_recorded_with_its_fault_under_the_id_that_its_answer_has(
    opened: Opened, path: str, body: Any, status: int, code: str, param: str | None, dialect: str | None
) -> None:
    async with opened() as door:
        answer = await ask(door, path, body)
        request, exchange = await recorded(door, answer)

        fault = exchange.done.fault
        assert answer.status == exchange.done.status == status
        assert fault is not None
        assert (fault.code, fault.param, exchange.done.outcome) == (code, param, "refused")
        assert fault.message[:20] in answer.body.decode().replace('\\"', '"')
        assert (request.method, request.path, request.client) == ("POST", path.partition("?")[0], "max")
        assert dialect in (None, request.dialect)
        assert KEY.encode() not in await everything(door)


async def test_the_body_that_could_not_be_understood_is_recorded(opened: Opened) -> None:
    async with opened() as door:
        request, _ = await recorded(door, await ask(door, "/v1/chat/completions", b"{bad"))

        assert request.body == {"data": "e2JhZA==", "size": 4}


async def test_of_a_body_that_is_too_large_the_size_is_recorded(opened: Opened) -> None:
    async with opened() as door:
        request, _ = await recorded(door, await ask(door, "/v1/chat/completions", b"x" * (LIMIT_BYTES + 1)))

        assert request.body == {"size": LIMIT_BYTES + 1}


async def test_the_model_that_is_not_served_is_recorded(opened: Opened) -> None:
    async with opened() as door:
        body = {"model": "nope", "messages": HELLO}
        request, _ = await recorded(door, await ask(door, "/v1/chat/completions", body))

        assert request.model == "nope"


async def test_a_wrong_key_is_recorded_without_the_key_and_the_body(opened: Opened) -> None:
    async with opened() as door:
        answer = await ask(door, "/v1/chat/completions", b'{"private": "words"}', key=WRONG)
        request, exchange = await recorded(door, answer)

        assert (answer.status, exchange.done.fault and exchange.done.fault.code) == (401, "invalid_client_key")
        assert (request.client, request.body) == (None, {"size": 20})
        captured = await everything(door)
        assert WRONG.encode() not in captured
        assert b"private" not in captured


async def test_a_flood_of_wrong_keys_is_answered_and_recorded_in_part(opened: Opened) -> None:
    async with opened(refused_per_s=0.5) as door:
        answers = [await ask(door, "/v1/models", key=WRONG, method="GET") for _ in range(20)]
        known = await ask(door, "/v1/chat/completions", b"{bad")
        await recorded(door, known)
        accounts = await door.bus.history(door.subjects.done("*"))

    assert {answer.status for answer in answers} == {401}
    assert len({answer.id for answer in answers}) == 20
    assert 2 <= len(accounts) - 1 < 10


async def test_after_a_flood_the_next_record_says_how_many_are_missing(opened: Opened) -> None:
    async with opened(refused_per_s=2.0) as door:
        for _ in range(30):
            await ask(door, "/v1/models", key=WRONG, method="GET")
        told: list[dict[str, Any]] = []
        with anyio.fail_after(10):
            while not told:
                await ask(door, "/v1/models", key=WRONG, method="GET")
                found = await door.bus.history(door.subjects.event("*", "unrecorded"))
                told = [json.loads(captured.data)["facts"] for captured in found]

    assert told[0]["refused_before_this"] > 0


@pytest.mark.parametrize("path", ["/v1/messages", "/v1/chat/completions", "/v1/responses"])
async def test_every_dialect_is_told_its_request_id(opened: Opened, path: str) -> None:
    async with opened() as door:
        answer = await ask(door, path, b"{bad", key=None)

        assert len(answer.id) == 26
        assert answer.status == 401


@pytest.mark.parametrize(("path", "is_anthropic"), [("/v1/messages/batches", True), ("/v1/files", False)])
async def test_a_fault_of_ours_on_a_path_that_is_handed_through_is_told_in_its_callers_dialect(
    opened: Opened, path: str, is_anthropic: bool
) -> None:
    async with opened() as door:
        answer = await ask(door, path, {})

    body = json.loads(answer.body)
    assert answer.status == 401  # no key: neither here nor with the client
    assert body.get("type") == ("error" if is_anthropic else None)
    assert "send your own" in body["error"]["message"]


async def test_a_method_that_a_path_does_not_take_is_405_with_those_that_it_takes(opened: Opened) -> None:
    async with opened() as door:
        answer = await ask(door, "/healthz")

        assert answer.status == 405
        assert answer.error is not None
        assert answer.error["message"] == "/healthz takes GET, HEAD, not POST."


async def test_a_look_at_another_address_is_answered_and_not_recorded(opened: Opened) -> None:
    async with opened() as door:
        looked = await ask(door, "/favicon.ico", key=None, method="GET")
        posted = await ask(door, "/chat/completions", {"model": "known"}, key=None)
        await recorded(door, posted)

        assert (looked.status, posted.status) == (404, 404)
        assert await door.bus.history(door.subjects.of_request(looked.id)) == []


async def test_a_response_that_was_refused_is_not_found_later(opened: Opened) -> None:
    async with opened() as door:
        refused = await ask(door, "/v1/responses", b"{bad")
        await recorded(door, refused)

        answer = await ask(door, f"/v1/responses/resp_{refused.id}", method="GET")

        assert answer.status == 404


async def test_a_request_is_refused_in_time_while_nats_is_away(own_nats: NatsServer, tmp_path: Path) -> None:
    async with pipeline(own_nats.url, "away", config(tmp_path)) as door:
        own_nats.stop()
        with anyio.fail_after(5):
            answer = await ask(door, "/v1/chat/completions", b"{bad")
        own_nats.start()

    assert answer.status == 400
    assert answer.error is not None
    assert answer.error["code"] == "invalid_json"


async def said_raw(door: Pipeline, data: bytes) -> bytes:
    host, _, port = door.url.removeprefix("http://").partition(":")
    async with await anyio.connect_tcp(host, int(port)) as stream:
        await stream.send(data)
        with anyio.fail_after(5):
            return await stream.receive()


async def test_a_body_that_is_not_as_its_encoding_says_is_a_400_and_recorded(opened: Opened) -> None:
    lines = [
        "POST /v1/messages HTTP/1.1",
        "Host: x",
        f"X-Api-Key: {KEY}",
        "Content-Encoding: gzip",
        "Content-Length: 4",
    ]
    async with opened() as door:
        answer = await said_raw(door, "\r\n".join([*lines, "", "none"]).encode())
        id = re.findall(rb"X-Moontide-Request-Id: (\w+)", answer)[0].decode()
        done = (await door.exchange(id)).done

    assert answer.startswith(b"HTTP/1.1 400 ")
    assert (done.status, done.fault and done.fault.code) == (400, "unreadable_body")


async def test_a_key_in_a_line_that_is_no_http_is_not_logged(opened: Opened, caplog: pytest.LogCaptureFixture) -> None:
    async with opened() as door:
        answer = await said_raw(door, f"GET /v1/models HTTP/1.1\r\nX-Api-Key: {KEY}\x01\r\n\r\n".encode())

    assert answer.startswith(b"HTTP/1.0 400 ")
    assert "A request that is no HTTP (BadHttpMessage): answered with 400" in caplog.text
    assert KEY not in caplog.text
