"""SIGTERM, and a terminal that is closed: what is in hand is finished, nothing stays behind, all is on record."""

from __future__ import annotations

import fcntl
import os
import signal
import socket
import subprocess
import sys
import termios
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import psutil
import pytest

from tests.fixtures.installation import MESSAGES, STOP_S, UP_S, Installation, Simulator, environ, until


@pytest.fixture
def own(tmp_path: Path, simulator: Simulator) -> Iterator[Installation]:
    installation = Installation(tmp_path, simulator)
    installation.start()
    yield installation
    installation.stop()


def test_a_stream_in_hand_is_finished_before_the_end(own: Installation, simulator: Simulator) -> None:
    model = "sim/text+hold?after=5&gate=drained"
    with own.client() as client:
        raw = client.chat.completions.with_raw_response.create(model=model, messages=MESSAGES, stream=True)
        simulator.until_held(model)
        own.up.process.send_signal(signal.SIGTERM)
        until(lambda: "Finishing what is in hand" in own.up.said, "the drain")
        simulator.release("drained")
        chunks = list(raw.parse())

    assert chunks[-1].choices[0].finish_reason == "stop"
    assert own.up.process.wait(20) == 0
    assert not (own.home / "run.json").exists()
    assert not listens(own.url)
    [recorded] = own.moontide("list", "--json").splitlines()  # with the services down
    assert raw.headers["X-Moontide-Request-Id"] in recorded
    assert '"outcome":"complete"' in recorded


def listens(url: str) -> bool:
    address = urlsplit(url)
    with socket.socket() as probe:
        return probe.connect_ex((address.hostname, address.port)) == 0


def test_a_terminal_that_is_closed_ends_what_was_started_there(tmp_path: Path) -> None:
    master, slave = os.openpty()

    def in_the_terminal() -> None:
        signal.signal(signal.SIGHUP, signal.SIG_DFL)
        fcntl.ioctl(slave, termios.TIOCSCTTY, 0)

    log = tmp_path / "up.log"
    command = [sys.executable, "-m", "services.cli.main", "up", "--port", "0"]
    with log.open("wb") as out:
        up = subprocess.Popen(
            command,
            env=environ(MOONTIDE_HOME=str(tmp_path / "home")),
            stdin=slave,
            stdout=out,
            stderr=out,
            start_new_session=True,
            preexec_fn=in_the_terminal,
        )
    os.close(slave)
    try:
        until(lambda: "Moontide is ready" in log.read_text(), "the start", UP_S)
        up.send_signal(signal.SIGHUP)  # by hand, with the terminal there: new settings
        until(lambda: "config.loaded" in log.read_text(), "the reload")
        os.close(master)
        assert up.wait(STOP_S) == 0
    finally:
        up.kill()
        up.wait()

    assert "Finishing what is in hand" in log.read_text()


def test_an_end_without_the_nats_server_is_an_orderly_one(own: Installation) -> None:
    [server] = [child for child in psutil.Process(own.up.process.pid).children() if "nats" in child.name()]
    server.kill()
    until(lambda: "bus.disconnected" in own.up.said, "the lost connection")

    own.up.process.send_signal(signal.SIGTERM)

    assert own.up.process.wait(20) == 0
    assert "Traceback" not in own.up.said


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_start_that_is_stopped_leaves_no_server_behind(tmp_path: Path, number: signal.Signals) -> None:
    command = [sys.executable, "-m", "services.cli.main", "up", "--port", "0"]
    up = subprocess.Popen(command, env=environ(MOONTIDE_HOME=str(tmp_path)), stderr=subprocess.DEVNULL)
    try:
        [server] = until(lambda: [one for one in psutil.Process(up.pid).children() if "nats" in one.name()], "a server")
        up.send_signal(number)
        assert up.wait(STOP_S) == 0
        assert not server.is_running()
    finally:
        up.kill()
        up.wait()
