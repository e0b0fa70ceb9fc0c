"""The dashboard as somebody sees it, in chromium."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import pytest
from anyio.from_thread import start_blocking_portal
from playwright.sync_api import BrowserContext, Page, expect
from sqlalchemy import insert

from services.recorder.store import Store
from shared.config.client_keys import parse_client_keys
from shared.contracts import Fault
from shared.records.database import open_writer
from shared.records.marks import marking
from shared.records.names import EXCHANGES
from tests.fixtures.browsers import Window
from tests.fixtures.exchanges import BEGAN, Script, captured
from tests.fixtures.found import IDS, asked, body, fill
from tests.fixtures.pages import ask, kept, up
from tests.fixtures.recording import FEED, record, url_in
from tests.fixtures.workspace import delete_streams

pytestmark = pytest.mark.browser

KEY = "operator-key-0123456789"
EVIL = "<img src=x onerror=alert(1)><script>alert(2)</script>"
TURNED = "\u202egnp.exe\u202c \u0007bell zero\u200bwidth"
HOSTILE = "01K9ZZZZZZZZZZZZZZZZZZZZZX"
MANY = 3000


def hostile(id: str) -> Script:
    """Everything that can be said is an attempt to be obeyed."""
    tool = {"type": "function", "function": {"name": EVIL, "description": "javascript:alert(3)"}}
    arguments = f'{{"url": "javascript:alert(4) {EVIL}"}}'
    call = {"id": EVIL, "type": "function", "function": {"name": EVIL, "arguments": arguments}}
    message = {"role": EVIL, "content": f"{EVIL} {TURNED}", "reasoning_content": EVIL, "tool_calls": [call]}
    answer = body({"id": EVIL, "choices": [{"message": message, "finish_reason": EVIL}]})
    fault = Fault(status=500, code=EVIL, message=f"{EVIL} {TURNED}")
    script = Script(id).request(asked(EVIL, f"{EVIL} {TURNED}", tools=[tool]), model=EVIL, client=EVIL)
    script.sent(provider=EVIL, model=EVIL).head(provider=EVIL, model=EVIL, headers={"x-evil": EVIL})
    script.data(bytes(answer.json)).event("repaired", evil=EVIL)  # type: ignore[arg-type]
    script.end(outcome="broken", fault=fault, finish_reason=EVIL, completion_id=EVIL)
    return script.done(status=500, outcome="broken", fault=fault, repairs={EVIL: 1}, finish_reason=EVIL)


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A dashboard over the five exchanges, a hostile one, and three thousand dull ones before them."""
    url = url_in(tmp_path_factory.mktemp("browser"))
    dull = [_dull(number) for number in range(1, MANY + 1)]
    engine = open_writer(url)
    with engine.begin() as connection:
        connection.execute(insert(EXCHANGES), dull)
    engine.dispose()
    fill(url)
    store = Store.open(url, FEED)
    record(store, captured([hostile(HOSTILE)], first_seq=1000))
    store.close()
    with marking(url) as marks:
        marks.add(HOSTILE, "tag", EVIL)
        marks.add(HOSTILE, "note", f"{EVIL} {TURNED}")
    with kept(url) as found:
        yield found


def _dull(number: int) -> dict[str, Any]:
    row = {"id": f"{number:026d}", "state": "done", "at": BEGAN - 9000 + number}
    return row | {"model": "dull", "status": 200, "calls": 1}


def rows(page: Page) -> int:
    return page.locator(".space .row").count()


def test_the_list_shows_what_was_recorded_and_leads_to_each(window: Window, address: str) -> None:
    page = window.page
    page.goto(address)
    page.get_by_role("link", name="kimi-latest").click()

    expect(page).to_have_url(f"{address}x/{IDS['D']}")
    expect(page.get_by_text("The moon is")).to_be_visible()
    page.go_back()
    expect(page.get_by_role("link", name="kimi-latest")).to_be_visible()
    assert window.faults == []


def test_a_long_list_holds_few_rows_and_still_leads_to_the_last_one(window: Window, address: str) -> None:
    page = window.page
    page.goto(f"{address}?model=dull")
    expect(page.locator(".space .row").first).to_be_visible()
    most = rows(page)
    for _ in range(MANY // 100 + 5):
        page.evaluate("document.querySelector('.scroller').scrollTop = 1e9")
        page.wait_for_timeout(60)
        most = max(most, rows(page))
    expect(page.get_by_text(f"{MANY} exchanges")).to_be_visible()

    assert most < 80
    assert page.locator(f"[data-id='{1:026d}']").count() == 1
    assert window.faults == []


def test_filters_narrow_the_list_and_stand_in_the_address(window: Window, address: str) -> None:
    page = window.page
    page.goto(address)
    page.get_by_label("Search").fill("月亮")
    expect(page.get_by_text("1 exchange", exact=True)).to_be_visible()
    assert "search=" in page.url

    page.reload()
    expect(page.get_by_text("1 exchange", exact=True)).to_be_visible()
    page.get_by_role("button", name="Clear", exact=True).click()
    expect(page.locator(".foot")).to_contain_text("older ones as you scroll")


def test_a_wrong_predicate_is_told_at_its_place(window: Window, address: str) -> None:
    page = window.page
    page.goto(f"{address}?p=status+%3D+2")

    expect(page.get_by_role("alert")).to_contain_text("write == for equality")
    expect(page.get_by_label("Predicate")).to_have_attribute("aria-invalid", "true")


def test_nothing_that_was_said_is_obeyed(window: Window, address: str) -> None:
    page = window.page
    page.goto(address)
    expect(page.get_by_text(EVIL).first).to_be_visible()
    page.goto(f"{address}x/{HOSTILE}")
    for tab in ("Conversation", "Timeline", "Differences", "Bodies", "Headers"):
        page.get_by_role("tab", name=tab).click()
        page.wait_for_timeout(300)
        expect(page.get_by_role("tabpanel")).not_to_be_empty()
        assert page.locator("main img, main script, main iframe, main a[href^='javascript']").count() == 0
    page.goto(f"{address}workers")
    page.wait_for_timeout(300)

    assert window.faults == []


def test_what_nobody_sees_is_shown_by_its_name(window: Window, address: str) -> None:
    window.page.goto(f"{address}x/{HOSTILE}")

    expect(window.page.locator(".message.user .unseen")).to_have_text(["U+202E", "U+202C", "U+0007", "U+200B"])
    assert "\u202e" not in window.page.locator("body").inner_text()


def test_a_mended_tool_call_says_so(window: Window, address: str) -> None:
    page = window.page
    page.goto(f"{address}x/{IDS['B']}")
    call = page.locator(".toolcall")

    expect(call).to_contain_text("lookup")
    expect(call).to_contain_text("fits its schema")
    expect(call).to_contain_text("mended")
    expect(call.locator("pre")).to_have_text('{\n  "q": 1\n}')
    page.get_by_role("tab", name="Differences").click()
    expect(page.get_by_role("tabpanel")).to_contain_text("<|tool_call|>")


def test_marks_are_set_on_the_page_and_stay(window: Window, address: str) -> None:
    page = window.page
    page.goto(f"{address}x/{IDS['E']}")
    page.get_by_role("button", name="Good").click()
    expect(page.get_by_role("button", name="Good")).to_have_attribute("aria-pressed", "true")
    page.get_by_label("Add a tag").fill("song")
    page.get_by_label("Add a tag").press("Enter")
    expect(page.get_by_text("song")).to_be_visible()

    page.reload()
    expect(page.get_by_text("song")).to_be_visible()
    page.get_by_role("button", name="Remove the tag song").click()
    expect(page.get_by_text("song")).to_have_count(0)


def test_it_can_be_used_with_keys_alone(window: Window, address: str) -> None:
    page = window.page
    page.goto(address)
    expect(page.locator(".space .row").first).to_be_visible()
    page.keyboard.press("j")
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    expect(page.get_by_role("tablist")).to_be_visible()
    page.get_by_role("tab", name="Conversation").focus()
    page.keyboard.press("ArrowRight")
    expect(page.get_by_role("tab", name="Timeline")).to_have_attribute("aria-selected", "true")
    page.goto(address)
    expect(page.locator(".space .row").first).to_be_visible()
    page.keyboard.press("/")
    expect(page.get_by_label("Search")).to_be_focused()


@pytest.mark.parametrize("path", ["", f"x/{IDS['B']}", f"x/{IDS['B']}#diff", f"x/{HOSTILE}", "workers"])
@pytest.mark.parametrize("width", [360, 2560])
def test_nothing_sticks_out_of_a_window(window: Window, address: str, path: str, width: int) -> None:
    page = window.page
    page.set_viewport_size({"width": width, "height": 800})
    page.goto(address + path)
    expect(page.locator("main > *").first).to_be_visible()
    page.wait_for_timeout(500)

    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_the_theme_is_the_system_s_until_it_is_chosen(window: Window, address: str) -> None:
    page = window.page
    paper = "getComputedStyle(document.querySelector('.top')).backgroundColor"
    page.emulate_media(color_scheme="dark")
    page.goto(address)
    dark = page.evaluate(paper)
    page.emulate_media(color_scheme="light")
    light = page.evaluate(paper)
    page.get_by_role("button", name="Theme").click()
    page.get_by_role("button", name="Theme").click()
    page.reload()

    assert dark != light
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    assert page.evaluate(paper) == dark


def test_before_anything_is_recorded_the_page_says_how_to_begin(window: Window, tmp_path: Path) -> None:
    with kept(url_in(tmp_path)) as address:
        window.page.goto(address)
        expect(window.page.get_by_role("heading", name="Nothing recorded yet")).to_be_visible()
        expect(window.page.get_by_text("base_url=").first).to_be_visible()


def test_a_key_is_asked_for_where_there_are_keys(window: Window, context: BrowserContext, tmp_path: Path) -> None:
    url, page = url_in(tmp_path), window.page
    fill(url)
    with kept(url, parse_client_keys(f"ann: {KEY}\n", "keys.yaml")) as address:
        page.goto(f"{address}x/{IDS['D']}")
        page.get_by_label("Key").fill("wrong-key-000")
        page.keyboard.press("Enter")
        expect(page.get_by_role("alert")).to_contain_text("none of the keys")
        page.get_by_label("Key").fill(KEY)
        page.keyboard.press("Enter")
        expect(page.get_by_text("The moon is")).to_be_visible()
        assert page.evaluate("document.cookie") == ""
        page.get_by_role("button", name="Log out").click()
        expect(page.get_by_label("Key")).to_be_visible()
        assert [cookie for cookie in context.cookies() if cookie.get("value")] == []
    assert urlsplit(page.url).path == f"/ui/x/{IDS['D']}"


@pytest.mark.backend
def test_a_live_answer_streams_into_view(window: Window, nats_url: str, tmp_path: Path) -> None:
    page, root = window.page, f"test_{uuid4().hex[:12]}"
    with (
        start_blocking_portal() as portal,
        portal.wrap_async_context_manager(up(nats_url, root, tmp_path)) as services,
    ):
        assert services.page_url is not None
        assert services.listening is not None
        page.goto(services.page_url)
        expect(page.locator("#pulse")).to_have_text("live")
        asking = portal.start_task_soon(ask, services.listening.url, "sim/text+slow?delay_ms=150")
        expect(page.locator(".space .row.running .tag")).to_have_text("streaming")
        page.locator(".space .row.running a").click()
        growing = page.locator(".growing .words")
        expect(growing).not_to_be_empty()
        before = len(growing.inner_text())
        page.wait_for_function("n => document.querySelector('.growing .words').textContent.length > n", arg=before)
        page.evaluate("window.sameDocument = true")
        expect(page.get_by_role("tablist")).to_be_visible(timeout=30_000)
        expect(page.locator(".title .tag").first).to_have_text("200 stop")
        assert page.evaluate("window.sameDocument")
        asking.result(10)
    with start_blocking_portal() as portal:
        portal.call(delete_streams, nats_url, root)
    assert window.faults == []
