"""`moontide up` is given new settings while it works, and loses its NATS server: its clients hear of neither."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psutil
import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.fixtures.installation import (
    CLIENT_KEY,
    PROVIDER_KEY,
    Installation,
    Program,
    Simulator,
    ask,
    environ,
    until,
)


class Reloadable(Installation):
    """An installation whose file can be changed."""

    @property
    def file(self) -> Path:
        return self._config

    def write(self, **settings: Any) -> None:
        said = {**json.loads(self.file.read_text()), **settings}
        swapped = self.file.with_suffix(".new")
        swapped.write_text(json.dumps(said, indent=1))
        swapped.replace(self.file)

    def settings_of_workers(self) -> set[tuple[str, int]]:
        heard = map(json.loads, self.moontide("workers", "--json").splitlines())
        return {(worker["settings"], worker["generation"]) for worker in heard}


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory, simulator: Simulator) -> Iterator[Reloadable]:
    found = Reloadable(tmp_path_factory.mktemp("reload"), simulator)
    found.start("--scale", "upstream=2")
    yield found
    found.stop()


def nats_of(running: Installation) -> psutil.Process:
    [server] = [child for child in psutil.Process(running.up.process.pid).children() if "nats" in child.name()]
    return server


def test_a_changed_file_is_taken_up_by_every_process_without_losing_a_request(running: Reloadable) -> None:
    before = running.settings_of_workers()
    models = json.loads(running.file.read_text())["models"]
    with ThreadPoolExecutor(8) as clients:
        stop = time.monotonic() + 6.0

        def client(number: int) -> list[int]:
            found = []
            while time.monotonic() < stop:
                found.append(running.chat("sim/text?chunks=2", stream=bool(number % 2)).status)
            return found

        asked = [clients.submit(client, number) for number in range(8)]
        running.write(models={**models, "mine": {"targets": [{"provider": "sim", "model": "sim/text"}]}})
        until(lambda: running.chat("mine").status == 200, "the new model")
        statuses = [status for one in asked for status in one.result()]

    assert set(statuses) == {200}
    assert len(statuses) > 100
    after = until(lambda: len(now := running.settings_of_workers()) == 1 and now, "one state of the settings")
    assert {digest for digest, _ in before} != {digest for digest, _ in after}


def test_detection_of_loops_can_be_switched_on_while_it_runs(running: Reloadable) -> None:
    model = {"targets": [{"provider": "sim", "model": "sim/loop"}], "repeat": {"action": "stop"}}
    running.write(models={**json.loads(running.file.read_text())["models"], "looping": model})

    def is_stopped() -> bool:
        answer = running.chat("looping").json
        return bool(answer.get("choices")) and answer["choices"][0]["finish_reason"] == "repeat"

    until(is_stopped, "the end of a loop")


def test_a_file_that_is_wrong_changes_nothing_and_says_where(running: Reloadable) -> None:
    text = running.file.read_text()
    before = running.settings_of_workers()
    running.write(models={"*": {"targets": [{"provider": "simm"}]}})
    until(lambda: "no provider is called simm; did you mean sim?" in running.up.said, "the refusal")

    assert f"{running.file}:" in running.up.said
    assert running.chat("sim/text").status == 200
    running.file.write_text(text)  # the command line reads it, too
    assert {digest for digest, _ in running.settings_of_workers()} == {digest for digest, _ in before}


def test_what_needs_a_restart_is_named(running: Reloadable) -> None:
    running.write(records=[{"url": "sqlite:///elsewhere.db"}])

    until(lambda: '"key": "records"' in running.up.said, "the line")
    assert '"event": "config.needs_restart"' in running.up.said


def test_a_hangup_has_every_process_read_all_anew(running: Reloadable) -> None:
    before = {generation for _, generation in running.settings_of_workers()}
    time.sleep(5.5)  # children that have just started are left alone
    running.up.process.send_signal(signal.SIGHUP)

    def all_have_more() -> bool:
        return min(generation for _, generation in running.settings_of_workers()) > min(before)

    until(all_have_more, "the reload")
    assert running.up.process.poll() is None


def test_the_figures_of_all_workers_are_at_metrics_and_hold_no_key(running: Reloadable) -> None:
    assert running.chat("sim/text?chunks=2").status == 200
    assert running.chat("sim/server-error").status >= 500

    def samples() -> dict[tuple[str, ...], float]:
        text = ask(f"{running.url}/metrics").body.decode()
        assert PROVIDER_KEY not in text
        assert CLIENT_KEY not in text
        families = text_string_to_metric_families(text)
        keys = ("service", "provider", "model", "status", "result")
        return {
            (one.name, *(one.labels.get(key, "") for key in keys)): one.value
            for family in families
            for one in family.samples
        }

    def counted() -> bool:
        calls = "moontide_calls_total", "upstream", "sim", "", ""
        found = samples()
        return found.get((*calls, "ok"), 0) > 0 and found.get((*calls, "server_error"), 0) > 0

    until(counted, "the upstream workers' figures")
    found = samples()
    assert found["moontide_requests_total", "ingress", "sim", "*", "200", ""] > 0
    assert {key[1] for key in found if key[0] == "moontide_worker_capacity"} >= {
        "ingress",
        "upstream",
        "normalizer",
        "recorder",
    }


def test_a_nats_server_that_dies_is_started_again_and_a_stream_goes_on(
    running: Reloadable, simulator: Simulator
) -> None:
    server = nats_of(running)
    model = "sim/text+hold?after=3&gate=nats-is-back"
    with running.client() as client:
        stream = client.chat.completions.create(
            model=model, messages=[{"role": "user", "content": "Go on"}], stream=True
        )
        simulator.until_held(model)
        server.kill()
        until(lambda: '"event": "nats.restarted"' in running.up.said, "the new server")
        until(lambda: running.up.said.count("bus.reconnected") >= 5, "the connections")
        simulator.release("nats-is-back")
        chunks = list(stream)

    assert chunks[-1].choices[0].finish_reason == "stop"
    assert nats_of(running).pid != server.pid
    assert running.chat("sim/text").status == 200


def test_a_single_worker_answers_on_a_port_of_its_own(running: Reloadable, tmp_path: Path) -> None:
    url = json.loads((running.home / "run.json").read_text())["nats_url"]
    log = tmp_path / "worker.log"
    worker = Program(["normalizer", "--metrics-port", "0"], log, environ(MOONTIDE_NATS_URL=url))
    try:
        address = worker.word_after('"metrics": "').rstrip('"')
        figures, health = ask(address), ask(address.replace("/metrics", "/healthz"))
    finally:
        assert worker.stop() == 0

    assert address.startswith("http://127.0.0.1:")
    assert b'moontide_worker_capacity{service="normalizer"' in figures.body
    assert health.json == {"status": "ok"}


def test_a_port_that_is_taken_is_one_line(running: Reloadable, tmp_path: Path) -> None:
    url = json.loads((running.home / "run.json").read_text())["nats_url"]
    port = running.url.rpartition(":")[2]
    log = tmp_path / "worker.log"
    worker = Program(["normalizer", "--metrics-port", port], log, environ(MOONTIDE_NATS_URL=url))

    assert worker.process.wait(20) == 1
    assert worker.said.strip().endswith(
        f"can't listen on 127.0.0.1:{port}: Address already in use. Choose another --metrics-port."
    )
