"""The simulator over real HTTP: what a client sees, and what the simulator saw."""

from __future__ import annotations

import asyncio
import hashlib
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import anyio
import pytest
from aiohttp import ClientResponse, ClientSession, web
from aiohttp.test_utils import make_mocked_request
from openai import AsyncOpenAI, RateLimitError
from yarl import URL

from services.provider_sim.app import build, journaled
from services.provider_sim.journal import fingerprint
from services.provider_sim.main import Served, serve

SOON_S = 5.0


@pytest.fixture
async def simulated() -> AsyncIterator[Served]:
    async with await serve() as served:
        yield served


@pytest.fixture
async def http(simulated: Served) -> AsyncIterator[ClientSession]:
    async with ClientSession(simulated.url) as session:
        yield session


def body(model: str, stream: bool = True, **fields: Any) -> dict[str, Any]:
    return {"model": model, "stream": stream, "messages": [{"role": "user", "content": "Hello"}], **fields}


@asynccontextmanager
async def asked(http: ClientSession, model: str, **fields: Any) -> AsyncIterator[ClientResponse]:
    async with http.post("/v1/chat/completions", json=body(model, **fields)) as response:
        yield response


async def collect(response: ClientResponse, received: bytearray) -> None:
    async for data in response.content.iter_any():
        received += data


async def journal(http: ClientSession, **wait: int) -> list[dict[str, Any]]:
    async with http.get("/_sim/requests", params=wait) as response:
        assert response.status == 200
        return list((await response.json())["requests"])


async def test_the_openai_sdk_reads_a_stream_and_a_plain_answer(simulated: Served) -> None:
    async with AsyncOpenAI(base_url=simulated.base_url, api_key="sk-any") as client:
        messages: Any = [{"role": "user", "content": "Hello"}]
        stream = await client.chat.completions.create(model="sim/text", messages=messages, stream=True)
        streamed = "".join([chunk.choices[0].delta.content or "" async for chunk in stream])
        plain = await client.chat.completions.create(model="sim/text", messages=messages)

    assert plain.choices[0].message.content == streamed
    assert plain.usage is not None


async def test_the_openai_sdk_raises_on_a_rate_limit(simulated: Served) -> None:
    async with AsyncOpenAI(base_url=simulated.base_url, api_key="sk-any", max_retries=0) as client:
        with pytest.raises(RateLimitError, match="currently overloaded"):
            await client.chat.completions.create(
                model="sim/overloaded", messages=[{"role": "user", "content": "Hello"}]
            )


async def test_the_same_request_gets_the_same_bytes_over_http(http: ClientSession) -> None:
    answers = []
    for _ in range(2):
        async with asked(http, "sim/k2-markers+torn?seed=7") as response:
            answers.append((await response.read(), response.headers["Msh-Request-Id"]))

    assert answers[0] == answers[1]


@pytest.mark.parametrize("how", ["reset", "close"])
async def test_a_cut_delivers_what_came_before_it(http: ClientSession, how: str) -> None:
    received = bytearray()
    async with asked(http, f"sim/cut?after=3&how={how}") as response:
        with pytest.raises(aiohttp.ClientPayloadError):
            await collect(response, received)

    assert received.count(b"data: ") == 3
    assert (await journal(http, ended=1))[0]["outcome"] == "cut"


async def test_no_answer_is_no_status_line(http: ClientSession) -> None:
    with pytest.raises((aiohttp.ServerDisconnectedError, aiohttp.ClientOSError)):
        async with asked(http, "sim/no-answer"):
            pass


async def test_a_truncated_stream_ends_in_good_order(http: ClientSession) -> None:
    async with asked(http, "sim/truncate?after=3") as response:
        received = await response.read()

    assert received.count(b"data: ") == 3


async def test_a_gate_holds_the_rest_until_it_is_opened(http: ClientSession) -> None:
    async with asked(http, "sim/text+hold?chunks=3&after=2&gate=here") as response:
        first = await response.content.readuntil(b"\n\n") + await response.content.readuntil(b"\n\n")
        held = await journal(http, held=1)
        async with http.post("/_sim/release", params={"gate": "here"}) as released:
            assert released.status == 200
        rest = await response.read()

    assert (held[0]["held_at"], held[0]["writes"], held[0]["outcome"]) == ("here", 2, "open")
    assert first.count(b"data: ") == 2
    assert rest.endswith(b"data: [DONE]\n\n")


@pytest.mark.parametrize(
    ("model", "stream"),
    [("sim/stall?after=2", True), ("sim/slow-first-byte", True), ("sim/slow-first-byte", False)],
)
async def test_a_client_that_leaves_is_seen_within_100_ms(simulated: Served, model: str, stream: bool) -> None:
    async with ClientSession(simulated.url) as leaving, anyio.create_task_group() as group:
        group.start_soon(read_all, leaving, body(model, stream))
        with anyio.fail_after(SOON_S):
            await simulated.simulator.journal.until(lambda: asking(simulated))
        group.cancel_scope.cancel()
    left_at = simulated.simulator.journal.clock()
    with anyio.fail_after(SOON_S):
        await simulated.simulator.journal.until(lambda: len(simulated.simulator.journal.ended()) == 1)
    entry = simulated.simulator.journal.entries[0]

    assert entry.outcome == "disconnected"
    assert entry.ended_at is not None
    assert entry.ended_at - left_at < 0.1


async def test_a_client_that_leaves_while_it_is_written_to_is_no_error(
    simulated: Served, caplog: pytest.LogCaptureFixture
) -> None:
    async with ClientSession(simulated.url) as leaving, asked(leaving, "sim/big-event?kib=8000") as response:
        await response.content.readuntil(b"\n\n")
        response.close()
    with anyio.fail_after(SOON_S):
        await simulated.simulator.journal.until(lambda: len(simulated.simulator.journal.ended()) == 1)

    assert simulated.simulator.journal.entries[0].outcome == "disconnected"
    assert [record for record in caplog.records if record.levelname == "ERROR"] == []


async def test_a_write_to_a_client_that_left_ends_the_request_and_nothing_else(simulated: Served) -> None:
    async def write(request: web.Request) -> web.StreamResponse:
        raise ConnectionResetError("Cannot write to closing transport")

    request = make_mocked_request("POST", "/v1/chat/completions", app=build(simulated.simulator))

    assert (await journaled(request, write)).status == 499
    assert simulated.simulator.journal.entries[0].outcome == "disconnected"


def asking(simulated: Served) -> bool:
    """Whether the simulator has a request's whole body."""
    return any(entry.body_bytes for entry in simulated.simulator.journal.entries)


async def read_all(http: ClientSession, asked_for: dict[str, Any]) -> None:
    async with http.post("/v1/chat/completions", json=asked_for) as response:
        await response.read()


async def test_the_journal_shows_what_was_received_and_no_secret(http: ClientSession) -> None:
    headers = {"Authorization": "Bearer sk-very-secret", "X-Mine": "1"}
    sent = json.dumps(body("sim/text", False, temperature=1)).encode()
    async with http.post("/v1/chat/completions", data=sent, params={"a": "b c"}, headers=headers):
        pass
    (entry,) = await journal(http, ended=1)

    assert (entry["method"], entry["path"], entry["query"]) == ("POST", "/v1/chat/completions", "a=b+c")
    assert (entry["model"], entry["status"], entry["outcome"]) == ("sim/text", 200, "complete")
    assert entry["json"]["temperature"] == 1
    assert entry["body_sha256"] == hashlib.sha256(sent).hexdigest()
    assert entry["headers"]["x-mine"] == "1"
    assert entry["headers"]["authorization"] == fingerprint("Bearer sk-very-secret")


async def test_waiting_in_vain_says_so(http: ClientSession) -> None:
    async with http.get("/_sim/requests", params={"ended": "1", "timeout_s": "0.01"}) as response:
        assert response.status == 408


async def test_what_to_wait_for_must_be_a_count(http: ClientSession) -> None:
    async with http.get("/_sim/requests", params={"ended": "all"}) as response:
        assert response.status == 400


async def test_the_journal_keeps_a_body_that_is_no_json_as_its_digest(http: ClientSession) -> None:
    async with http.post("/v1/chat/completions", data=b"{"):
        pass
    (entry,) = await journal(http, ended=1)

    assert (entry["json"], entry["body_sha256"]) == (None, hashlib.sha256(b"{").hexdigest())


async def test_a_reset_forgets_requests_sequences_and_gates(http: ClientSession) -> None:
    statuses = []
    for _ in range(2):
        async with asked(http, "sim/overloaded,text") as response:
            statuses.append(response.status)
        await http.post("/_sim/reset")

    assert statuses == [429, 429]
    assert await journal(http) == []


async def test_scenarios_can_be_added_while_it_runs(http: ClientSession) -> None:
    text = "scenarios: {kimi-k2.6: [sim/server-error, sim/text]}"
    statuses = []
    async with http.post("/_sim/scenarios", data=text) as added:
        assert await added.json() == {"added": ["kimi-k2.6"]}
    for _ in range(2):
        async with asked(http, "kimi-k2.6") as response:
            statuses.append(response.status)

    async with http.get("/_sim/scenarios") as known:
        assert await known.json() == {"kimi-k2.6": 2}
    assert statuses == [500, 200]


async def test_a_bad_scenario_is_refused_with_the_reason(http: ClientSession) -> None:
    async with http.post("/_sim/scenarios", data="scenarios: {a: sim/txt}") as response:
        assert response.status == 400
        assert "no behaviour 'txt'" in (await response.json())["error"]["message"]


@pytest.mark.parametrize(
    ("data", "status", "message"),
    [
        (b"{", 400, "the body is not JSON"),
        (b"[]", 400, "must be a JSON object"),
        (b'{"model": 3, "messages": [{}]}', 400, "model must be a string"),
        (b'{"model": "sim/text", "messages": []}', 400, "messages must not be empty"),
        (b'{"model": "sim/text", "messages": [3]}', 400, "every message must be an object"),
        (b'{"model": "sim/txt", "messages": [{}]}', 400, "no behaviour 'txt'; there is text"),
        (b'{"model": "sim/replay", "messages": [{}]}', 400, "the body is not JSON"),
        (b'{"model": "sim/replay", "messages": [{"role": "user", "content": "{}"}]}', 400, 'JSON with "deltas"'),
        (b'{"model": "kimi-k2.5", "messages": [{}]}', 404, "Not found the model kimi-k2.5"),
    ],
)
async def test_bad_requests_get_the_providers_kind_of_error(
    http: ClientSession, data: bytes, status: int, message: str
) -> None:
    async with http.post("/v1/chat/completions", data=data) as response:
        assert response.status == status
        assert message in (await response.json())["error"]["message"]


async def test_a_lone_surrogate_in_a_request_is_accepted(http: ClientSession) -> None:
    data = rb'{"model": "sim/parrot", "messages": [{"role": "user", "content": "a\ud83d"}]}'
    async with http.post("/v1/chat/completions", data=data) as response:
        assert b'"content":"a\\ud83d"' in await response.read()


async def test_a_needed_key_is_checked(http: ClientSession) -> None:
    statuses = []
    for key in ("sk-right", "sk-wrong"):
        http.headers["Authorization"] = f"Bearer {key}"
        async with asked(http, "sim/text+needs-key?key=sk-right") as response:
            statuses.append(response.status)

    assert statuses == [200, 401]


async def test_models_are_listed_and_found(http: ClientSession) -> None:
    async with http.get("/v1/models") as response:
        models = {model["id"]: model for model in (await response.json())["data"]}
    async with http.get("/v1/models/sim%2Ftext") as response:
        assert await response.json() == models["sim/text"]
    async with http.get("/v1/models/kimi-latest") as response:
        assert response.status == 404

    assert models["sim/text"]["owned_by"] == "moonshot"


async def test_behaviours_describe_themselves(http: ClientSession) -> None:
    async with http.get("/_sim/behaviours") as response:
        described = {item["name"]: item for item in await response.json()}

    assert described["cut"]["parameters"] == {"after": 10, "how": "reset", "again": False}


async def test_an_uploaded_file_is_measured(http: ClientSession) -> None:
    content = b"\x00\xff" * 300_000
    form = aiohttp.FormData({"purpose": "file-extract"})
    form.add_field("file", content, filename="a.bin")
    async with http.post("/v1/files", data=form) as response:
        answer = await response.json()

    assert (answer["bytes"], answer["filename"], answer["purpose"]) == (600_000, "a.bin", "file-extract")
    assert answer["sha256"] == hashlib.sha256(content).hexdigest()


async def test_a_form_without_a_file_is_refused(http: ClientSession) -> None:
    form = aiohttp.FormData({"purpose": "file-extract"}, default_to_multipart=True)
    async with http.post("/v1/files", data=form) as without, http.post("/v1/files", data=b"x") as no_form:
        assert (without.status, no_form.status) == (400, 400)


async def test_echo_tells_what_arrived(simulated: Served, http: ClientSession) -> None:
    sent = b"\x00\x01" * 10
    url = URL(f"{simulated.base_url}/echo/a%20b/c?x=1&y=%2F", encoded=True)
    async with http.put(url, data=sent, headers={"X-One": "1"}) as response:
        seen = await response.json()

    assert (seen["method"], seen["path"], seen["query"]) == ("PUT", "/v1/echo/a%20b/c", "x=1&y=%2F")
    assert "x-one" in seen["headers"]
    assert (seen["body_bytes"], seen["body_sha256"]) == (20, hashlib.sha256(sent).hexdigest())


async def test_the_small_endpoints_answer_as_moonshots_do(http: ClientSession) -> None:
    asked_for = body("sim/text")
    async with http.post("/v1/tokenizers/estimate-token-count", json=asked_for) as response:
        assert (await response.json())["data"]["total_tokens"] > 0
    async with http.get("/v1/users/me/balance") as response:
        assert (await response.json())["data"]["available_balance"] == 49.58
    async with http.post("/v1/completions", json={"model": "e", "prompt": "Once"}) as response:
        assert (await response.json())["choices"][0]["finish_reason"] == "stop"
    async with http.post("/v1/embeddings", json={"model": "e", "input": ["a", "b"]}) as response:
        vectors = [item["embedding"] for item in (await response.json())["data"]]
    async with http.post("/v1/embeddings", json=[]) as wrong, http.get("/v1/nothing") as unknown:
        assert (wrong.status, unknown.status) == (400, 404)

    assert [len(vector) for vector in vectors] == [16, 16]
    assert vectors[0] != vectors[1]


async def test_a_port_in_use_is_an_os_error(simulated: Served) -> None:
    with pytest.raises(OSError, match="address already in use"):
        await serve(port=simulated.port)


async def test_stopping_cuts_what_stalls(simulated: Served) -> None:
    async with ClientSession(simulated.url) as http, asked(http, "sim/stall?after=1") as response:
        await response.content.readuntil(b"\n\n")
        with anyio.fail_after(SOON_S):
            await simulated.close()
        with pytest.raises(aiohttp.ClientPayloadError):
            await response.read()

    assert simulated.simulator.journal.entries[0].outcome == "stopped"


async def command(*arguments: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "services.provider_sim.main", *arguments,
        stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip


@asynccontextmanager
async def running(*arguments: str) -> AsyncIterator[ClientSession]:
    """A client of the command, which runs on uvloop where there is one."""
    process = await command("--port", "0", *arguments)
    assert process.stderr is not None
    try:
        line = (await asyncio.wait_for(process.stderr.readline(), SOON_S)).decode()
        async with ClientSession(line.split()[3].removesuffix("/v1,")) as http:
            yield http
    finally:
        process.terminate()
        await process.communicate()


async def test_the_command_serves_the_scenarios_of_a_file(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("scenarios: {mine: sim/text}")
    async with running("--scenario", str(file)) as http, asked(http, "mine") as response:
        received = await response.read()

    assert received.endswith(b"data: [DONE]\n\n")


async def test_the_command_says_in_one_line_what_is_wrong(tmp_path: Path, simulated: Served) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("scenarios: {mine: sim/txt}")
    wrong = await command("--scenario", str(file))
    taken = await command("--port", str(simulated.port))
    (_, about_file), (_, about_port) = await wrong.communicate(), await taken.communicate()

    assert wrong.returncode == 2
    assert b"mine, answer 1: no behaviour 'txt'" in about_file
    assert taken.returncode == 1
    assert f"can't listen on 127.0.0.1:{simulated.port}: ".encode() in about_port


@pytest.mark.parametrize("how", ["reset", "close"])
async def test_the_command_cuts_on_uvloop_too(how: str) -> None:
    """A cut reaches into the transport, which is uvloop's own there."""
    async with running() as http:
        await test_a_cut_delivers_what_came_before_it(http, how)
