"""Exchanges leave the records in shapes that others read, and come in from what others recorded."""

from __future__ import annotations

import json
import os
import shlex
import sqlite3
import stat
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from haralyzer import HarParser
from openai.types.chat import ChatCompletionMessageParam
from pydantic import TypeAdapter

from services.cli.main import main
from services.recorder.store import Store
from shared.contracts import Body
from tests.fixtures.exchanges import Script, captured, plain
from tests.fixtures.recording import FEED, record, url_in

TOOLS = b'"tools":[{"type":"function","function":{"name":"f","parameters":{"type":"object"}}}]'
ASKED = b'{"model":"kimi-k2","messages":[{"role":"user","content":"it\'s $HOME <b>"}],"thinking":{},%s}' % TOOLS
ANSWER = (
    b'{"id":"chatcmpl-x","choices":[{"index":0,"finish_reason":"tool_calls","message":{"role":"assistant",'
    b'"reasoning_content":"hm","content":"","tool_calls":[{"id":"f:0","type":"function","function":'
    b'{"name":"f","arguments":"{}"}}]}}]}'
)
MOONPALACE = {
    "moonpalace_id", "chatcmpl", "request_id", "user_id", "group_id", "status", "server_timing", "endpoint",
    "request_content_type", "response_content_type", "response_ttft", "response_tpot", "response_otps",
    "requested_at", "latency",
}  # fmt: skip


def asking(id: str, body: bytes = ASKED) -> Script:
    script = Script(id).request(Body(data=body, size=len(body))).sent().head().data(ANSWER).end()
    return script.done(headers={"Content-Type": "application/json"}, body_bytes=len(ANSWER))


@pytest.fixture
def records(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    url = url_in(tmp_path)
    monkeypatch.setenv("MOONTIDE_RECORDS_URL", url)
    monkeypatch.setenv("MOONTIDE_HOME", str(tmp_path))
    store = Store.open(url, FEED)
    binary = Script("BINARY").request(Body(data=b"'\x00\xff\n", size=4), path="/v1/files").sent().head().data(b"ok")
    record(store, captured([plain("SAME"), asking("ASKING"), binary.end().done()]))
    store.close()
    return url


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, arguments, catch_exceptions=False)


@pytest.mark.usefixtures("records")
class TestExport:
    def test_moonpalaces_shape_has_its_keys_and_only_strings_in_its_metadata(self) -> None:
        document = json.loads(run("export", "ASKING", "--bad", "--tag", "x").stdout)

        assert list(document) == ["metadata", "request", "response", "category", "tags"]
        assert set(document["metadata"]) - MOONPALACE == {"moontide_id"}
        assert all(isinstance(value, str) for value in document["metadata"].values())
        assert document["metadata"]["status"] == document["response"]["status"] == "200 OK"
        assert document["metadata"]["server_timing"] == "3"
        assert set(document["request"]) == {"url", "header", "body"}
        assert document["request"]["body"] == json.loads(ASKED)
        assert (document["category"], document["tags"]) == ("badcase", ["x"])

    def test_a_verdict_stays_with_the_exchange(self) -> None:
        run("export", "ASKING", "--good", "--tag", "x")

        assert json.loads(run("export", "ASKING").stdout)["category"] == "goodcase"

    def test_escaped_html_reads_back_the_same(self) -> None:
        text = run("export", "ASKING", "--escape-html").stdout

        assert "<" not in text
        assert json.loads(text) == json.loads(run("export", "ASKING").stdout)

    def test_files_are_private_named_as_moonpalace_names_them_and_never_another_ones(self, tmp_path: Path) -> None:
        folder = tmp_path / "out"
        folder.mkdir()
        (folder / "chatcmpl-ASKING.json").write_text("{}")

        assert run("export", "--all", "--directory", str(folder)).exit_code == 0
        run("export", "--all", "--directory", str(folder))

        names = {path.name for path in folder.iterdir()}
        assert names == {
            "chatcmpl-ASKING.json", "chatcmpl-ASKING-ASKING.json", "chatcmpl-SAME.json", "requestid-msh-BINARY.json",
        }  # fmt: skip
        assert (folder / "chatcmpl-ASKING.json").read_text() == "{}"
        assert stat.S_IMODE(os.stat(folder / "chatcmpl-SAME.json").st_mode) == 0o600

    def test_a_har_is_read_by_a_reader_of_har(self, tmp_path: Path) -> None:
        file = tmp_path / "all.har"
        run("export", "--all", "--har", "-o", str(file))

        entries = HarParser(json.loads(file.read_text())).har_data["entries"]

        assert len(entries) == 6  # the client's side and one call of three exchanges
        assert [entry["time"] for entry in entries] == [1000.0] * 6
        assert all(entry["timings"]["wait"] + entry["timings"]["receive"] == 1000.0 for entry in entries)

    def test_a_conversation_is_one_that_openai_takes(self) -> None:
        (line,) = run("export", "ASKING", "--jsonl", "openai").stdout.splitlines()

        example = json.loads(line)
        TypeAdapter(list[ChatCompletionMessageParam]).validate_python(example["messages"], strict=True)
        assert [message["role"] for message in example["messages"]] == ["user", "assistant"]
        assert example["messages"][1]["tool_calls"][0]["function"] == {"name": "f", "arguments": "{}"}
        assert "reasoning_content" not in line
        assert example["tools"] == json.loads(ASKED)["tools"]

    def test_a_line_for_the_vendor_verifier_is_a_request_that_the_sdk_takes(self) -> None:
        done = run("export", "--all", "--jsonl", "k2vv")

        (line,) = done.stdout.splitlines()
        assert set(json.loads(line)) == {"model", "messages", "tools"}
        assert "it offered no tools" in done.stderr

    def test_a_curl_command_is_one_a_shell_reads_with_a_placeholder_for_the_key(self) -> None:
        words = shlex.split(run("export", "ASKING", "--curl").stdout)

        assert words[words.index("--data-raw") + 1].encode() == ASKED
        assert "Authorization: Bearer $MOONSHOT_API_KEY" in words

    def test_a_body_that_no_shell_can_hold_comes_on_standard_input(self) -> None:
        command = run("export", "BINARY", "--curl").stdout

        assert command.startswith("base64 -d <<'END' | curl")
        assert "JwD/Cg==" in command

    @pytest.mark.parametrize(
        "arguments",
        [[], ["ASKING", "--all"], ["ASKING", "--har", "--curl"], ["--all", "-o", "x.json"], ["ASKING", "--model", "m"]],
    )
    def test_what_makes_no_sense_is_wrong_usage(self, arguments: list[str]) -> None:
        assert run("export", *arguments).exit_code == 2


def moonpalace(path: Path) -> None:
    with sqlite3.connect(path) as database:
        database.execute(
            "CREATE TABLE moonshot_requests (id integer primary key, request_method text, request_path text,"
            " request_query text, moonshot_request_id text, response_status_code integer, response_content_type text,"
            " request_header text, request_body text, response_header text, response_body text, error text,"
            " response_ttft integer, latency integer, endpoint text, created_at text)"
        )
        row = (
            "POST",
            "/v1/chat/completions",
            "",
            "msh-1",
            200,
            "application/json",
            "Content-Type: application/json\r\n",
        )
        rest = ("Msh-Request-Id: msh-1\r\n", ANSWER.decode(), None, 250, 1_500_000_000, "https://api.moonshot.cn")
        for id, at in ((1, "2025-01-02 03:04:05"), (2, "no time")):
            values = (id, *row, ASKED.decode(), *rest, at)
            database.execute(f"INSERT INTO moonshot_requests VALUES ({','.join('?' * len(values))})", values)
    database.close()


def kimi_proxy(folder: Path) -> Path:
    columns = ["request_path", "response_path", "provider_request_path", "provider_response_path"]
    with sqlite3.connect(folder / "logs.db") as database:
        names = ["request_id", "timestamp", "method", "url", "model", "provider", "client_format", *columns]
        texts = ", ".join(f"{name} TEXT" for name in names)
        database.execute(
            f"CREATE TABLE logs (id INTEGER PRIMARY KEY, status_code INTEGER, latency_ms INTEGER, {texts})"
        )
        (folder / "logs").mkdir()
        for name in columns:
            (folder / "logs" / name).write_bytes(ANSWER if "response" in name else ASKED)
        known = ["r1", "2025-01-02T03:04:05.678Z", "POST", "/v1/chat/completions", "kimi-k2", "openai", "openai"]
        for id, paths in ((1, columns), (2, ["../../etc/passwd", *columns[1:]])):
            values = [id, 200, 1500, *known, *paths]
            database.execute(f"INSERT INTO logs VALUES ({','.join('?' * len(values))})", values)
    database.close()
    return folder / "logs.db"


class TestImport:
    @pytest.fixture(autouse=True)
    def _empty_records(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("MOONTIDE_RECORDS_URL", url_in(tmp_path))
        monkeypatch.setenv("MOONTIDE_HOME", str(tmp_path))

    def test_a_moonpalace_database_comes_in_once(self, tmp_path: Path) -> None:
        moonpalace(tmp_path / "palace.sqlite")

        first, second = (run("import", str(tmp_path / "palace.sqlite")) for _ in range(2))

        assert first.stdout == "1 imported, 0 were there already, 1 not taken\n"
        assert "row 2: " in first.stderr
        assert second.stdout == "0 imported, 1 were there already, 1 not taken\n"
        (row,) = map(json.loads, run("list", "--json").stdout.splitlines())
        facts = (row["completion_id"], row["provider_request_id"], row["first_byte_s"], row["latency_s"])
        assert facts == ("chatcmpl-x", "msh-1", 0.25, 1.5)

    def test_a_kimi_proxy_database_comes_in_with_its_files_and_no_others(self, tmp_path: Path) -> None:
        done = run("import", str(kimi_proxy(tmp_path)))

        assert done.stdout == "1 imported, 0 were there already, 1 not taken\n"
        assert "lies outside" in done.stderr
        assert (
            run("inspect", "1", "--print", "request_body,response_body").stdout_bytes == ASKED + b"\n" + ANSWER + b"\n"
        )
        assert run("inspect", "1", "--call", "c1", "--print", "response_body").stdout_bytes == ANSWER + b"\n"

    def test_an_export_comes_back_with_its_id_and_marks(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        moonpalace(tmp_path / "palace.sqlite")
        run("import", str(tmp_path / "palace.sqlite"))
        run("export", "1", "--good", "--tag", "x", "--directory", str(tmp_path / "out"))
        exported = run("export", "1").stdout
        monkeypatch.setenv("MOONTIDE_RECORDS_URL", f"sqlite:///{tmp_path}/other.db")

        assert run("import", str(tmp_path / "out")).exit_code == 0

        assert json.loads(run("export", "1").stdout) == json.loads(exported)

    def test_a_file_of_another_kind_is_named(self, tmp_path: Path) -> None:
        with sqlite3.connect(tmp_path / "other.sqlite") as database:
            database.execute("CREATE TABLE t (id)")
        database.close()

        done = run("import", str(tmp_path / "other.sqlite"))

        assert (done.exit_code, "neither MoonPalace's" in done.stderr) == (1, True)


@pytest.mark.usefixtures("records")
class TestCleanup:
    def test_deletes_what_fits_and_nothing_else(self) -> None:
        assert (
            run("cleanup", "--before", "1s", "-p", "path == '/v1/files'", "--dry-run").stdout == "1 would be deleted\n"
        )
        assert run("cleanup", "--before", "1s", "-p", "path == '/v1/files'").stdout.startswith("1 deleted")
        assert len(run("list", "--json").stdout.splitlines()) == 2

    def test_keeps_a_size(self) -> None:
        assert run("cleanup", "--keep-size", "1k").stdout.startswith("3 deleted")
        assert run("cleanup", "--keep-size", "lots").exit_code == 2
