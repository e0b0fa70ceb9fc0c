"""Many exchanges: an export holds one of them, and a cleanup keeps out of a recorder's way."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from base64 import b64encode
from pathlib import Path

import pytest
from click.testing import CliRunner

from services.cli.main import main
from services.recorder.store import Store
from tests.fixtures.exchanges import Script, captured, plain
from tests.fixtures.recording import FEED, record, rows

pytestmark = pytest.mark.once

MANY = int(os.environ.get("LEAVING_EXCHANGES", "1500"))
BODY_BYTES = 6_000  # of each answer; 30 MB in all, none of which can be made smaller
GROWTH_KIB = 12 * 1024  # of the peak, from 50 exchanges to all of them
AT_ONCE = 250
MEASURED = """
import sys
from pathlib import Path
from services.cli.main import main
try:
    main(sys.argv[1:])
finally:
    status = dict(line.split(":") for line in Path("/proc/self/status").read_text().splitlines())
    print(status["VmHWM"].split()[0], file=sys.stderr)  # ru_maxrss would count the parent's
"""


def fill(url: str, count: int, prefix: str = "X", body_bytes: int = BODY_BYTES) -> None:
    store = Store.open(url, FEED)
    first_seq = store.position().seq + 1
    for begin in range(0, count, AT_ONCE):
        some = [answered(f"{prefix}{number:05}", body_bytes) for number in range(begin, min(count, begin + AT_ONCE))]
        messages = captured(some, first_seq)
        record(store, messages)
        first_seq += len(messages)
    store.close()


def answered(id: str, body_bytes: int) -> Script:
    said = b64encode(os.urandom(body_bytes * 3 // 4))
    return plain(id, b'{"id":"chatcmpl-%s","choices":[{"message":{"content":"%s"}}]}' % (id.encode(), said))


def peak_kib(url: str, *arguments: str) -> int:
    """Of a process of its own."""
    environ = {**os.environ, "MOONTIDE_RECORDS_URL": url}
    command = [sys.executable, "-c", MEASURED, "export", *arguments]
    done = subprocess.run(command, env=environ, capture_output=True, text=True, check=True)
    return int(done.stderr.split()[-1])


def test_an_export_of_many_takes_no_more_memory_than_one_of_a_few(records_url: str, tmp_path: Path) -> None:
    fill(records_url, MANY)
    file = tmp_path / "all.har"

    few = peak_kib(records_url, "-p", "id ~ 'X0000%'", "--har", "-o", str(tmp_path / "few.har"))
    many = peak_kib(records_url, "--all", "--har", "-o", str(file))

    print(f"peak: {few:,} KiB for a few, {many:,} KiB for {MANY}; {file.stat().st_size:,} bytes written")
    assert file.stat().st_size > MANY * BODY_BYTES
    assert many - few < GROWTH_KIB


def test_a_cleanup_beside_a_recorder_deletes_the_old_and_loses_nothing_new(
    records_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MOONTIDE_RECORDS_URL", records_url)
    fill(records_url, 1200, "OLD", 100)
    recording = threading.Thread(target=fill, args=(records_url, 1200, "NEW", 100))

    recording.start()
    done = CliRunner().invoke(main, ["cleanup", "--before", "1s", "-p", "chatcmpl ~ 'chatcmpl-OLD%'"])
    recording.join()

    assert done.stdout.startswith("1200 deleted"), done.output
    kept = rows(records_url, ["exchanges", "bodies"])
    assert [row["id"] for row in kept["exchanges"]] == [f"NEW{number:05}" for number in range(1200)]
    assert {row["exchange_id"][:3] for row in kept["bodies"]} == {"NEW"}
