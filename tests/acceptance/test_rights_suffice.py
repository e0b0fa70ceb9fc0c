"""Every service has the rights that it needs: a process each, a user each, and a server that reports violations."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from tests.fixtures.apart import SERVICES, Apart, apart, violations
from tests.fixtures.embedded import NatsServer
from tests.fixtures.installation import WEATHER, Got, Simulator, ask, until

LARGE = "x" * 3_000_000  # more than a message of NATS holds


def settings(base_url: str) -> dict[str, Any]:
    sim = {"kind": "openai", "base_url": base_url, "retry": {"attempts": 2, "base_s": 0.01}}
    weak = {**sim, "retry": {"attempts": 1}, "circuit": {"failures": 1, "open_s": 300, "cap_s": 300}}
    loop = "sim/loop?recovers=true&delay_ms=1&length=40000"
    return {
        "providers": {"sim": sim, "weak": weak},
        "models": {
            "weak": {"targets": [{"provider": "weak", "model": "sim/server-error"}]},
            "agent": {"targets": [{"provider": "sim", "model": "sim/forgetful?thoughts=3"}], "ensure_tool_call": {}},
            "loops": {"targets": [{"provider": "sim", "model": loop}], "repeat": {"action": "stop"}},
            "held": {
                "targets": [{"provider": "sim", "model": "sim/text+hold?after=5&gate=held"}],
                "ensure_tool_call": {},
            },
            "*": {"targets": [{"provider": "sim"}]},
        },
    }


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory, simulator: Simulator) -> Iterator[tuple[Apart, NatsServer]]:
    with apart(tmp_path_factory.mktemp("apart"), simulator, settings(simulator.base_url)) as found:
        yield found


@pytest.fixture
def them(stack: tuple[Apart, NatsServer]) -> Iterator[Apart]:
    """The services; whatever a test has them do, nobody tries what it may not."""
    services, server = stack
    before = len(violations(server))
    yield services
    assert violations(server)[before:] == []


def test_nobody_tries_what_it_may_not_at_its_start(stack: tuple[Apart, NatsServer]) -> None:
    assert violations(stack[1]) == []


@pytest.mark.parametrize("stream", [False, True])
def test_an_answer_comes_through_the_normalizer_and_is_recorded(them: Apart, stream: bool) -> None:
    got = them.chat("sim/k2-markers", stream=stream, tools=[WEATHER])

    assert got.status == 200
    assert them.record(got.id)


def test_a_call_is_retried(them: Apart) -> None:
    assert them.chat("sim/server-error,text?chunks=4").status == 200


def test_a_large_request_travels_through_the_object_store(them: Apart) -> None:
    got = them.chat("sim/text", messages=[{"role": "user", "content": LARGE}])

    assert got.status == 200
    assert LARGE in json.dumps(them.record(got.id))


@pytest.mark.parametrize("model", ["agent", "loops"])
def test_an_agents_turn_and_a_loop_are_dealt_with(them: Apart, model: str) -> None:
    got = them.chat(model, tools=[WEATHER], stream=True)
    names = [event["name"] for event in them.record(got.id)["events"]]

    assert {"agent": "re-prompted", "loops": "loop-found"}[model] in names


def test_a_large_turn_is_asked_again_by_the_enforcer(them: Apart) -> None:
    got = them.chat("agent", tools=[WEATHER], messages=[{"role": "user", "content": LARGE}])

    assert got.status == 200
    assert "tool_calls" in got.json["choices"][0]["message"]


def test_a_circuit_opens_and_the_operator_closes_it(them: Apart) -> None:
    them.chat("weak")

    def state() -> str:
        lines = them.command("operator", "providers", "--json").stdout.splitlines()
        return next(one["state"] for one in map(json.loads, lines) if one["provider"] == "weak")

    until(lambda: state() == "open", "an open circuit")
    assert them.command("operator", "providers", "reset", "weak").returncode == 0
    assert state() == "closed"


def test_another_enforcer_takes_over_from_a_killed_one(them: Apart) -> None:
    got: list[Got] = []
    asking = threading.Thread(target=lambda: got.append(them.chat("held", stream=True, tools=[WEATHER])))
    asking.start()
    them.kill_busy("enforcer")
    until(lambda: them.busy("enforcer"), "an heir")
    them.simulator.release("held")
    asking.join(30)

    assert "taken-over" in [event["name"] for event in them.record(got[0].id)["events"]]


def test_the_operator_sees_what_has_passed(them: Apart) -> None:
    id = them.chat("sim/text").id

    assert "done" in them.command("operator", "tap", id, "--from-start").stdout


def test_the_operator_cancels_a_request(them: Apart) -> None:
    got: list[Got] = []
    model = "sim/text+hold?after=5&gate=cancelled"
    asking = threading.Thread(target=lambda: got.append(them.chat(model, stream=True)))
    asking.start()
    them.simulator.until_held(model)
    listed = until(lambda: them.command("recorder", "list", "--json").stdout, "a list")
    running = next(one for one in map(json.loads, listed.splitlines()) if one["model"] == model)
    cancelled = them.command("operator", "cancel", running["id"])
    asking.join(30)

    assert cancelled.returncode == 0, cancelled.stderr


def test_a_response_is_told_again_from_the_stream(them: Apart) -> None:
    body = {"model": "sim/text", "input": "Hi", "stream": True, "background": True, "store": True}
    began = ask(f"{them.url}/v1/responses", body)
    id = began.body.decode().partition('"id":"')[2].partition('"')[0]

    assert began.status == 200
    assert ask(f"{them.url}/v1/responses/{id}?stream=true").status == 200


def test_every_worker_beats_and_passes_its_health_check(them: Apart) -> None:
    assert {one["service"] for one in them.workers("ingress")} == set(SERVICES)
    assert them.command("normalizer", "health").returncode == 0
