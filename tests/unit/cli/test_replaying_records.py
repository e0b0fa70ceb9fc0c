"""A recorded answer through today's pipeline, and a recording as a test."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from services.cli.main import main
from services.cli.replaying.live import changed, changes_of
from services.recorder.store import Store
from shared.contracts import Fault
from tests.fixtures.exchanges import INGRESS, NORMALIZER, Script, captured
from tests.fixtures.recording import FEED, record, url_in

KEY = "sk-abcdefghijklmnop"
STREAM = "text/event-stream"


def chunk(finish: str | None = None, **delta: str) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    return b"data: " + json.dumps({"id": "chatcmpl-1", "choices": [choice]}).encode() + b"\n\n"


def failed_over(id: str) -> Script:
    """The first provider was overloaded, the second one answered with a leaked thought and a key."""
    pieces = [chunk(content="let me think</think>"), chunk(content=f"it is {KEY}"), chunk("stop"), b"data: [DONE]\n\n"]
    script = Script(id).request(stream=True).sent(stream=True)
    fault = Fault(status=503, code="server_error", message="busy")
    script.head(status=503).data(b'{"error": {"message": "busy"}}').end(outcome="refused", fault=fault, next_call="c2")
    script.sent("c2", provider="other", stream=True).head("c2", to=NORMALIZER, provider="other", content_type=STREAM)
    for piece in pieces:
        script.data(piece, "c2", to=NORMALIZER)
    script.end("c2", to=NORMALIZER).head("c2", "normal", by=NORMALIZER, to=INGRESS, content_type=STREAM)
    script.data(b"".join(pieces), "c2", "normal", by=NORMALIZER).end("c2", "normal", by=NORMALIZER)
    return script.done(leg="c2.normal", streamed=True, calls=2)


@pytest.fixture(autouse=True)
def _records(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MOONTIDE_RECORDS_URL", url_in(tmp_path))
    monkeypatch.setenv("MOONTIDE_HOME", str(tmp_path))
    store = Store.open(url_in(tmp_path), FEED)
    record(store, captured([failed_over("FAILED")]))
    store.close()


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, arguments, catch_exceptions=False)


def test_a_replay_shows_what_todays_pipeline_makes_of_every_call() -> None:
    done = run("replay", "FAILED", "--recorded", "--fast", "--json")

    shown = json.loads(done.stdout)
    assert (shown["now"]["calls"], shown["now"]["status"]) == (2, 200)
    assert shown["now"]["told"]["choices"][0]["content"] == f"let me thinkit is {KEY}"
    assert shown["then"]["told"]["choices"][0]["content"].startswith("let me think</think>")
    assert (shown["same"], done.exit_code) == (False, 1)


def test_a_difference_is_shown_line_by_line() -> None:
    shown = run("replay", "FAILED", "--recorded", "--fast").stdout

    assert f'+      "content": "let me thinkit is {KEY}"' in shown


def test_a_recording_as_a_test_is_green_as_written_and_holds_no_key(tmp_path: Path) -> None:
    test = tmp_path / "test_failed.py"
    done = run("record-to-test", "FAILED", "-o", str(test))

    assert "1 in c2's answer that looked like a key" in done.stderr
    assert KEY not in (tmp_path / "failed.recording.json").read_text() + test.read_text()
    root = Path(__file__).parents[3]
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-c", str(root / "pyproject.toml")]
    ran = subprocess.run([*command, "--rootdir", str(root), str(test)], cwd=root, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stdout + ran.stderr


def test_live_flags_and_recorded_ones_do_not_mix() -> None:
    assert run("replay", "FAILED", "--recorded", "--model", "x").exit_code == 2
    assert run("replay", "FAILED", "--fast").exit_code == 2


def test_parameters_are_json_or_texts_at_any_depth() -> None:
    body = b'{"messages": [{"role": "user"}], "a": 1}'

    made = changed(body, changes_of(["a=0.5", "messages.0.content=hi", "b.c=[1]"]))

    assert json.loads(made) == {"messages": [{"role": "user", "content": "hi"}], "a": 0.5, "b": {"c": [1]}}
    assert changed(body, []) is body
