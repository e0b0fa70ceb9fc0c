"""Exchanges are found by whatever is known of them, the same on both databases."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from click.testing import CliRunner
from sqlalchemy import insert

from services.cli.main import main
from shared.records.database import open_writer
from shared.records.filters import Filter
from shared.records.marks import Marks, marking
from shared.records.moments import local_time
from shared.records.names import EXCHANGES
from shared.records.predicates import PredicateError, predicate
from shared.records.queries import Records, reading
from shared.records.statistics import OFFERS_TOOLS, quality_of, sums_by
from tests.fixtures.exchanges import BEGAN
from tests.fixtures.found import HOUR_S, IDS, fill, letters

NOW = BEGAN + 4.5 * HOUR_S


@pytest.fixture
def records(found_url: str) -> Iterator[Records]:
    with reading(found_url) as found:
        yield found


def found(records: Records, *texts: str, limit: int | None = None, **filter: Any) -> str:
    which = Filter(predicate=predicate(*texts, now=NOW) if texts else None, **filter)
    return letters(list(records.newest(limit, which)))


IN_COLUMNS = [
    ("status == 200", "EDBA"),
    ("response_status_code == '429'", "C"),
    ("status != 200", "C"),
    ("status ~ '4*'", "C"),
    ("status @ [200, '429']", "EDCBA"),
    ("status !@ [200]", "C"),
    ("status > 200 && status <= 429", "C"),
    ("model == 'kimi-latest'", "D"),
    ("model != 'kimi-latest'", "EBA"),
    ("model == null", "C"),
    ("model != null", "EDBA"),
    ("model ~ 'LATEST'", "D"),
    ("model ~ 'kimi*'", "EDBA"),
    ("model !~ '*2'", "D"),
    ("model ~ 'k_mi-k2'", "EBA"),
    ("model ~ 'k\\imi'", ""),
    ("model @ ['kimi-latest', 'x']", "D"),
    ("id == 2", "B"),
    ("id == '2'", "B"),
    (f"id == '{IDS['C']}'", "C"),
    (f"id @ ['{IDS['C']}', '{IDS['A']}']", "CA"),
    (f"moontide_id == '{IDS['C']}'", "C"),
    (f"chatcmpl == 'chatcmpl-{IDS['A']}'", "A"),
    (f"request_id == 'msh-{IDS['D']}'", "D"),
    ("streamed == true", "EB"),
    ("streamed == false", "DCA"),
    ("streamed != true", "DCA"),
    ("latency > 5000", "E"),
    ("ttft == 200", "EDCBA"),
    ("prompt_tokens == 12", "EDBA"),
    ("prompt_tokens == null", "C"),
    ("error ~ 'too many'", "C"),
    ("url ~ '*limit=5'", "C"),
    ("client == 'other'", "E"),
    ("provider == 'openrouter'", "D"),
    ("category == 'badcase'", "B"),
    ("category != 'bad'", "EDCA"),
    ("category == null", "EDCA"),
    ("tag == 'moon' && tag == 'tools'", "B"),
    ("tag != 'moon'", "EDCA"),
    ("tag @ ['x', 'moon']", "B"),
    ("tag !@ ['x']", "EDCBA"),
    ("tag ~ 'oo*' || tag ~ '*ols'", "B"),
    ("tag != null", "B"),
    ("note ~ 'in the text'", "B"),
    ("tool == 'lookup'", "B"),
    ("tool_call_id == 'lookup_0'", "B"),
    ("tool == null", "EDCA"),
    ("repair == 'tool_calls'", "B"),
    ("repair ~ 'tool*'", "B"),
    ("repair != 'tool_calls'", "EDCA"),
    ("repair @ ['x', 'tool_calls']", "B"),
    ("repair == 'toolXcalls'", ""),
    ("repair == null", "EDCA"),
    ("repair != null", "B"),
    ("requested_at > '2h'", "ED"),
    (f"at >= {BEGAN + HOUR_S}", "EDCB"),
    (f"at > {BEGAN + HOUR_S}", "EDC"),
    (f"at < {BEGAN + HOUR_S}", "A"),
    (f"at <= {BEGAN + HOUR_S}", "BA"),
    (f"at == {BEGAN}", "A"),
    (f"at != {BEGAN}", "EDCB"),
    (f"requested_at == '{local_time(BEGAN)}'", "A"),
    (f"requested_at != '{local_time(BEGAN)}'", "EDCB"),
    (f"requested_at > '{local_time(BEGAN)}'", "EDCB"),
    (f"requested_at >= '{local_time(BEGAN)}'", "EDCBA"),
    (f"requested_at < '{local_time(BEGAN)}'", ""),
    (f"requested_at <= '{local_time(BEGAN)}'", "A"),
    (f"requested_at @ ['{local_time(BEGAN)}', '2020-01-01']", "A"),
    (f"requested_at !@ ['{local_time(BEGAN)}']", "EDCB"),
    ("requested_at > '2020-01-01' && requested_at >= '2020-01-01'", "EDCBA"),
    ("requested_at < '2020-01-01' || requested_at <= '2020-01-01'", ""),
    ("status == 429 || model == 'kimi-latest' && streamed == false", "DC"),
    ("(status == 429 || model == 'kimi-latest') && streamed == true", ""),
]
BEHIND_SQL = [
    ("model % '^kimi-k[0-9]$'", "EBA"),
    ("model !% 'k2'", "D"),
    ("status % '^4'", "C"),
    ("requested_at ~ '2026-*'", "EDCBA"),
    ("server_timing == 3", "EDBA"),
    ("server_timing >= 3.5", ""),
    ("request_path == '/v1/files'", "C"),
    ("request_query ~ 'limit=*'", "C"),
    ("repairs.tool_calls > 0", "B"),
    ("repairs ~ 'tool'", "B"),
    ("repairs == null", "EDCA"),
    ("response_header.CONTENT-TYPE ~ 'json'", "DA"),
    ("response_header.content-type == null", "CB"),
    ("response_header % 'ontent-.ype: text'", "E"),
    ("response_body.choices.0.finish_reason == 'length'", "ED"),
    ("response_body.choices.0.finish_reason != 'length'", "B"),
    ("response_body.choices.0.finish_reason == null", "CA"),
    ("response_body.choices.-1.message.tool_calls.0.function.name == 'lookup'", "B"),
    ("response_body.choices.0.message.content ~ 'let me SEE'", "B"),
    ("response_body.choices.0.message.content % '^La la$'", "E"),
    ("response_body ~ 'data: *'", "EB"),
    ("response_body ~ 'too many'", "C"),
    ("response_body.error.message % 'many'", "C"),
    ("request_body.model @ ['kimi-latest']", "D"),
    ("request_body.messages.-1.role == 'user'", "EDCBA"),
    ("request_body.messages.0.content ~ '月亮'", "B"),
    ("request_body.tools.0.function.name != null", "EB"),
    ("request_body.tools == null", "DCA"),
    ("status == 200 && response_body.choices.0.finish_reason == 'length'", "ED"),
    ("status == 429 || response_body.choices.0.finish_reason == 'length'", "EDC"),
    ("(status == 429 || tag == 'moon') && response_body != null", "CB"),
    ("tag == 'moon' || (response_body ~ 'length' && streamed == true)", "EB"),
    ("model % 'k2' && (request_body.tools == null || response_body ~ 'La la')", "EA"),
]


@pytest.mark.parametrize(("text", "ids"), IN_COLUMNS)
def test_a_predicate_over_columns_is_sqls(records: Records, text: str, ids: str) -> None:
    assert predicate(text, now=NOW).fits is None
    assert found(records, text) == ids


@pytest.mark.parametrize(("text", "ids"), IN_COLUMNS)
def test_what_sql_decides_counts_the_same_beside_what_it_can_not(records: Records, text: str, ids: str) -> None:
    assert found(records, f"({text}) || response_body == 'never'") == ids
    assert found(records, f"({text}) && (response_body == null || response_body != null)") == ids


@pytest.mark.parametrize(("text", "ids"), BEHIND_SQL)
def test_a_predicate_over_bodies_is_decided_row_by_row(records: Records, text: str, ids: str) -> None:
    assert predicate(text, now=NOW).fits is not None
    assert found(records, text) == ids


def test_several_predicates_must_all_hold(records: Records) -> None:
    assert found(records, "status == 200 || status == 429", "response_body ~ 'length'", "streamed == true") == "E"


def test_a_limit_counts_what_was_found(records: Records) -> None:
    assert found(records, "response_body.choices.0.finish_reason == 'length'", limit=1) == "E"
    assert found(records, "status == 200", limit=2) == "ED"


@pytest.mark.parametrize(
    ("text", "at", "problem"),
    [
        ("stats == 1", 0, "'stats'; there are status"),
        ("zzz == 1", 0, "no field is called 'zzz'"),
        ("status == 'ok'", 10, "status is a number"),
        ("status == 200 && streamed == 'yes'", 29, "streamed is true or false"),
        ("model == true", 9, "model is a text"),
        ("requested_at > 'noon'", 15, "'noon' is no time"),
        ("requested_at > true", 15, "a time"),
        ("status.code == 1", 15, "holds no JSON"),
        ("tag > 'x'", 6, "> is not for tag"),
        ("tag % 'x'", 6, "% is not for tag"),
        ("repair % 'x'", 9, "% is not for repair"),
        ("model % '('", 8, "no regular expression"),
        ("response_body.id % '('", 19, "no regular expression"),
    ],
)
def test_what_can_not_be_asked_is_refused_at_its_place(text: str, at: int, problem: str) -> None:
    with pytest.raises(PredicateError) as raised:
        predicate(text, now=NOW)

    assert raised.value.at == at
    assert problem in raised.value.problem


@pytest.mark.parametrize(
    ("filter", "ids"),
    [
        ({"model": "kimi-latest"}, "D"),
        ({"provider": "openrouter"}, "D"),
        ({"status": 429}, "C"),
        ({"state": "live"}, ""),
        ({"client": "other"}, "E"),
        ({"category": "bad"}, "B"),
        ({"tags": ("moon", "tools")}, "B"),
        ({"tags": ("moon", "sun")}, ""),
        ({"tool": "lookup"}, "B"),
        ({"repair": "tool_calls"}, "B"),
        ({"named": "3"}, "C"),
        ({"named": f"msh-{IDS['A']}"}, "A"),
        ({"named": "lookup_0"}, "B"),
        ({"named": IDS["A"][:10]}, "EDCBA"),
        ({"search": "moon"}, "D"),
        ({"search": "月亮"}, "B"),
        ({"search": "lookup"}, "B"),
        ({"search": "..."}, ""),
        ({"chat_only": True}, "EDBA"),
        ({"errors": True}, "C"),
        ({"since": BEGAN + 3 * HOUR_S}, "ED"),
        ({"until": BEGAN + HOUR_S}, "A"),
        ({"since": BEGAN + HOUR_S, "until": BEGAN + 3 * HOUR_S, "status": 200}, "B"),
    ],
)
def test_a_filter_lets_through_what_it_says(records: Records, filter: dict[str, Any], ids: str) -> None:
    assert found(records, **filter) == ids
    assert found(records, "response_body != 'never'", **filter) == ids


def test_the_sums_of_a_group_are_those_of_its_exchanges(records: Records) -> None:
    sums = sums_by(records, Filter(), ["model", "client"])

    assert list(sums) == [("kimi-k2", "tests"), ("-", "tests"), ("kimi-k2", "other"), ("kimi-latest", "tests")]
    told = sums["kimi-k2", "tests"].told()
    assert (told["exchanges"], told["errors"], told["prompt_tokens"], told["repaired"]) == (2, 0, 24, 1)
    assert (told["tool_calls"], told["valid"], told["valid_unrepaired"]) == (1, 1, 0)
    assert (told["good"], told["bad"], told["latency_s"]) == (0, 1, {"p50": 1.0, "p95": 1.0, "p99": 1.0})
    assert (sums["-", "tests"].errors, sums["-", "tests"].told()["schema_accuracy"]) == (1, None)


def test_sums_are_of_what_a_filter_lets_through(records: Records) -> None:
    which = Filter(predicate=predicate("response_body.choices.0.finish_reason == 'length'", now=NOW))

    assert {key: sums.exchanges for key, sums in sums_by(records, which, ["provider"]).items()} == {
        ("moonshot",): 1,
        ("openrouter",): 1,
    }


def test_days_come_newest_first(records: Records) -> None:
    days = [day for (day,) in sums_by(records, Filter(), ["day"])]

    assert days == sorted(days, reverse=True)


def test_the_quality_of_tool_calls_is_of_answers_to_requests_that_offered_tools(records: Records) -> None:
    offering = Filter(predicate=predicate(OFFERS_TOOLS, now=NOW))

    ((key, quality),) = quality_of(records, offering).items()

    assert key == ("moonshot", "kimi-k2.6")
    assert quality.told() == {
        "answers": 2,
        "with_calls": 1,
        "all_valid": 1,
        "all_valid_unrepaired": 0,
        "tool_calls": 1,
        "valid": 1,
        "valid_unrepaired": 0,
        "trigger_rate": 0.5,
        "schema_accuracy": 1.0,
        "schema_accuracy_before_repair": 0.0,
    }


def test_marks_of_many_are_read_at_once(records: Records) -> None:
    assert records.marks_of_all(list(IDS.values())) == {
        IDS["B"]: Marks("bad", ("moon", "tools"), ("the call was in the text",))
    }


def test_whoever_reads_sees_what_was_committed_while_somebody_writes(records_url: str) -> None:
    fill(records_url)
    engine = open_writer(records_url)
    with engine.begin() as connection:
        new = {"id": "01NEW", "state": "live", "at": BEGAN, "calls": 0}
        connection.execute(insert(EXCHANGES), new)
        with reading(records_url) as records:
            assert found(records, "status != null && response_body != null") == "EDCBA"
            assert sum(sums.exchanges for sums in sums_by(records, Filter(), ["model"]).values()) == 5
    engine.dispose()
    with reading(records_url) as records:
        assert [row["id"] for row in records.newest(1)] == ["01NEW"]


def test_marks_are_written_beside_a_recorder_that_is_connected(records_url: str) -> None:
    fill(records_url)
    recorder = open_writer(records_url)
    with recorder.connect() as connection:
        connection.exec_driver_sql("SELECT 1")
        connection.rollback()
        with marking(records_url) as marks:
            marks.categorise(IDS["A"], "good")
    with recorder.begin() as connection:
        connection.execute(insert(EXCHANGES), {"id": "01NEW", "state": "live", "at": BEGAN, "calls": 0})
    recorder.dispose()

    with reading(records_url) as records:
        assert found(records, category="good") == "A"


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["list", "-p", "response_body.choices.0.finish_reason == 'length'", "--search", "moon"], "kimi-latest"),
        (["inspect", "2"], "#2  kimi-k2  200  complete  tool_calls"),
        (["diff", "2"], "+ choices.0.message.tool_calls.0.function.name: lookup"),
        (["stats", "--quality"], "50.0%"),
    ],
)
def test_commands_read_either_database(
    found_url: str, monkeypatch: pytest.MonkeyPatch, arguments: list[str], told: str
) -> None:
    monkeypatch.setenv("MOONTIDE_RECORDS_URL", found_url)

    result = CliRunner().invoke(main, arguments)

    assert (result.exit_code, result.stderr) == (0, "")
    assert told in result.stdout


def test_mark_writes_to_either_database(records_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(records_url)
    monkeypatch.setenv("MOONTIDE_RECORDS_URL", records_url)

    result = CliRunner().invoke(main, ["mark", "1", "--good", "--tag", "x"])

    assert result.stdout == "1  good  #x\n"
