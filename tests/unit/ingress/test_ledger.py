"""Finished requests as figures: by what the configuration calls things, never by what clients do."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from services.ingress import ledger as module
from services.ingress.ledger import Ledger
from shared.config import Settings, load
from shared.contracts import Done, Head, HttpRequest, Usage
from shared.metrics import Metrics

HEAD = Head(status=200, worker="up-1", at=0.0, provider="moonshot", model="kimi-k2.6")
DONE = Done(at=0.0, worker="in-1", status=200, outcome="complete", total_s=2.0, first_byte_s=0.5)
USAGE = Usage(prompt_tokens=1_000_000, completion_tokens=10, total_tokens=1_000_010, cached_tokens=4)


def settings(*models: str) -> Settings:
    targets = {"targets": [{"provider": "moonshot"}]}
    return load(environ={}, overrides={"models": {name: targets for name in models}}).settings


def asked(model: str | None) -> HttpRequest:
    return HttpRequest(id="R1", at=0.0, method="POST", path="/v1/chat/completions", model=model)


class Counted:
    def __init__(self, *models: str) -> None:
        self.metrics = Metrics()
        self.told: list[Any] = []
        self.ledger = Ledger(settings(*models), self.metrics, lambda *what: self.told.append(what))

    def values(self, name: str) -> dict[tuple[str, ...], float]:
        found = [sample for sample in self.metrics.samples() if sample.name == name]
        return {tuple(sample.labels.values()): sample.value for sample in found}


def test_clients_names_are_counted_under_the_entry_that_they_mean() -> None:
    it = Counted("kimi-k3", "kimi-*")
    for name in ("kimi-k3", "kimi-K3[1m]", "kimi-2", "kimi-3", "nobody", None):
        it.ledger.tell(asked(name), HEAD, DONE)

    requests = {key[0]: value for key, value in it.values("requests").items()}
    assert requests == {"kimi-k3": 2, "kimi-*": 2, "": 2}
    assert len(it.told) == 6


def test_tokens_cost_and_repairs_are_counted() -> None:
    it = Counted("kimi-*")
    it.ledger.tell(asked("kimi-2"), HEAD, msgspec.structs.replace(DONE, usage=USAGE, repairs={"ids": 3}))

    tokens = {key[2]: value for key, value in it.values("tokens").items()}
    assert tokens == {"prompt": 1_000_000, "completion": 10, "cached": 4}
    [cost] = it.values("cost_dollars").values()
    assert 0 < cost < 100
    assert it.values("repairs") == {("ids",): 3}


def test_a_request_that_met_no_provider_has_none() -> None:
    it = Counted("kimi-*")
    it.ledger.tell(asked("kimi-2"), None, msgspec.structs.replace(DONE, status=503, first_byte_s=None, usage=USAGE))

    assert list(it.values("requests")) == [("kimi-*", "", "503", "openai_chat")]
    assert [name for name, _, _ in it.metrics.histograms()] == ["request_seconds"]


def test_new_settings_mean_other_entries() -> None:
    it = Counted("kimi-*")
    it.ledger.tell(asked("kimi-2"), HEAD, DONE)
    it.ledger.adopt(settings("kimi-2"))
    it.ledger.tell(asked("kimi-2"), HEAD, DONE)

    assert [key[0] for key in it.values("requests")] == ["kimi-*", "kimi-2"]


def test_what_is_remembered_of_names_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_NAMES", 3)
    it = Counted("*")
    for number in range(10):
        head = msgspec.structs.replace(HEAD, model=f"model-{number}")
        it.ledger.tell(asked(f"name-{number}"), head, msgspec.structs.replace(DONE, usage=USAGE))

    assert len(it.ledger._entries) <= 3
    assert len(it.ledger._prices) <= 3
    assert list(it.values("requests").values()) == [10]
