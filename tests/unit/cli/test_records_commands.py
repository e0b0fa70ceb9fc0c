"""`moontide list` and `moontide inspect` over a database that a recorder wrote."""

from __future__ import annotations

import json
import os
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
import pytest
from click.testing import CliRunner, Result

from services.cli.inspecting import inspect
from services.cli.listing import list_
from services.recorder.store import Store
from shared.contracts import Body, Fault
from tests.fixtures.exchanges import ASKED, NORMALIZER, PLAIN, Script, captured, plain
from tests.fixtures.recording import FEED, record, url_in

ULID = "01K9ZZZZZZZZZZZZZZZZZZZZZ"


def chunk(**delta: Any) -> bytes:
    choice = {"index": 0, "delta": delta}
    return b"data: " + msgspec.json.encode({"id": "chatcmpl-9", "model": "k", "choices": [choice]}) + b"\n\n"


def mended(id: str) -> Script:
    """The provider leaked a marker and a control sequence; the client got a tool call."""
    script = Script(id).request(stream=True).sent(stream=True, same_body=False, changes={"dropped": ["seed"]})
    script.head(to=NORMALIZER, content_type="text/event-stream")
    script.head(leg="normal", by=NORMALIZER, content_type="text/event-stream")
    script.data(chunk(content="<|tool_calls"), to=NORMALIZER).data(chunk(content="_begin|> \x1b[31mred"), to=NORMALIZER)
    call = {"index": 0, "id": "lookup_0", "function": {"name": "lookup", "arguments": '{"q": 1}'}}
    script.data(chunk(reasoning_content="hmm", tool_calls=[call]), leg="normal", by=NORMALIZER)
    script.end(to=NORMALIZER).event("repaired", tool_calls=1)
    script.end(leg="normal", by=NORMALIZER, repairs={"tool_calls": 1})
    return script.done(leg="c1.normal", streamed=True, tail=b"data: [DONE]\n\n", repairs={"tool_calls": 1})


def refused(id: str) -> Script:
    fault = Fault(status=429, code="rate_limited", message="too many requests")
    body = b'{"error": {"message": "too many requests"}}'
    script = Script(id).request(path="/v1/files?key=abc", model=None).sent().end(outcome="refused", fault=fault)
    script.done(status=429, outcome="refused", fault=fault, leg=None, body=Body(data=body, size=len(body)), usage=None)
    return script


@pytest.fixture
def records(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    url = url_in(tmp_path)
    monkeypatch.setenv("MOONTIDE_RECORDS_URL", url)
    store = Store.open(url, FEED)
    record(store, captured([plain(f"{ULID}A"), mended(f"{ULID}B"), refused("R2D2")]))
    store.close()
    return url


def run(*arguments: str) -> Result:
    command, *rest = arguments
    return CliRunner().invoke({"list": list_, "inspect": inspect}[command], rest)


@pytest.mark.usefixtures("records")
class TestList:
    def test_shows_the_newest_first(self) -> None:
        lines = run("list").stdout.splitlines()

        assert lines[0].split() == [
            "id", "status", "outcome", "model", "tokens", "repairs", "chatcmpl", "request_id", "requested_at"
        ]  # fmt: skip
        assert [line.split()[:3] for line in lines[1:]] == [
            ["3", "429", "refused"],
            ["2", "200", "complete"],
            ["1", "200", "complete"],
        ]

    def test_limits_and_filters(self) -> None:
        assert len(run("list", "-n", "1").stdout.splitlines()) == 2
        assert len(run("list", "-n", "0").stdout.splitlines()) == 4
        assert [line.split()[0] for line in run("list", "--chatonly").stdout.splitlines()[1:]] == ["2", "1"]
        assert [line.split()[0] for line in run("list", "--status", "429").stdout.splitlines()[1:]] == ["3"]
        assert len(run("list", "--model", "kimi-k2", "--state", "live").stdout.splitlines()) == 0

    def test_more_columns_name_the_provider_and_the_moontide_id(self) -> None:
        assert f"{ULID}B" in run("list", "-v").stdout

    def test_json_is_one_object_a_line(self) -> None:
        rows = [json.loads(line) for line in run("list", "--json").stdout.splitlines()]

        assert [row["number"] for row in rows] == [3, 2, 1]
        assert rows[1]["repairs"] == {"tool_calls": 1}


@pytest.mark.usefixtures("records")
class TestInspect:
    @pytest.mark.parametrize(
        "named",
        [
            ["2"],
            [f"{ULID}B"],
            [f"{ULID}B".lower()],
            [f"chatcmpl-{ULID}B"],
            [f"msh-{ULID}B"],
            ["--id", "2"],
            ["--chatcmpl", f"chatcmpl-{ULID}B"],
            ["--requestid", f"msh-{ULID}B"],
        ],
    )
    def test_finds_an_exchange_by_each_of_its_names(self, named: list[str]) -> None:
        assert f"{ULID}B" in run("inspect", *named).stdout

    def test_last_is_the_newest(self) -> None:
        assert "R2D2" in run("inspect", "last").stdout

    def test_shows_what_was_said_and_what_was_mended(self) -> None:
        shown = run("inspect", "2").stdout

        assert "[user]\n  hi" in shown
        assert '-> lookup({"q": 1})  lookup_0' in shown
        assert "tool_calls 1" in shown
        assert "what it sent differs" in shown
        assert "dropped: seed" in shown

    def test_never_lets_an_answer_command_the_terminal(self) -> None:
        shown = run("inspect", "2").stdout

        assert "\x1b" not in shown
        assert "\\x1b[31mred" in shown

    def test_tells_of_an_error(self) -> None:
        assert "rate_limited  too many requests" in run("inspect", "3").stdout
        assert run("inspect", "3", "--print", "error").stdout == "too many requests\n"

    def test_prints_the_exact_bytes(self) -> None:
        assert run("inspect", "1", "--print", "request_body").stdout_bytes == ASKED + b"\n"
        assert run("inspect", "1", "--print", "response_body").stdout_bytes == PLAIN + b"\n"
        assert run("inspect", "2", "--print", "response_body").stdout.endswith("data: [DONE]\n\n\n")

    def test_prints_raw_http(self) -> None:
        asked = run("inspect", "1", "--print-request").stdout_bytes
        answered = run("inspect", "1", "--print-response").stdout_bytes

        assert asked == b"POST /v1/chat/completions HTTP/1.1\r\ncontent-type: application/json\r\n\r\n" + ASKED
        assert answered == b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n" + PLAIN

    def test_merges_an_event_stream(self) -> None:
        printed = run("inspect", "2", "--print", "response_body", "--merge-event-stream").stdout
        message = json.loads(printed)["choices"][0]["message"]

        assert message["reasoning_content"] == "hmm"
        assert message["tool_calls"][0]["function"] == {"name": "lookup", "arguments": '{"q": 1}'}

    def test_shows_the_side_of_a_call(self) -> None:
        shown = run("inspect", "2", "--call", "c1", "--print", "response_body").stdout

        assert "<|tool_calls" in shown

    def test_gives_everything_as_one_object(self) -> None:
        whole = json.loads(run("inspect", "2", "--json").stdout)

        assert whole["metadata"]["number"] == 2
        assert whole["request_body"] == json.loads(ASKED)
        assert [event["name"] for event in whole["events"]] == ["repaired"]
        assert set(whole["parts"]) == {"client.request", "c1.raw", "c1.normal", "client.response"}

    def test_takes_secret_parameters_out_of_the_path(self) -> None:
        assert "abc" not in run("inspect", "3").stdout


@pytest.mark.usefixtures("records")
@pytest.mark.parametrize(
    ("arguments", "status"),
    [
        (["inspect"], 2),
        (["inspect", "1", "--id", "2"], 2),
        (["inspect", "1", "--print", "everything"], 2),
        (["list", "-n", "-1"], 2),
        (["list", "--predicate", "status = 200"], 2),
        (["list", "--since", "then"], 2),
        (["list", "--search", "..."], 2),
        (["list", "--escape-html"], 2),
        (["list", "--config", "/nowhere.yaml"], 2),
        (["inspect", "999"], 1),
        (["inspect", ULID], 1),
        (["inspect", "1", "--call", "c7"], 1),
    ],
)
def test_says_by_its_exit_status_what_was_wrong(arguments: list[str], status: int) -> None:
    result = run(*arguments)

    assert result.exit_code == status
    assert result.stderr


def test_a_missing_database_is_named_and_not_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MOONTIDE_RECORDS_URL", url_in(tmp_path / "none"))

    result = run("list")

    assert (result.exit_code, list(tmp_path.iterdir())) == (1, [])
    assert f"no records at {tmp_path}/none/records.db" in result.stderr


def test_somebody_elses_database_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "records.db").write_bytes(b"this is no database, and long enough to be read as one" * 100)
    monkeypatch.setenv("MOONTIDE_RECORDS_URL", url_in(tmp_path))

    result = run("list")

    assert (result.exit_code, os.listdir(tmp_path)) == (1, ["records.db"])
    assert "not a database" in result.stderr


def test_tables_of_another_revision_are_refused(records: str) -> None:
    with closing(sqlite3.connect(records.removeprefix("sqlite:///"))) as tables:
        tables.execute("UPDATE alembic_version SET version_num = '9999'")
        tables.commit()

    result = run("list")

    assert result.exit_code == 1
    assert "revision 9999" in result.stderr
