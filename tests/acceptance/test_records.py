"""Every exchange is on record, byte for byte on both sides, and can be watched while it runs."""

from __future__ import annotations

import json
import select
import sqlite3
from collections.abc import Callable
from typing import Any

import anthropic
import openai
import pytest

from services.provider_sim.journal import fingerprint
from tests.fixtures.installation import CLIENT_KEY, MESSAGES, WEATHER, Installation, Simulator, ask, until

COMPLETION = (
    b'{ "id":"chatcmpl-odd",\n  "object": "chat.completion", "created": 1, "model": "m",\t"unknown": [1.50, 1e3],'
    b' "choices": [ {"index": 0, "message": {"role": "assistant", "content": "\\u00e9 \\ud83c\\udf19 h\xc3\xa9"},'
    b' "finish_reason": "stop"} ], "usage": {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3} }\n'
)
EVENTS = (
    ': a comment\n\ndata: {"id":"chatcmpl-odd","choices":[{"index":0,"delta":{"role":"assistant","content":""}}]}\n\n'
    'data:{"id":"chatcmpl-odd", "choices":[{"index":0,"delta":{"content":"h\u00e9 \U0001f319"}}]}\r\n\r\n'
    'data: {"id":"chatcmpl-odd","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n'
)
REQUEST_ID = "x-moontide-request-id"
REQUEST = b'{"messages" : [{"role":"user","content":"h\xc3\xa9 \\u00e9"}],\n "model":"%s", "x": 1.0, "stream":%s}'


def stdout(moontide: Installation, *arguments: str) -> bytes:
    done = moontide.command(*arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("stream", [False, True], ids=["plain", "streamed"])
def test_the_bytes_of_both_sides_are_on_record(moontide: Installation, simulator: Simulator, stream: bool) -> None:
    model = f"exact-{stream}"
    plain = {"status": 200, "body": COMPLETION.decode(), "content_type": "application/json"}
    simulator.play(model, {"steps": [{"send": EVENTS}]} if stream else plain)
    request = REQUEST % (model.encode(), b"true" if stream else b"false")

    got = ask(f"{moontide.url}/v1/chat/completions", request)
    moontide.recorded(got.id)

    sent = EVENTS.encode() if stream else COMPLETION
    shown = stdout(moontide, "inspect", got.id, "--print", "request_body,response_body")
    assert shown == request + b"\n" + got.body + b"\n"
    assert stdout(moontide, "inspect", got.id, "--call", "c1", "--print", "response_body") == sent + b"\n"


def streamed_by_openai(url: str) -> str:
    with openai.OpenAI(base_url=f"{url}/v1", api_key=CLIENT_KEY) as client:
        asked = client.chat.completions.with_raw_response.create(model="sim/text", messages=MESSAGES, stream=True)
        assert [*asked.parse()]
        return asked.headers[REQUEST_ID]


def streamed_by_openai_responses(url: str) -> str:
    with openai.OpenAI(base_url=f"{url}/v1", api_key=CLIENT_KEY) as client:
        asked = client.responses.with_raw_response.create(model="sim/text", input="Hi", stream=True)
        assert [*asked.parse()]
        return asked.headers[REQUEST_ID]


def streamed_by_anthropic(url: str) -> str:
    hi: Any = [{"role": "user", "content": "Hi"}]
    with anthropic.Anthropic(base_url=url, api_key=CLIENT_KEY) as client:
        asked = client.messages.with_raw_response.create(model="sim/text", max_tokens=99, messages=hi, stream=True)
        assert [*asked.parse()]
        return asked.headers[REQUEST_ID]


@pytest.mark.parametrize("sdk", [streamed_by_openai, streamed_by_openai_responses, streamed_by_anthropic])
def test_a_client_that_leaves_when_it_has_everything_has_cancelled_nothing(
    moontide: Installation, sdk: Callable[[str], str]
) -> None:
    id = sdk(moontide.url)

    moontide.recorded(id)

    assert json.loads(stdout(moontide, "list", "--json", "-n", "1"))["outcome"] == "complete"
    assert b"cancel" not in stdout(moontide, "inspect", id)


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/messages", "/v1/responses"])
def test_what_is_refused_at_the_door_is_on_record(moontide: Installation, path: str) -> None:
    got = ask(f"{moontide.url}{path}", b"{bad")
    moontide.recorded(got.id)

    assert got.status == 400
    shown = stdout(moontide, "inspect", got.id, "--print", "request_body,response_body")
    assert shown == b"{bad\n" + got.body + b"\n"
    assert b"invalid_json" in stdout(moontide, "inspect", got.id)
    assert got.id.encode() in stdout(moontide, "list", "--json")


def test_an_answer_that_needs_no_repair_is_handed_on_byte_for_byte(
    moontide: Installation, simulator: Simulator
) -> None:
    simulator.play("untouched", {"status": 200, "body": COMPLETION.decode(), "content_type": "application/json"})

    assert moontide.chat("untouched").body == COMPLETION


def test_inspect_tells_what_the_provider_sent_and_what_the_client_got(moontide: Installation) -> None:
    got = moontide.chat("sim/k2-markers", tools=[WEATHER])

    record = moontide.record(got.id)

    assert record["request_body"]["messages"] == MESSAGES
    assert record["response_body"] == got.json
    assert "<|tool_call" in record["parts"]["c1.raw"]["choices"][0]["message"]["content"]
    assert record["metadata"]["repairs"]["tool_call_from_content"] == 1
    assert [event["name"] for event in record["events"]] == ["repaired"]
    assert [(call["call"], call["status"], call["outcome"]) for call in record["calls"]] == [("c1", 200, "complete")]


@pytest.mark.parametrize(
    ("model", "status", "outcome"),
    [("sim/overloaded", 429, "refused"), ("sim/text+cut", 200, "broken"), ("sim/html-error", 504, "refused")],
)
def test_what_went_wrong_is_on_record_as_well(moontide: Installation, model: str, status: int, outcome: str) -> None:
    got = moontide.chat(model, stream=True)

    record = moontide.record(got.id)

    assert (record["metadata"]["status"], record["metadata"]["outcome"]) == (status, outcome)
    assert record["error"]


def test_list_prints_each_exchange_once_newest_first(moontide: Installation) -> None:
    ids = [moontide.chat(f"sim/text?chunks={number}").id for number in (11, 12, 13)]
    moontide.recorded(ids[-1])

    lines = [json.loads(line) for line in moontide.moontide("list", "-n", "0", "--json").splitlines()]

    assert [line["id"] for line in lines if line["id"] in ids] == ids[::-1]
    assert len({line["id"] for line in lines}) == len(lines)


def test_an_exchange_is_found_by_each_of_its_names(moontide: Installation) -> None:
    got = moontide.chat("sim/text?chunks=9")
    moontide.recorded(got.id)

    for way in (["last"], ["--id", got.id], ["--chatcmpl", got.json["id"]]):
        assert got.id in moontide.moontide("inspect", *way)


def test_tap_from_the_start_shows_a_running_request_from_its_first_message(
    moontide: Installation, simulator: Simulator
) -> None:
    model = "sim/text+hold?after=4&gate=tapped"
    with moontide.client() as client:
        raw = client.chat.completions.with_raw_response.create(model=model, messages=MESSAGES, stream=True)
        stream = raw.parse()
        simulator.until_held(model)
        with moontide.background("tap", raw.headers["X-Moontide-Request-Id"], "--from-start") as tap:
            assert tap.stdout is not None
            shown = [tap.stdout.readline().decode()]
            while "c1.normal.data" not in shown[-1]:
                shown.append(tap.stdout.readline().decode())
            assert simulator.entries(model)[-1]["held_at"] == "tapped"  # all of that before the answer goes on
            simulator.release("tapped")
            list(stream)
            shown += [line.decode() for line in tap.stdout]

    assert tap.returncode == 0
    kinds = [line.split()[2] for line in shown]
    assert kinds[0] == "request"
    assert kinds.index("c1.request") < kinds.index("c1.raw.head") < kinds.index("c1.raw.data")
    assert kinds[-1] == "done"


def test_tap_shows_a_live_repair(moontide: Installation) -> None:
    with moontide.background("tap") as tap:
        assert tap.stderr is not None
        assert tap.stdout is not None
        assert b"nats sub" in tap.stderr.readline()
        got = until(lambda: _tapped(moontide, tap), "a tapped request")
        tap.terminate()

    assert "event.repaired" in got


def _tapped(moontide: Installation, tap: Any) -> str:
    """One request with a repair, as the tap shows it. It may begin to listen a moment after it says so."""
    id = moontide.chat("sim/k2-markers", tools=[WEATHER]).id
    lines = ""
    while select.select([tap.stdout], [], [], 0.5)[0]:
        lines += tap.stdout.readline().decode()
        if id in lines and " done " in lines:
            return lines
    return ""


def test_cancel_stops_a_running_request_and_tells_its_client(moontide: Installation, simulator: Simulator) -> None:
    model = "sim/text+hold?after=4&gate=never"
    with moontide.client() as client:
        raw = client.chat.completions.with_raw_response.create(model=model, messages=MESSAGES, stream=True)
        simulator.until_held(model)
        moontide.moontide("cancel", raw.headers["X-Moontide-Request-Id"], "--why", "enough")
        with pytest.raises(openai.APIError, match="enough"):
            list(raw.parse())

    assert simulator.until_ended(model)["outcome"] == "disconnected"


def test_cancelling_what_is_over_fails(moontide: Installation) -> None:
    done = moontide.command("cancel", moontide.chat("sim/text").id)

    assert done.returncode == 1
    assert b"is over" in done.stderr


def test_a_locked_database_holds_nobody_up_and_loses_nothing(moontide: Installation) -> None:
    lock = sqlite3.connect(moontide.home / "records.db", isolation_level=None)
    try:
        lock.execute("BEGIN EXCLUSIVE")
        got = moontide.chat("sim/text")
        assert got.status == 200
    finally:
        lock.close()

    assert moontide.record(got.id)["metadata"]["outcome"] == "complete"


def test_every_worker_is_listed(moontide: Installation) -> None:
    found = [json.loads(line) for line in moontide.moontide("workers", "--json").splitlines()]

    assert {worker["service"] for worker in found} >= {"ingress", "normalizer", "recorder", "upstream"}
    assert {worker["pid"] for worker in found} == {moontide.up.process.pid}


def test_a_client_s_key_reaches_the_provider_where_moontide_has_none(
    moontide: Installation, simulator: Simulator
) -> None:
    assert moontide.chat("own-key").status == 200

    assert simulator.entries("sim/text")[-1]["headers"]["authorization"] == fingerprint(f"Bearer {CLIENT_KEY}")
