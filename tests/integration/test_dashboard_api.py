"""What the dashboard answers, over records of every kind."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

import anyio
import pytest
import pytest_asyncio

from services.dashboard.archive import page as page_found
from services.dashboard.rules.asking import page_of
from shared.bus import Delivery
from shared.config import load
from shared.config.client_keys import parse_client_keys
from shared.contracts import Cancel, decode
from shared.records.queries import reading
from tests.fixtures.exchanges import BEGAN
from tests.fixtures.found import IDS, LETTERS, fill
from tests.fixtures.pages import Page, kept, page, visitor
from tests.fixtures.recording import url_in

KEY = "operator-key-0123456789"
KEYS = parse_client_keys(f"ann: {KEY}\n", "keys.yaml")


@pytest.fixture(scope="module")
def filled(found_url: str) -> str:
    """Of each kind of database; nothing here changes it for good."""
    return found_url


@pytest.fixture(scope="module")
def address(filled: str) -> Iterator[str]:
    with kept(filled, hosts=("moon.example",)) as found:
        yield found


@pytest.fixture(scope="module")
def locked_address(filled: str) -> Iterator[str]:
    with kept(filled, KEYS) as found:
        yield found


@pytest_asyncio.fixture
async def shown(address: str) -> AsyncIterator[Page]:
    async with visitor() as http:
        yield Page(address, http)


@pytest_asyncio.fixture
async def locked(locked_address: str) -> AsyncIterator[Page]:
    async with visitor() as http:
        yield Page(locked_address, http)


def listed(answer: Any) -> str:
    return "".join(LETTERS[row["id"]] for row in answer["rows"])


# -- many


async def test_the_list_is_newest_first_and_goes_on_where_the_last_page_ended(shown: Page) -> None:
    _, first = await shown.get("exchanges?limit=2")
    _, second = await shown.get(f"exchanges?limit=2&before={first['before']}")
    _, last = await shown.get(f"exchanges?limit=2&before={second['before']}")

    assert [listed(one) for one in (first, second, last)] == ["ED", "CB", "A"]
    assert last["before"] is None


FILTERS = [
    ("model=kimi-latest", "D"),
    ("provider=openrouter", "D"),
    ("status=429", "C"),
    ("outcome=refused", "C"),
    ("errors=1", "C"),
    ("client=other", "E"),
    ("tag=tools&tag=moon", "B"),
    ("category=bad", "B"),
    ("tool=lookup", "B"),
    ("repair=tool_calls", "B"),
    ("search=月亮", "B"),
    (f"named={IDS['A']}", "A"),
    (f"since={BEGAN + 3600:.0f}&until={BEGAN + 3 * 3600:.0f}", "CB"),
    ("chat_only=1", "EDBA"),
    ("p=status == 200&p=model == 'kimi-k2'", "EBA"),
    ("p=response_body.choices.0.finish_reason == 'length'", "ED"),
    ("p=response_body ~ 'La'&p=status == 200", "E"),
    ("model=nobody", ""),
]


@pytest.mark.parametrize(("query", "expected"), FILTERS)
async def test_every_filter_of_the_command_line_is_there(shown: Page, query: str, expected: str) -> None:
    status, answer = await shown.get("exchanges?" + quote(query, safe="=&"))

    assert (status, listed(answer)) == (200, expected)


async def test_a_row_has_its_marks_and_tools(shown: Page) -> None:
    _, answer = await shown.get(f"exchanges?named={IDS['B']}")
    (row,) = answer["rows"]

    assert (row["category"], sorted(row["tags"]), row["tools"]) == ("bad", ["moon", "tools"], [["lookup", True]])


@pytest.mark.parametrize(("path", "field"), [("exchanges?p=status = 2", "p"), ("stats?since=never", "since")])
async def test_a_filter_that_can_t_be_meant_says_which(shown: Page, path: str, field: str) -> None:
    status, answer = await shown.get(path)

    assert (status, answer["error"]["field"]) == (400, field)


async def test_the_front_rows_count_by_provider_and_model(shown: Page) -> None:
    _, answer = await shown.get("stats")
    rows = {(row["provider"], row["model"]): row for row in answer["rows"]}

    assert rows["moonshot", "kimi-k2"]["exchanges"] == 3
    assert rows["moonshot", "kimi-k2"]["tool_calls"] == 1
    assert rows["moonshot", "kimi-k2"]["not_found"] == 0
    assert sum(row["errors"] for row in rows.values()) == 1


def test_a_search_through_bodies_stops_when_its_time_is_up_and_can_go_on(filled: str) -> None:
    ticks = iter([0.0, 10.0])
    asked = page_of({"p": ["response_body ~ 'nowhere'"]}, BEGAN)
    with reading(filled) as records:
        found = page_found(records, asked, lambda: next(ticks))

    assert (found.rows, found.before, found.searched_to) == ([], None, None)  # five fit one window: it is whole


def test_it_says_how_far_back_it_has_looked(filled: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.dashboard.archive.WINDOW", 2)
    ticks = iter([0.0, 10.0])
    asked = page_of({"p": ["response_body ~ 'nowhere'"]}, BEGAN)
    with reading(filled) as records:
        found = page_found(records, asked, lambda: next(ticks))

    assert (found.rows, found.before, found.searched_to) == ([], 4, BEGAN + 3 * 3600)


# -- one


async def test_an_exchange_is_found_by_any_of_its_names(shown: Page) -> None:
    for name in ("2", IDS["B"], IDS["B"].lower()):
        status, found = await shown.get(f"exchanges/{name}")
        assert (status, found["exchange"]["id"]) == (200, IDS["B"])


async def test_it_has_all_that_is_known(shown: Page) -> None:
    _, found = await shown.get(f"exchanges/{IDS['B']}")

    assert found["request"]["messages"][0]["pieces"] == [{"text": "Look up 月亮 please"}]
    assert found["answer"]["choices"][0]["tool_calls"][0]["name"] == "lookup"
    assert found["tool_calls"][0]["repaired"] is True
    assert found["answering"] == "c1"
    assert {part["name"] for part in found["parts"]} >= {"client.request", "c1.raw", "client.response"}
    assert found["marks"] == {"category": "bad", "tags": ["moon", "tools"], "notes": ["the call was in the text"]}


async def test_the_differences_stand_side_by_side(shown: Page) -> None:
    _, found = await shown.get(f"exchanges/{IDS['B']}/diff?call=c1")
    answer = next(section for section in found["sections"] if section["title"] == "answer")

    assert any(kind == "changed" and "<|tool_call|>" in left for kind, left, right in answer["pairs"] if left)


async def test_the_bytes_are_exact_and_never_a_page(shown: Page) -> None:
    async with shown.http.get(f"{shown.url}api/exchanges/{IDS['A']}/parts/client.response") as answer:
        data = await answer.read()

        assert data.startswith(b'{"id":"chatcmpl-1"')
        assert answer.content_type == "application/octet-stream"
        assert answer.headers["Content-Disposition"].startswith("attachment;")


async def test_a_stream_can_be_seen_merged_and_piece_by_piece(shown: Page) -> None:
    path = f"exchanges/{IDS['B']}/parts/c1.normal"
    _, plain = await shown.get(f"{path}/text")
    _, merged = await shown.get(f"{path}/text?merged=1")
    _, pieces = await shown.get(f"{path}/chunks")

    assert plain["text"].startswith("data: ")
    assert '"tool_calls"' in merged["text"]
    assert len(pieces["chunks"]) == 2


EXPORTS = [("moonpalace", b'"metadata"'), ("curl", b"curl -sS"), ("har", b'"log"'), ("openai", b'"messages"')]


@pytest.mark.parametrize(("shape", "holds"), EXPORTS)
async def test_it_is_exported_in_every_shape(shown: Page, shape: str, holds: bytes) -> None:
    async with shown.http.get(f"{shown.url}api/exchanges/{IDS['B']}/export/{shape}") as answer:
        assert answer.status == 200
        assert holds in await answer.read()


MISSING = [
    "exchanges/01K9AAAAAAAAAAAAAAAAAAAAAA",
    "exchanges/nothing",
    f"exchanges/{IDS['A']}/parts/c9.raw/text",
    f"exchanges/{IDS['A']}/export/pdf",
    f"exchanges/{IDS['C']}/export/openai",
    f"exchanges/{IDS['A']}/diff?call=c9",
    "exchanges/nothing/live",
    "nothing/here",
]


@pytest.mark.parametrize("path", MISSING)
async def test_what_is_not_there_is_said_to_be_missing(shown: Page, path: str) -> None:
    status, answer = await shown.get(path)

    assert status == 404
    assert answer["error"]["message"]


async def test_before_anything_was_recorded_the_list_says_so(tmp_path: Path) -> None:
    url = url_in(tmp_path)
    async with page(url) as empty:
        status, answer = await empty.get("exchanges")
        assert (status, answer["error"]["code"]) == (404, "no_records")
        fill(url)
        status, answer = await empty.get("exchanges")
        assert (status, listed(answer)) == (200, "EDCBA")


# -- writes


async def test_marks_are_set_and_taken_back(records_url: str) -> None:
    url = records_url
    fill(url)
    async with page(url) as shown:
        path = f"exchanges/{IDS['A']}/marks"
        await shown.post(path, {"category": "good", "tags": ["a", "b"], "notes": ["<b>so</b>"]})
        _, after = await shown.post(path, {"untags": ["a"]})
        assert after["marks"] == {"category": "good", "tags": ["b"], "notes": ["<b>so</b>"]}
        _, cleared = await shown.post(path, {"category": "", "untags": ["b"], "unnotes": ["<b>so</b>"]})
        assert cleared["marks"] == {"category": None, "tags": [], "notes": []}


@pytest.mark.parametrize(
    "wish", [{"category": "ugly"}, {"tags": [" "]}, {"notes": ["x" * 10_001]}, {"tags": 5}, {"other": 1}, []]
)
async def test_marks_that_are_none_are_refused(shown: Page, wish: Any) -> None:
    status, _ = await shown.post(f"exchanges/{IDS['A']}/marks", wish)
    _, found = await shown.get(f"exchanges/{IDS['A']}")

    assert status == 400
    assert found["marks"] == {"category": None, "tags": [], "notes": []}


async def test_a_running_request_is_stopped_by_hand(filled: str) -> None:
    heard: list[Delivery] = []
    came = anyio.Event()

    async def hear(message: Delivery) -> None:
        heard.append(message)
        came.set()

    async with page(filled) as shown:
        assert shown.bus is not None
        await shown.bus.subscribe(f"moontide.req.{IDS['A']}.cancel", hear)
        assert (await shown.post(f"exchanges/{IDS['A']}/cancel", {}))[0] == 200
        with anyio.fail_after(5):
            await came.wait()
        assert (await shown.post("exchanges/x/cancel", {}))[0] == 404

    assert decode(Cancel, heard[0].data).by == "operator"


# -- doors


HEADERS = ["Content-Security-Policy", "X-Content-Type-Options", "X-Frame-Options", "Referrer-Policy"]


@pytest.mark.parametrize("path", ["", "static/app.js", "static/nothing", "api/exchanges", "api/nothing", "x/1"])
async def test_every_answer_tells_browsers_to_be_careful(shown: Page, path: str) -> None:
    async with shown.http.get(shown.url + path) as answer:
        assert [name for name in HEADERS if name not in answer.headers] == []
        assert "unsafe-inline" not in answer.headers["Content-Security-Policy"]
        assert "default-src 'none'" in answer.headers["Content-Security-Policy"]


async def test_the_page_holds_no_inline_script_and_asks_nobody_else(shown: Page) -> None:
    async with shown.http.get(shown.url) as answer:
        text = await answer.text()

    assert text.count("<script") == text.count('<script type="module" src="/ui/static/')
    assert "http://" not in text
    assert "https://" not in text
    assert "style=" not in text


async def test_a_file_that_a_browser_has_is_not_sent_again(shown: Page) -> None:
    async with shown.http.get(shown.url + "static/app.js") as first:
        tag = first.headers["ETag"]
    async with shown.http.get(shown.url + "static/app.js", headers={"If-None-Match": tag}) as again:
        assert again.status == 304


@pytest.mark.parametrize("name", ["../app.py", "%2e%2e%2fapp.py", "..%2f..%2fmain.py", "app.py"])
async def test_no_other_file_can_be_had(shown: Page, name: str) -> None:
    async with shown.http.get(f"{shown.url}static/{name}") as answer:
        assert answer.status == 404


async def test_a_name_that_is_not_ours_gets_nothing(shown: Page) -> None:
    for path in ("", "api/exchanges", "static/app.js"):
        async with shown.http.get(shown.url + path, headers={"Host": "evil.example"}) as answer:
            assert answer.status == 421
    status, _ = await shown.get("exchanges", {"Host": "moon.example:8080"})
    assert status == 200


FORGED = [
    {"Origin": "http://evil.example"},
    {"Origin": "null"},
    {"Sec-Fetch-Site": "cross-site"},
    {"Content-Type": "text/plain"},
    {"Content-Type": "application/x-www-form-urlencoded"},
]


@pytest.mark.parametrize("headers", FORGED)
async def test_another_site_can_t_write(shown: Page, headers: dict[str, str]) -> None:
    url = f"{shown.url}api/exchanges/{IDS['A']}/marks"
    sent = {"Content-Type": "application/json", **headers}
    async with shown.http.post(url, data=b'{"category": "bad"}', headers=sent) as answer:
        assert answer.status in (403, 415)
    assert (await shown.get(f"exchanges/{IDS['A']}"))[1]["marks"]["category"] is None


async def test_another_site_can_t_read_either(shown: Page) -> None:
    assert (await shown.get("exchanges", {"Sec-Fetch-Site": "cross-site"}))[0] == 403


async def test_a_body_that_is_too_large_is_refused(shown: Page) -> None:
    status, _ = await shown.post(f"exchanges/{IDS['A']}/marks", {"notes": ["x" * 100_000]})

    assert status == 413


async def test_without_a_key_nothing_is_shown_where_keys_are_asked_for(locked: Page) -> None:
    for path in ("exchanges", "stats", "state", "live", f"exchanges/{IDS['A']}", f"exchanges/{IDS['A']}/live"):
        assert (await locked.get(path))[0] == 401
    assert (await locked.post(f"exchanges/{IDS['A']}/marks", {"category": "bad"}))[0] == 401
    assert (await locked.get("me"))[1]["needs_key"] is True


async def test_a_key_opens_a_session_that_a_script_can_t_read(locked: Page) -> None:
    async with locked.http.post(locked.url + "api/login", json={"key": KEY}) as answer:
        cookie = answer.headers["Set-Cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=Strict" in cookie
    assert KEY not in cookie

    assert (await locked.get("exchanges"))[0] == 200
    assert (await locked.get("me"))[1]["name"] == "ann"
    await locked.post("logout", {})
    assert (await locked.get("exchanges"))[0] == 401


async def test_a_program_sends_the_key_with_each_request(locked: Page) -> None:
    assert (await locked.get("exchanges", {"Authorization": f"Bearer {KEY}"}))[0] == 200
    assert (await locked.get("exchanges", {"Authorization": "Bearer wrong-key-1234"}))[0] == 401


async def test_keys_can_t_be_guessed_for_long(filled: str) -> None:
    async with page(filled, KEYS) as locked:
        answers = [(await locked.post("login", {"key": f"guess-{n}"}))[0] for n in range(25)]

    assert answers[0] == 401
    assert answers[-1] == 429


async def test_a_key_that_is_taken_away_opens_nothing_any_more(filled: str) -> None:
    other = replace(load(environ={}, services=[]), dashboard_keys=parse_client_keys("bob: another-key-12\n", "keys"))
    async with page(filled, KEYS) as locked:
        assert locked.worker is not None
        await locked.post("login", {"key": KEY})
        assert (await locked.get("exchanges"))[0] == 200
        for commit in await locked.worker.prepared(other):
            commit()

        assert (await locked.get("exchanges"))[0] == 401
        assert (await locked.get("exchanges", {"Authorization": f"Bearer {KEY}"}))[0] == 401
        assert (await locked.get("exchanges", {"Authorization": "Bearer another-key-12"}))[0] == 200


async def test_no_key_stands_in_what_is_shown(locked: Page) -> None:
    headers = {"Authorization": f"Bearer {KEY}"}
    for path in ("exchanges", "state", "me", f"exchanges/{IDS['B']}", f"exchanges/{IDS['B']}/export/curl"):
        async with locked.http.get(f"{locked.url}api/{path}", headers=headers) as answer:
            text = await answer.text()
            assert KEY not in text
            assert "seal_key" not in text


async def test_its_own_worker_is_among_those_that_it_shows(shown: Page) -> None:
    _, state = await shown.get("state")

    assert "dashboard" in [worker["service"] for worker in state["workers"]]
    assert [(one["provider"], one["state"]) for one in state["providers"]] == [("moonshot", "closed")]
