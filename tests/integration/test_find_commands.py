"""`moontide list`, `mark`, `stats`, `diff` and `inspect` over the same five exchanges."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from services.cli.main import main
from shared.records import database
from tests.fixtures.found import IDS, LETTERS, fill
from tests.fixtures.recording import url_in


@pytest.fixture
def records(found_url: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """On each kind of database, for those that only read."""
    monkeypatch.setenv("MOONTIDE_RECORDS_URL", found_url)
    return found_url


@pytest.fixture
def own_records(records_url: str, monkeypatch: pytest.MonkeyPatch) -> str:
    fill(records_url)
    monkeypatch.setenv("MOONTIDE_RECORDS_URL", records_url)
    return records_url


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, list(arguments))


def shown(*arguments: str) -> str:
    result = run(*arguments)
    assert result.exit_code == 0, result.stderr
    return result.stdout


def lines(*arguments: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in shown(*arguments, "--json").splitlines()]


def listed(*arguments: str) -> str:
    return "".join(LETTERS[line["id"]] for line in lines("list", *arguments))


@pytest.mark.usefixtures("records")
class TestList:
    @pytest.mark.parametrize(
        ("arguments", "ids"),
        [
            (["-p", "status == 200", "-p", "response_body.choices.0.finish_reason == 'length'"], "ED"),
            (["--predicate", "tag == 'moon'"], "B"),
            (["--search", "la la"], "E"),
            (["--id", "lookup_0"], "B"),
            (["--good"], ""),
            (["--bad"], "B"),
            (["--tag", "moon", "--tag", "tools"], "B"),
            (["--tool", "lookup"], "B"),
            (["--repair", "tool_calls"], "B"),
            (["--client", "other"], "E"),
            (["--errors"], "C"),
            (["--chatonly", "-n", "2"], "ED"),
            (["--since", "2026-01-01", "--until", "2027-01-01", "--status", "429"], "C"),
            (["--until", "2020-01-01"], ""),
            (["-n", "2"], "ED"),
            (["-n", "0"], "EDCBA"),
        ],
    )
    def test_lets_through_what_its_options_say(self, arguments: list[str], ids: str) -> None:
        assert listed(*arguments) == ids

    def test_shows_marks_where_there_are_any(self) -> None:
        assert "bad #moon #tools the call was in the text" in shown("list")
        assert "marks" not in shown("list", "--model", "kimi-latest")

    def test_json_has_the_marks(self) -> None:
        (line,) = lines("list", "--bad")

        assert (line["category"], line["tags"], line["notes"]) == (
            "bad",
            ["moon", "tools"],
            ["the call was in the text"],
        )

    def test_exports_what_it_lists(self, tmp_path: Path) -> None:
        listing = shown("list", "--status", "200", "-n", "2", "--export", str(tmp_path / "out"))

        assert len(listing.splitlines()) == 3
        documents = [json.loads(file.read_text()) for file in (tmp_path / "out").iterdir()]
        assert {document["metadata"]["moontide_id"] for document in documents} == {IDS["E"], IDS["D"]}

    def test_an_unreadable_predicate_is_shown_with_the_place(self) -> None:
        result = run("list", "-p", "status = 200")

        assert result.exit_code == 2
        assert "write == for equality\n  status = 200\n         ^" in result.stderr


@pytest.mark.usefixtures("own_records")
class TestMark:
    def test_says_what_is_thought_now(self) -> None:
        assert shown("mark", "1", "--good", "--tag", "a", "--tag", "b", "--note", "fine") == "1  good  #a  #b  fine\n"
        assert shown("mark", "1", "--bad", "--untag", "a") == "1  bad  #b  fine\n"
        assert listed("--bad") == "BA"
        assert shown("mark", "1", "--clear") == "1  no marks\n"
        assert listed("--bad") == "B"

    def test_says_twice_what_is_one_mark(self) -> None:
        shown("mark", "1", "--tag", "a")

        assert shown("mark", "1", "--tag", "a") == "1  #a\n"

    @pytest.mark.parametrize(
        ("arguments", "status"),
        [
            (["1"], 2),
            (["--good"], 2),
            (["1", "--tag", " "], 2),
            (["1", "--note", "x" * 10_001], 2),
            (["99", "--good"], 1),
        ],
    )
    def test_refuses_what_says_nothing_or_names_nothing(self, arguments: list[str], status: int) -> None:
        assert run("mark", *arguments).exit_code == status

    def test_makes_no_database(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("MOONTIDE_RECORDS_URL", url_in(tmp_path / "none"))

        assert run("mark", "1", "--good").exit_code == 1
        assert not (tmp_path / "none").exists()


@pytest.mark.usefixtures("records")
class TestStats:
    def test_has_a_line_for_each_group(self) -> None:
        table = [line.split() for line in shown("stats", "--by", "provider,model").splitlines()]

        assert table[0][:4] == ["provider", "model", "exchanges", "errors"]
        assert [row[:4] for row in table[1:]] == [
            ["moonshot", "kimi-k2", "3", "0"],
            ["moonshot", "-", "1", "1"],
            ["openrouter", "kimi-latest", "1", "0"],
        ]

    def test_counts_what_its_filters_let_through(self) -> None:
        (line,) = lines("stats", "-p", "response_body ~ 'la la'", "--by", "client")

        assert (line["client"], line["exchanges"], line["latency_s"]["p99"]) == ("other", 1, 9.0)

    def test_quality_is_by_provider_and_its_model(self) -> None:
        (line,) = lines("stats", "--quality")

        assert (line["provider"], line["model"], line["trigger_rate"]) == ("moonshot", "kimi-k2.6", 0.5)
        assert "50.0%" in shown("stats", "--quality")
        assert shown("stats", "--quality", "--until", "2020-01-01") == ""

    @pytest.mark.parametrize("by", ["", "weather", "model,model"])
    def test_refuses_groups_that_there_are_not(self, by: str) -> None:
        assert run("stats", "--by", by).exit_code == 2


@pytest.mark.usefixtures("records")
class TestDiff:
    def test_shows_what_the_provider_sent_and_what_the_client_got(self) -> None:
        told = shown("diff", "2", "--unified")

        assert "- choices.0.message.content: Let me see. <|tool_call|>\n" in told
        assert "+ choices.0.message.content: Let me see.\n" in told
        assert "+ choices.0.message.tool_calls.0.function.name: lookup\n" in told
        assert "dropped: seed" in told

    def test_shows_both_side_by_side(self) -> None:
        told = shown("diff", "2", "--side-by-side")

        (line,) = [line for line in told.splitlines() if line.startswith("choices.0.finish_reason")]
        assert line.split() == ["choices.0.finish_reason:", "stop", "|", "choices.0.finish_reason:", "tool_calls"]

    def test_says_that_nothing_was_changed(self) -> None:
        told = shown("diff", "4")

        assert "== request: the same on both sides" in told
        assert "== answer: the same on both sides" in told

    def test_shows_the_bytes(self) -> None:
        told = shown("diff", "2", "--raw")

        assert '- data: {"id":"chatcmpl-9"' in told
        assert "+ data: [DONE]" in told

    def test_shows_what_is_the_same_as_well(self) -> None:
        assert "… " in shown("diff", "2")
        assert "… " not in shown("diff", "2", "--all")

    def test_gives_each_difference_as_an_object(self) -> None:
        told = [one for one in lines("diff", "2") if "finish_reason" in (one["client"] or "")]

        sent, got = "choices.0.finish_reason: stop", "choices.0.finish_reason: tool_calls"
        assert told == [{"of": "answer", "kind": "changed", "provider": sent, "client": got}]

    def test_tells_what_is_not_recorded(self) -> None:
        assert "nothing is recorded of what c1 sent" in shown("diff", "3")

    @pytest.mark.parametrize(("arguments", "status"), [([], 2), (["99"], 1), (["2", "--call", "c9"], 1)])
    def test_names_what_is_not_there(self, arguments: list[str], status: int) -> None:
        assert run("diff", *arguments).exit_code == status


@pytest.mark.usefixtures("records")
class TestInspect:
    def test_says_in_its_first_line_what_happened(self) -> None:
        assert shown("inspect", "2").splitlines()[0] == (
            "#2  kimi-k2  200  complete  tool_calls  in 1.00 s  1 repair  bad  #moon  #tools  the call was in the text"
        )
        assert shown("inspect", "3").splitlines()[0] == "#3  429  refused  in 0.10 s"

    def test_tells_of_each_call_whether_it_was_mended(self) -> None:
        told = shown("inspect", "2")

        assert '-> lookup({"q": 1})  lookup_0\n    mended: the provider wrote it differently' in told
        assert "(reasoning)\n    hmm" in told
        assert "moontide diff 2" in told

    def test_gives_marks_and_tool_calls_as_json(self) -> None:
        whole = json.loads(shown("inspect", "2", "--json"))

        assert whole["marks"]["category"] == "bad"
        assert [(row["name"], row["valid"], row["repaired"]) for row in whole["tool_calls"]] == [("lookup", True, True)]


def test_a_database_that_stays_locked_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """SQLite; Postgres lets one mark while another writes."""
    records = url_in(tmp_path)
    fill(records)
    monkeypatch.setenv("MOONTIDE_RECORDS_URL", records)
    monkeypatch.setattr(database, "BUSY_TIMEOUT_S", 0.01)
    monkeypatch.setattr(database.open_writer, "__defaults__", (0.01,))
    recorder = database.open_writer(records)
    with recorder.begin():
        result = run("mark", "1", "--good")
    recorder.dispose()

    assert (result.exit_code, result.stderr) == (1, "Error: the records can't be marked: database is locked\n")


@pytest.mark.usefixtures("records")
@pytest.mark.parametrize("command", [("list",), ("stats",), ("stats", "--quality")])
def test_that_nothing_matches_is_told_to_people_and_not_to_programs(command: tuple[str, ...]) -> None:
    none = (*command, "--id", "nobody") if command == ("list",) else (*command, "--model", "nobody")
    found, told = run(*none), run(*none, "--json")

    assert (found.exit_code, found.stdout, found.stderr) == (0, "", "No recorded exchange matches.\n")
    assert (told.exit_code, told.stdout, told.stderr) == (0, "", "")
