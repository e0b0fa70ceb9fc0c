"""Every service has the rights that it needs: a process each, a user each, and a server that reports violations."""

from __future__ import annotations

import json
import signal
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from tests.fixtures.apart import SERVICES, Apart, apart, violations
from tests.fixtures.installation import COMMAND_S, WEATHER, Got, Simulator, ask, until

pytestmark = pytest.mark.once

LARGE = "x" * 3_000_000  # more than a message of NATS holds
CALL = {"id": "look:0", "type": "function", "function": {"name": "look", "arguments": "{}"}}
LOOK = {"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}
THOUGHT = "It is far."
SCRIPT = {
    "deltas": [{"reasoning_content": THOUGHT}, {"tool_calls": [{"index": 0, **CALL}]}],
    "finish_reason": "tool_calls",
}


class Hook:
    """A receiver of finished exchanges."""

    def __init__(self) -> None:
        taken = self.bodies = list[bytes]()

        class Take(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                taken.append(self.rfile.read(int(self.headers["Content-Length"])))
                self.send_response(204)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Not to stderr."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Take)
        self.url = f"http://127.0.0.1:{self._server.server_port}/hook"

    def has(self, id: str) -> bool:
        return any(id.encode() in body for body in self.bodies)

    @contextmanager
    def serving(self) -> Iterator[None]:
        thread = threading.Thread(target=self._server.serve_forever)
        thread.start()
        try:
            yield
        finally:
            self._server.shutdown()
            self._server.server_close()
            thread.join()


def settings(base_url: str, hook: str) -> dict[str, Any]:
    sim = {"kind": "openai", "base_url": base_url, "retry": {"attempts": 2, "base_s": 0.01}}
    weak = {**sim, "retry": {"attempts": 1}, "circuit": {"failures": 1, "open_s": 300, "cap_s": 300}}
    loop = "sim/loop?recovers=true&delay_ms=1&length=40000"
    held = "sim/text+hold?after=5&gate="
    return {
        "records": [{"url": hook}],
        "providers": {"sim": sim, "weak": weak, "strict": {**sim, "kind": "moonshot", "api_key": "env:SIM_API_KEY"}},
        "models": {
            "weak": {"targets": [{"provider": "weak", "model": "sim/server-error"}]},
            "agent": {"targets": [{"provider": "sim", "model": "sim/forgetful?thoughts=3"}], "ensure_tool_call": {}},
            "loops": {"targets": [{"provider": "sim", "model": loop}], "repeat": {"action": "stop"}},
            "enforced": {"targets": [{"provider": "sim", "model": f"{held}enforced"}], "ensure_tool_call": {}},
            "thinks": {"targets": [{"provider": "strict", "model": "sim/replay"}]},
            "answers": {"targets": [{"provider": "strict", "model": "sim/text+strict?chunks=4"}]},
            "*": {"targets": [{"provider": "sim"}]},
        },
    }


@pytest.fixture(scope="module")
def hook() -> Iterator[Hook]:
    hook = Hook()
    with hook.serving():
        yield hook


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory, simulator: Simulator, hook: Hook) -> Iterator[Apart]:
    with apart(tmp_path_factory.mktemp("apart"), simulator, settings(simulator.base_url, hook.url)) as found:
        yield found


@pytest.fixture
def them(stack: Apart) -> Iterator[Apart]:
    """The services; whatever a test has them do, nobody tries what it may not."""
    before = len(violations(stack.server))
    yield stack
    stack.complete()
    assert violations(stack.server)[before:] == []


@contextmanager
def streaming(them: Apart, model: str, **more: Any) -> Iterator[list[Got]]:
    """A streamed answer that is asked for in the background; it is there when the block is left."""
    got: list[Got] = []
    asking = threading.Thread(target=lambda: got.append(them.chat(model, stream=True, **more)))
    asking.start()
    try:
        yield got
    finally:
        asking.join(COMMAND_S)


def test_nobody_tries_what_it_may_not_at_its_start(stack: Apart) -> None:
    assert violations(stack.server) == []


@pytest.mark.parametrize("stream", [False, True])
def test_an_answer_is_repaired_and_recorded(them: Apart, stream: bool) -> None:
    got = them.chat("sim/k2-markers", stream=stream, tools=[WEATHER])

    assert got.status == 200
    assert them.events(got.id) == ["repaired"]


def test_a_call_is_retried(them: Apart) -> None:
    assert them.chat("sim/server-error,text?chunks=4").status == 200


def test_a_large_request_travels_through_the_object_store(them: Apart) -> None:
    got = them.chat("sim/text", messages=[{"role": "user", "content": LARGE}])

    assert got.status == 200
    assert LARGE in json.dumps(them.record(got.id))


@pytest.mark.parametrize("model", ["agent", "loops"])
def test_an_agents_turn_and_a_loop_are_dealt_with(them: Apart, model: str) -> None:
    got = them.chat(model, tools=[WEATHER], stream=True)

    assert {"agent": "re-prompted", "loops": "loop-found"}[model] in them.events(got.id)


def test_a_large_turn_is_asked_again_by_the_enforcer(them: Apart) -> None:
    got = them.chat("agent", tools=[WEATHER], messages=[{"role": "user", "content": LARGE}])

    assert got.status == 200
    assert "tool_calls" in got.json["choices"][0]["message"]


def test_thoughts_come_back_to_an_upstream_worker_that_never_had_them(them: Apart) -> None:
    asked = [{"role": "user", "content": json.dumps(SCRIPT)}]
    first = them.chat("thinks", messages=asked, tools=[LOOK])
    them.stop("upstream")
    them.complete()
    said = [{"role": "assistant", "content": "", "tool_calls": [CALL]}]
    result = [{"role": "tool", "tool_call_id": CALL["id"], "content": "42"}]
    second = them.chat("answers", messages=[*asked, *said, *result], tools=[LOOK])

    (entry,) = them.simulator.entries("sim/text+strict?chunks=4")
    assert (first.status, second.status) == (200, 200)
    assert entry["json"]["messages"][1]["reasoning_content"] == THOUGHT


def test_a_circuit_opens_and_the_operator_closes_it(them: Apart) -> None:
    them.chat("weak")

    def state() -> str:
        lines = them.command("operator", "providers", "--json").stdout.splitlines()
        return next(one["state"] for one in map(json.loads, lines) if one["provider"] == "weak")

    until(lambda: state() == "open", "an open circuit")
    assert them.command("operator", "providers", "reset", "weak").returncode == 0
    assert state() == "closed"


@pytest.mark.parametrize(
    ("service", "model"), [("enforcer", "enforced"), ("normalizer", "sim/text+hold?after=5&gate=normalized")]
)
def test_another_worker_takes_over_from_a_killed_one(them: Apart, service: str, model: str) -> None:
    with streaming(them, model, tools=[WEATHER]) as got:
        them.kill_busy(service)
        until(lambda: them.busy(service), "an heir")
        them.simulator.release({"enforcer": "enforced"}.get(service, "normalized"))

    assert got[0].body.endswith(b"data: [DONE]\n\n")
    assert "taken-over" in them.events(got[0].id)


def test_a_killed_upstream_workers_stream_is_ended_by_another_one(them: Apart) -> None:
    with streaming(them, "sim/text+hold?after=5&gate=never") as got:
        them.kill_busy("upstream")

    assert b"worker_lost" in got[0].body
    assert "taken-over" in them.events(got[0].id)


def test_what_was_lost_with_the_server_is_published_again(them: Apart) -> None:
    model = "sim/text+hold?after=5&gate=restarted"
    with streaming(them, model) as got:
        them.simulator.until_held(model)
        them.server.kill()
        them.server.start()
        until(lambda: len(them.workers()) == len(SERVICES), "every worker's return")
        them.simulator.release("restarted")

    assert got[0].body.endswith(b"data: [DONE]\n\n")
    assert them.record(got[0].id)


def test_the_tap_sees_a_request_as_it_passes(them: Apart) -> None:
    with them.background("tap", "tap") as said:
        until(lambda: them.chat("sim/text?chunks=2").status == 200 and "  request" in said.read_text(), "any request")
        id = them.chat("sim/text").id
        until(lambda: f"{id}  done" in said.read_text(), "its end")

    assert f"{id}  c1.raw.data" in said.read_text()


def test_the_operator_sees_what_has_passed(them: Apart) -> None:
    id = them.chat("sim/text").id

    assert "done" in them.command("operator", "tap", id, "--from-start").stdout


def test_the_operator_cancels_a_request(them: Apart) -> None:
    model = "sim/text+hold?after=5&gate=cancelled"
    with streaming(them, model):
        cancelled = them.command("operator", "cancel", _running(them, model))

    assert cancelled.returncode == 0, cancelled.stderr


def _running(them: Apart, model: str) -> str:
    """The id of a request that waits at the simulator's gate, out of the records."""
    them.simulator.until_held(model)

    def look() -> str:
        listed = map(json.loads, them.command("recorder", "list", "--json").stdout.splitlines())
        return next((str(one["id"]) for one in listed if one["model"] == model), "")

    return until(look, f"a record of {model}")


def test_the_page_follows_a_request_and_stops_it(them: Apart) -> None:
    model = "sim/text+hold?after=5&gate=watched"
    with (
        urllib.request.urlopen(f"{them.page}/api/live", timeout=COMMAND_S) as all_of_them,
        streaming(them, model),
    ):
        id = _running(them, model)
        with urllib.request.urlopen(f"{them.page}/api/exchanges/{id}/live", timeout=COMMAND_S) as one:
            assert ask(f"{them.page}/api/exchanges/{id}/cancel", {}).status == 200
            assert "cancel" in "".join(line.decode() for line in one)
        rows = (line.decode() for line in all_of_them)
        assert next(row for row in rows if id in row)


def test_the_page_knows_the_workers_and_the_providers(them: Apart) -> None:
    state = ask(f"{them.page}/api/state").json

    assert {one["service"] for one in state["workers"]} == set(SERVICES)
    assert {one["provider"] for one in state["providers"]} == {"sim", "weak", "strict"}


def test_a_response_is_told_again_from_the_stream(them: Apart) -> None:
    body = {"model": "sim/text", "input": "Hi", "stream": True, "background": True, "store": True}
    began = ask(f"{them.url}/v1/responses", body)
    id = began.body.decode().partition('"id":"')[2].partition('"')[0]

    assert began.status == 200
    assert ask(f"{them.url}/v1/responses/{id}?stream=true").status == 200


@pytest.mark.parametrize("said", ["Hi", LARGE], ids=["small", "large"])
def test_a_response_is_told_again_from_the_records(them: Apart, said: str) -> None:
    first = ask(f"{them.url}/v1/responses", {"model": "sim/text", "input": said}).json
    them.record(first["id"].removeprefix("resp_"))
    them.forget()
    again = {"model": "sim/text", "input": "And?", "previous_response_id": first["id"]}

    assert ask(f"{them.url}/v1/responses", again).status == 200


def test_a_webhook_gets_what_is_finished(them: Apart, hook: Hook) -> None:
    id = them.chat("sim/text").id

    until(lambda: hook.has(id), "a post")


def test_new_settings_are_taken_up_and_figures_shown(them: Apart) -> None:
    before = _settings_of(them)
    them.configure({**them.settings, "ingress": {"queue_timeout_s": 9}})
    them.program("upstream").process.send_signal(signal.SIGHUP)
    until(lambda: _settings_of(them).isdisjoint(before), "new settings everywhere")

    assert len(_settings_of(them)) == 1
    figures = ask(f"{them.url}/metrics").body.decode()
    assert {name for name in SERVICES if f'service="{name}"' in figures} == set(SERVICES)


def _settings_of(them: Apart) -> set[str]:
    return {one["settings"] for one in them.workers()}


def test_every_worker_beats_and_passes_its_health_check(them: Apart) -> None:
    assert {one["service"] for one in them.workers("ingress")} == set(SERVICES)
    assert them.command("normalizer", "health").returncode == 0
