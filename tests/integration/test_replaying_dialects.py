"""Exchanges of every dialect as a whole gateway recorded them, played again: the client is told the same."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp
import anyio
import msgspec
import pytest
from click.testing import CliRunner

from services.cli.main import main
from services.cli.replaying.written import expected, play, read_recording
from shared.records.database import NoRecords
from shared.records.queries import NotFound, reading
from tests.fixtures.gateway import SCENARIOS, Gateway, Setting, gateway
from tests.fixtures.recording import url_in

QUESTION = "What is the answer?"
PARAMETERS = {"type": "object", "properties": {"command": {"type": "string"}}, "required": ["command"]}
PATIENCE_S = 20.0
KEY = "sk-abcdefghijklmnop"
BREAKS = """
  breaks:
    cycle: true
    answers:
      - deltas: [{content: "Once "}, {content: "upon "}, {content: "a time"}]
        finish_reason: stop
        with: cut?after=2
"""

Json = dict[str, Any]


def messages(model: str) -> tuple[str, Json]:
    tools = [{"name": "run_shell", "input_schema": PARAMETERS}]
    asked = {"model": model, "max_tokens": 99, "messages": [{"role": "user", "content": QUESTION}], "tools": tools}
    return "/v1/messages", asked


def responses(model: str) -> tuple[str, Json]:
    tools = [{"type": "function", "name": "run_shell", "parameters": PARAMETERS}]
    return "/v1/responses", {"model": model, "input": QUESTION, "tools": tools}


def chat(model: str) -> tuple[str, Json]:
    function = {"name": "run_shell", "parameters": PARAMETERS}
    tools = [{"type": "function", "function": function}]
    asked = {"model": model, "messages": [{"role": "user", "content": QUESTION}], "tools": tools}
    return "/v1/chat/completions", asked


DIALECTS = {"messages": messages, "responses": responses, "chat": chat}


class Recorded:
    """A gateway whose exchanges are recorded, and its database."""

    def __init__(self, gateway: Gateway, url: str) -> None:
        self.url = url
        self._gateway = gateway

    def ask(self, path: str, body: Json) -> tuple[str, bytes]:
        """The exchange's id once it is recorded, and what the client got."""
        self._gateway.reset()
        id, data = self._gateway.portal.call(_ask, self._gateway.url + path, body)
        until = time.monotonic() + PATIENCE_S
        while not self._is_recorded(id):
            assert time.monotonic() < until
            time.sleep(0.02)
        return id, data

    def _is_recorded(self, id: str) -> bool:
        try:
            with reading(self.url) as records:
                return bool(records.get(id)["state"] == "done")
        except (NotFound, NoRecords):
            return False


async def _ask(url: str, body: Json) -> tuple[str, bytes]:
    async with aiohttp.ClientSession() as http, http.post(url, json=body) as response:
        return response.headers["X-Moontide-Request-Id"], await response.read()


@pytest.fixture(scope="module", params=["openai", "anthropic"])
def recorded(
    request: pytest.FixtureRequest, nats_url: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Recorded]:
    home = tmp_path_factory.mktemp(f"played-{request.param}")
    setting = Setting(kind=request.param, scenarios=SCENARIOS + BREAKS, records=url_in(home))
    with gateway(nats_url, str(home), setting) as found:
        yield Recorded(found, url_in(home))


@pytest.fixture(autouse=True)
def _records(recorded: Recorded, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MOONTIDE_RECORDS_URL", recorded.url)
    monkeypatch.setenv("MOONTIDE_HOME", str(tmp_path))


def replay(id: str, *flags: str) -> Json:
    done = CliRunner().invoke(
        main, ["replay", id, "--recorded", "--json", *(flags or ["--fast"])], catch_exceptions=False
    )
    lines = [line for line in done.stdout.splitlines() if line.startswith('{"same"')]
    shown: Json = json.loads(lines[0])
    assert (done.exit_code == 0) == shown["same"]
    return shown


@pytest.mark.parametrize("stream", [True, False], ids=["streamed", "whole"])
@pytest.mark.parametrize("dialect", DIALECTS)
def test_the_client_is_told_the_same(recorded: Recorded, dialect: str, stream: bool) -> None:
    path, body = DIALECTS[dialect]("thinktool")
    id, _ = recorded.ask(path, {**body, "stream": stream})

    shown = replay(id)

    assert shown["same"], shown
    (choice,) = shown["now"]["told"]["choices"]
    assert (choice["content"], choice["reasoning"]) == ("Let me look.", "I need the shell.")
    assert json.loads(choice["tool_calls"][0]["arguments"]) == {"command": "echo 42"}
    assert (shown["now"]["calls"], shown["now"]["status"]) == (1, 200)


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_stream_that_broke_breaks_again_with_the_same_error(recorded: Recorded, dialect: str) -> None:
    path, body = DIALECTS[dialect]("breaks")
    id, _ = recorded.ask(path, {**body, "stream": True})

    shown = replay(id)

    assert shown["now"]["outcome"] == shown["then"]["outcome"] == "broken"
    assert "broke off" in shown["now"]["told"]["error"]["message"]
    assert shown["same"], shown


def test_a_response_that_goes_on_from_an_earlier_one_is_played_with_what_was_said_before(recorded: Recorded) -> None:
    path, body = responses("hello")
    _, first = recorded.ask(path, body)
    id, _ = recorded.ask(path, {**body, "previous_response_id": json.loads(first)["id"]})

    shown = replay(id)

    assert shown["same"], shown


def test_it_becomes_a_test_that_is_green_as_written_and_names_nobody(recorded: Recorded, tmp_path: Path) -> None:
    path, body = responses("hello")
    _, first = recorded.ask(path, {**body, "input": f"my key is {KEY}"})
    id, _ = recorded.ask(path, {**body, "previous_response_id": json.loads(first)["id"]})
    test = tmp_path / "test_goes_on.py"

    written = CliRunner().invoke(main, ["record-to-test", id, "-o", str(test)], catch_exceptions=False)

    data = tmp_path / "goes_on.recording.json"
    (earlier,) = read_recording(data).earlier
    assert "in an earlier response that looked like a key" in written.stderr
    assert KEY.encode() not in msgspec.msgpack.encode(earlier)
    assert anyio.run(play, read_recording(data)).told == expected(data)


def test_what_is_passed_through_is_played_as_well(recorded: Recorded) -> None:
    id, _ = recorded.ask("/v1/embeddings", {"model": "hello", "input": "x"})

    shown = replay(id)

    assert shown["same"], shown
