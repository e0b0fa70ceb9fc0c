"""A curl command that was exported, run by a real shell against a provider: it gets the same bytes again."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess

import anyio
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from services.cli.main import main
from services.provider_sim.journal import Entry, fingerprint
from services.provider_sim.main import serve
from services.recorder.store import Store
from shared.contracts import Body
from shared.records.exports.curl import quoted
from tests.fixtures.exchanges import Script, captured
from tests.fixtures.recording import FEED, record

BODIES = {
    "json": b'{"model": "sim-echo", "messages": []}',
    "quotes": b"it's \"quoted\" `here`, '' and '\\''",
    "newlines": b"\none\r\ntwo\n\n",
    "at": b"@/etc/passwd",
    "dollars": b"$HOME ${PATH} $(id) $$ !! %d \\n",
    "unicode": "月亮 🌙 \u2028".encode(),
    "controls": bytes(range(1, 32)),
    "nul": b"a\x00b",
    "not utf-8": bytes(range(256)),
    "ends of here-documents": b"END\nEND\n\xff\nEND",
    "option": b"--data -X DELETE",
    "larger than an argument may be": b"x" * 200_000,
    "nothing": b"",
}

pytestmark = pytest.mark.skipif(
    not (shutil.which("bash") and shutil.which("curl")), reason="needs bash and curl on this machine"
)


def exported(records: str, body: bytes, url: str, monkeypatch: pytest.MonkeyPatch) -> bytes:
    """The command for an exchange in which `url` was asked with `body`."""
    monkeypatch.setenv("MOONTIDE_RECORDS_URL", records)
    headers = {"content-type": "text/x-odd", "x-odd": 'it\'s $HOME "x"', "x-none": ""}
    kept = Body(data=body, size=len(body)) if body else Body()
    script = Script("ASKED").request(kept, headers=headers).sent(url=url, headers=headers).head().data(b"{}").end()
    store = Store.open(records, FEED)
    record(store, captured([script.done()]))
    store.close()
    return CliRunner().invoke(main, ["export", "ASKED", "--curl"], catch_exceptions=False).stdout_bytes


async def run_by_bash(command: bytes) -> subprocess.CompletedProcess[bytes]:
    environ = {"PATH": os.environ["PATH"], "HOME": "/", "MOONSHOT_API_KEY": "sk-from-the-environment"}
    return await anyio.run_process(["bash", "-eu"], input=command, env=environ, check=False)


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
async def test_the_provider_gets_the_same_bytes_headers_and_path(
    body: bytes, records_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with await serve() as simulated:
        url = f"{simulated.url}/v1/chat/completions?a=[1]&b={{x}}&c='"
        done = await run_by_bash(exported(records_url, body, url, monkeypatch))
        (entry,) = simulated.simulator.journal.entries

    assert (done.returncode, done.stderr) == (0, b"")
    assert seen(entry) == ("POST", "/v1/chat/completions", "a=[1]&b={x}&c='", hashlib.sha256(body).hexdigest())
    assert entry.headers["authorization"] == fingerprint("Bearer sk-from-the-environment")
    sent = [entry.headers[name] for name in ("content-type", "x-odd", "x-none")]
    assert sent == ["text/x-odd", 'it\'s $HOME "x"', ""]


def seen(entry: Entry) -> tuple[str, str, str, str]:
    return entry.method, entry.path, entry.query, entry.body_sha256 or hashlib.sha256(b"").hexdigest()


@given(st.lists(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])), min_size=1, max_size=20))
def test_any_text_is_one_word_of_a_shell(texts: list[str]) -> None:
    command = f"printf '%s\\0' {' '.join(map(quoted, texts))}".encode()

    done = subprocess.run(["bash", "-eu"], input=command, capture_output=True, check=True)

    assert done.stdout.split(b"\0")[:-1] == [text.encode() for text in texts]
