"""Workers that are killed in the middle of a stream, and a whole `up` that is."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterator
from typing import Any

import openai
import psutil
import pytest

from tests.fixtures.installation import MESSAGES, Installation, Simulator, installed, until

NOTICED_WITHIN_S = 15.0  # 3.5 s without a heartbeat, on a machine that is busy


@pytest.fixture(scope="module")
def scaled(tmp_path_factory: pytest.TempPathFactory, simulator: Simulator) -> Iterator[Installation]:
    folder = tmp_path_factory.mktemp("scaled")
    with installed(folder, simulator, "--scale", "normalizer=2,upstream=2") as installation:
        yield installation


def held_by(moontide: Installation, service: str) -> int:
    """The process that has the only running request in hand."""
    return int(until(lambda: [w["pid"] for w in moontide.workers(service) if w["in_flight"]], f"a busy {service}")[0])


def test_a_killed_normalizer_costs_no_client_anything(scaled: Installation, simulator: Simulator) -> None:
    model = "sim/text+hold?after=5&gate=killed-normalizer"
    with scaled.client() as client:
        stream = client.chat.completions.create(model=model, messages=MESSAGES, stream=True)
        id = stream.response.headers["X-Moontide-Request-Id"]
        simulator.until_held(model)
        chunks = [next(iter(stream))]
        os.kill(held_by(scaled, "normalizer"), signal.SIGKILL)
        simulator.release("killed-normalizer")
        chunks += stream
        again = client.chat.completions.create(model=model, messages=MESSAGES, stream=True)

        assert [chunk.to_dict() for chunk in chunks] == [chunk.to_dict() for chunk in again]
    record = scaled.record(id)
    assert [event["name"] for event in record["events"]].count("taken-over") == 1


def test_an_upstream_worker_killed_is_a_provider_that_breaks(scaled: Installation, simulator: Simulator) -> None:
    model = "sim/text+hold?after=5&gate=killed-upstream"
    with scaled.client() as client:
        stream = client.chat.completions.create(model=model, messages=MESSAGES, stream=True)
        simulator.until_held(model)
        before = next(iter(stream))
        os.kill(held_by(scaled, "upstream"), signal.SIGKILL)
        rest: list[Any] = []
        with pytest.raises(openai.APIError, match=r"(?i)worker|lost"):
            rest.extend(stream)

    assert before.choices
    assert scaled.chat("sim/text").status == 200
    assert simulator.until_ended(model)["outcome"] == "disconnected"  # nobody works on for nobody


def test_a_killed_worker_is_started_again(scaled: Installation) -> None:
    victim = children(scaled, "normalizer")[0]
    victim.kill()

    until(lambda: victim not in children(scaled, "normalizer"), "the end of the victim")
    until(lambda: len(children(scaled, "normalizer")) == 2, "two normalizers", NOTICED_WITHIN_S)
    assert "child.died" in scaled.up.said


def test_after_up_itself_was_killed_it_starts_again_with_everything_in_its_place(
    scaled: Installation, simulator: Simulator
) -> None:
    before = scaled.chat("sim/text?chunks=21").id
    scaled.recorded(before)
    orphans = children(scaled, "normalizer") + children(scaled, "upstream")
    os.kill(scaled.up.process.pid, signal.SIGKILL)
    scaled.up.process.wait()

    scaled.start("--scale", "normalizer=1")  # its NATS server is still there, and in the way

    after = scaled.chat("sim/text?chunks=22").id
    scaled.recorded(after)
    listed = scaled.moontide("list", "--json")
    assert before in listed
    assert after in listed
    assert orphans
    until(lambda: not any(orphan.is_running() for orphan in orphans), "their end", NOTICED_WITHIN_S)


def children(moontide: Installation, service: str) -> list[psutil.Process]:
    """The workers of that kind that `up` started."""
    with contextlib.suppress(psutil.NoSuchProcess):
        return [child for child in psutil.Process(moontide.up.process.pid).children() if service in child.cmdline()]
    return []
