"""A recording as a test: a data file, and a module for pytest that plays it."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec

from services.cli.private_files import private_file
from services.cli.replaying.recording import Recording
from services.cli.replaying.stage import Played, play
from shared.records.told import Told

TEMPLATE = '''"""What a client gets of recorded exchange {id}.

Written by `moontide record-to-test`. It asserts what today's pipeline makes of the recording{note}.
Where that is a bug, write below what would be right: the test fails until it is mended.
"""

from pathlib import Path

import anyio

from services.cli.replaying.written import expected, play, read_recording

RECORDING = Path(__file__).with_name("{data}")


def test_a_client_gets_what_it_should_of_{name}() -> None:
    recording = read_recording(RECORDING)

    played = anyio.run(play, recording)

    assert (played.status, played.told) == ({status}, expected(RECORDING))
'''


class Written(msgspec.Struct, frozen=True):
    """The data file."""

    expected: Told  # what a client is to be told
    recording: Recording


def read_recording(path: Path) -> Recording:
    return _read(path).recording


def expected(path: Path) -> Told:
    return _read(path).expected


def _read(path: Path) -> Written:
    return msgspec.json.decode(path.read_bytes(), type=Written)


def write_test(path: Path, recording: Recording, played: Played) -> Path:
    """Writes both files; the data's path."""
    data = path.with_name(f"{path.stem.removeprefix('test_')}.recording.json")
    with private_file(data) as file:
        file.write(msgspec.json.format(msgspec.json.encode(Written(played.told, recording)), indent=2) + b"\n")
    same = played.told == recording.told and played.status == recording.status
    text = TEMPLATE.format(
        id=recording.id,
        note="" if same else ",\nwhich is not what the client got then",
        data=data.name,
        name=re.sub(r"\W", "_", path.stem.removeprefix("test_")).lower(),
        status=played.status,
    )
    with private_file(path) as file:
        file.write(text.encode())
    return data


__all__ = ["Written", "expected", "play", "read_recording", "write_test"]
