"""What `moontide up` leaves for other commands on this machine: where its NATS server is. 0600 in a 0700 folder."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

from services.cli.private_files import private_file
from shared.errors import MoontideError


class NoHome(MoontideError):
    """Tell the operator: nothing can be kept where Moontide is to keep its files."""


def private_folder(path: str | Path) -> Path:
    """The folder, made if need be, for its owner only; raises NoHome where there can't be one."""
    folder = Path(path)
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        with suppress(OSError):
            folder.chmod(0o700)
        with TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise NoHome(f"can't write to {folder}: {error.strerror}. Set MOONTIDE_HOME to a folder of yours.") from None
    return folder


def write_private(path: Path, text: str) -> None:
    """Writes a file that only its owner ever could read, whole or not at all."""
    with private_file(path) as file:
        file.write(text.encode())


def _file(home: str) -> Path:
    return Path(home) / "run.json"


@contextmanager
def announced(home: str, **facts: Any) -> Iterator[None]:
    """While the block lasts, other commands find this `up`."""
    file = _file(home)
    write_private(file, json.dumps({"pid": os.getpid(), **facts}))
    try:
        yield
    finally:
        file.unlink(missing_ok=True)


def running_url(home: str) -> str | None:
    """The NATS address, credentials included, of the `up` that runs with this home."""
    return _announced(home, "nats_url")


def running_gateway(home: str) -> str | None:
    """Where the `up` that runs with this home listens."""
    return _announced(home, "url")


def _announced(home: str, name: str) -> str | None:
    try:
        return str(json.loads(_file(home).read_text())[name])
    except (OSError, ValueError, KeyError):
        return None
