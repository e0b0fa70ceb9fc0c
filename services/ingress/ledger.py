"""Finished requests as figures, and each on its way to the operator's screen."""

from __future__ import annotations

from services.ingress.exchange import Tell
from shared.config import Settings, model_for, plain_name
from shared.contracts import Done, Head, HttpRequest, Usage
from shared.metrics import Metrics
from shared.prices import Price, price_of

MOST_NAMES = 1024  # of models, whose entries are remembered
KINDS = ("prompt", "completion", "cached", "reasoning")


class Ledger:
    """`tell` is what every exchange ends with."""

    def __init__(self, settings: Settings, metrics: Metrics, tell: Tell) -> None:
        self._metrics = metrics
        self._told = tell
        self.adopt(settings)

    def adopt(self, settings: Settings) -> None:
        self._settings = settings
        self._entries: dict[str, str] = {}
        self._prices: dict[str, Price | None] = {}

    def tell(self, request: HttpRequest, head: Head | None, done: Done) -> None:
        self.count(request, head, done)
        self._told(request, head, done)

    def count(self, request: HttpRequest, head: Head | None, done: Done) -> None:
        metrics = self._metrics
        provider = (head.provider if head else None) or ""
        model = self._entry(request.model) if request.model else ""
        metrics.add("requests", model, provider, str(done.status), request.dialect)
        metrics.observe("request_seconds", done.total_s, model, provider)
        if done.first_byte_s is not None:
            metrics.observe("first_byte_seconds", done.first_byte_s, model, provider)
        if done.usage is not None:
            self._count_tokens(done.usage, model, provider, (head.model if head else None) or request.model or "")
        for repair, count in done.repairs.items():
            metrics.add("repairs", repair, value=count)

    def _count_tokens(self, usage: Usage, model: str, provider: str, asked: str) -> None:
        for kind in KINDS:
            if count := getattr(usage, f"{kind}_tokens"):
                self._metrics.add("tokens", model, provider, kind, value=count)
        price = self._price(asked)
        if price is not None:
            self._metrics.add("cost_dollars", model, provider, value=price.of(usage))

    def _entry(self, name: str) -> str:
        """The key in `models` that a client's name means: clients may invent any number of names."""
        if name not in self._entries:
            match = model_for(self._settings, plain_name(self._settings, name))
            if len(self._entries) >= MOST_NAMES:
                self._entries.clear()
            self._entries[name] = match.key if match else ""
        return self._entries[name]

    def _price(self, model: str) -> Price | None:
        if model not in self._prices:
            if len(self._prices) >= MOST_NAMES:
                self._prices.clear()
            self._prices[model] = price_of(model)
        return self._prices[model]
