"""The bytes of one call's normal leg to the parts of its answer, and to what it says of itself."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any

import msgspec

from services.enforcer.rules.attempt import NOTHING, Attempt, Part
from services.enforcer.rules.demand import Demand
from shared.prefixes import Prefix
from shared.sse import SseParser

Json = dict[str, Any]

_decode = msgspec.json.Decoder(Json).decode


@dataclass(frozen=True)
class Heard:
    """One event, and what of it may go on."""

    payload: bytes
    chunk: Json
    delta: Json
    parts: list[Part]
    only_speaks: bool  # no finish reason, no tokens
    is_error: bool = False


class Reading:
    def __init__(self, demand: Demand, earlier: Collection[str] = (), prefix: Prefix = NOTHING) -> None:
        self.attempt = Attempt(demand, earlier, prefix)
        self.reason: str | None = None
        self.extra: Json = {}  # what else the finish frame says
        self.told: Json | None = None  # the provider's own account of the tokens
        self._parser = SseParser()

    def feed(self, data: bytes) -> Iterator[Heard]:
        for payload in self._parser.feed(data):
            yield from self._event(payload)

    def finish(self) -> Iterator[Heard]:
        """A last event that no blank line ended."""
        for payload in self._parser.finish():
            yield from self._event(payload)

    def _event(self, payload: bytes) -> Iterator[Heard]:
        """Nothing of `[DONE]`, which comes once, at the end; nor of what nobody can read."""
        try:
            chunk = _decode(payload)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return
        if chunk.get("error") is not None:
            yield Heard(payload, chunk, {}, [], False, is_error=True)
            return
        usage = chunk.get("usage")
        self.told = usage if isinstance(usage, dict) else self.told
        choices = chunk.get("choices")
        for choice in choices if isinstance(choices, list) else ():
            if isinstance(choice, dict) and not choice.get("index"):
                yield self._choice(payload, chunk, choice)

    def _choice(self, payload: bytes, chunk: Json, choice: Json) -> Heard:
        delta = choice.get("delta")
        delta = delta if isinstance(delta, dict) else {}
        parts = list(self.attempt.feed(delta))
        if choice.get("finish_reason") is not None:
            self.reason = str(choice["finish_reason"])
            self.extra = {name: value for name, value in choice.items() if name not in ("index", "delta")}
        return Heard(payload, chunk, delta, parts, self.reason is None and self.told is None)
