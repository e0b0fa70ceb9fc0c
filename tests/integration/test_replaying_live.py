"""A recorded request, sent again through a gateway that runs; and who may choose its provider."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from click.testing import CliRunner, Result

from services.cli.main import main
from services.recorder.store import Store
from shared.contracts import Body, HttpRequest, decode
from tests.fixtures.exchanges import Script, captured
from tests.fixtures.gateway import Gateway, Setting, gateway
from tests.fixtures.recording import FEED, record

PATH = "/v1/chat/completions"
ASKED = b'{"model": "hello", "messages": [{"role": "user", "content": "hi"}], "temperature": 1}'
THEN = (
    b'{"id":"chatcmpl-1","choices":[{"index":0,"finish_reason":"stop","message":{"role":"assistant","content":"Hm."}}]}'
)


@pytest.fixture(autouse=True)
def _records(records_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MOONTIDE_RECORDS_URL", records_url)
    monkeypatch.setenv("MOONTIDE_HOME", str(tmp_path))
    monkeypatch.delenv("MOONSHOT_API_KEY", raising=False)
    script = Script("THEN").request(Body(data=ASKED, size=len(ASKED))).sent().head().data(THEN).end()
    store = Store.open(records_url, FEED)
    record(store, captured([script.done(headers={"content-type": "application/json"})]))
    store.close()


@pytest.fixture(scope="module")
def strict(nats_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """Clients may not choose."""
    setting = Setting(ingress={"clients_choose_provider": False})
    with gateway(nats_url, str(tmp_path_factory.mktemp("strict")), setting) as found:
        yield found


@pytest.fixture(scope="module")
def crossroads(nats_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """Two providers; a route sends everything to one of them."""
    routed = [{"when": {"model": "*"}, "provider": "routed"}]
    setting = Setting(providers=("routed", "other"), routes=routed)
    with gateway(nats_url, str(tmp_path_factory.mktemp("crossroads")), setting) as found:
        yield found


def replay(gateway: Gateway, *arguments: str) -> Result:
    return CliRunner().invoke(main, ["replay", "THEN", "--url", gateway.url, *arguments], catch_exceptions=False)


def shown(result: Result) -> list[dict[str, Any]]:
    """Among lines that the gateway logs, which runs in this process."""
    return [json.loads(line) for line in result.stdout.splitlines() if line.startswith("{")]


def test_the_new_answer_stands_beside_the_old_one(fresh: Gateway) -> None:
    done = replay(fresh)

    assert done.exit_code == 0
    (line,) = (line for line in done.stdout.splitlines() if line.startswith("content"))
    assert line.split() == ["content", "Hm.", "Hello", "there."]


def test_the_request_is_the_recorded_one(fresh: Gateway) -> None:
    (account,) = shown(replay(fresh, "--json"))

    assert fresh.received == [json.loads(ASKED)]
    assert account["then"]["id"] == "THEN"
    assert len(account["now"]["id"]) == 26
    assert account["same"] is False


def test_parameters_change_the_request_however_deep(fresh: Gateway) -> None:
    changes = ("--param", "temperature=0.2", "--param", "messages.0.content=ho", "--param", "metadata.case=17")

    assert replay(fresh, *changes).exit_code == 0

    (sent,) = fresh.received
    assert (sent["temperature"], sent["messages"][0]["content"], sent["metadata"]) == (0.2, "ho", {"case": 17})


def test_another_model_answers(fresh: Gateway) -> None:
    (account,) = shown(replay(fresh, "--model", "thinktool", "--json"))

    assert account["now"]["told"]["choices"][0]["tool_calls"][0]["name"] == "run_shell"


def test_several_times_gives_a_line_for_each(fresh: Gateway) -> None:
    accounts = shown(replay(fresh, "--times", "3", "--json"))

    assert [account["now"]["title"] for account in accounts] == ["now 1", "now 2", "now 3"]
    assert len(fresh.received) == 3


def test_a_provider_is_chosen_by_name(fresh: Gateway) -> None:
    assert replay(fresh, "--provider", "sim").exit_code == 0


@pytest.mark.parametrize("chosen", ["routed", "other", "sim"])
def test_the_chosen_provider_answers_whatever_the_route_says(crossroads: Gateway, chosen: str) -> None:
    (account,) = shown(replay(crossroads, "--provider", chosen, "--json"))

    assert answering(crossroads, account["now"]["id"]) == [chosen]
    assert account["now"]["status"] == 200


def test_without_a_choice_the_route_decides(crossroads: Gateway) -> None:
    (account,) = shown(replay(crossroads, "--json"))

    assert answering(crossroads, account["now"]["id"]) == ["routed"]


def answering(gateway: Gateway, id: str) -> list[str | None]:
    """The providers of an exchange's calls."""
    subject = gateway.subjects.call_request(id, "c1")
    return [decode(HttpRequest, one.data).provider for one in gateway.history(id) if one.subject == subject]


def test_an_answer_that_is_not_well_is_status_1(fresh: Gateway) -> None:
    done = replay(fresh, "--model", "no-such-scenario", "--json")

    assert done.exit_code == 1
    assert shown(done)[0]["now"]["status"] >= 400


def test_a_parameter_without_a_place_is_wrong_usage_and_asks_nobody(fresh: Gateway) -> None:
    assert replay(fresh, "--param", "messages.7.content=x").exit_code == 2
    assert replay(fresh, "--param", "temperature").exit_code == 2
    assert fresh.received == []


def test_where_nobody_listens_is_said(unused_tcp_port: int) -> None:
    url = f"http://127.0.0.1:{unused_tcp_port}"
    done = CliRunner().invoke(main, ["replay", "THEN", "--url", url], catch_exceptions=False)

    assert done.exit_code == 1
    assert f"no answer from {url}" in done.stderr


class TestWhoMayChoose:
    def test_a_provider_that_there_is_not_is_named_with_those_that_there_are(self, fresh: Gateway) -> None:
        status, error = fresh.portal.call(ask, fresh.url, "other")

        assert (status, error["code"]) == (400, "provider_not_found")
        assert error["message"] == "There is no provider 'other'. There are: moonshot, sim."
        assert fresh.received == []

    def test_nobody_may_where_the_settings_forbid_it(self, strict: Gateway) -> None:
        status, error = strict.portal.call(ask, strict.url, "sim")

        assert (status, error["code"]) == (403, "provider_choice_forbidden")
        assert "ingress.clients_choose_provider" in error["message"]
        assert strict.received == []

    def test_a_replay_that_may_not_choose_shows_why(self, strict: Gateway) -> None:
        done = replay(strict, "--provider", "sim")

        assert done.exit_code == 1
        assert "403" in done.stdout
        assert "may not choose" in done.stdout


async def ask(url: str, provider: str) -> tuple[int, dict[str, Any]]:
    headers = {"X-Moontide-Provider": provider, "Content-Type": "application/json"}
    async with aiohttp.ClientSession() as http, http.post(url + PATH, data=ASKED, headers=headers) as response:
        return response.status, (await response.json())["error"]
