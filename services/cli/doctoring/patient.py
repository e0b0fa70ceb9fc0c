"""One provider, as the doctor asks it: with its key, its adapter and its settings, but without the pipeline."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from services.upstream.adapters import Adapter, Outgoing
from services.upstream.call import Answer, CallFailed, Connections, Request, calling
from services.upstream.rules import faults
from services.upstream.rules.watch import AnswerFacts, StreamWatch
from shared.config import Model, Provider, Target
from shared.contracts import Fault, HttpRequest, Timeouts, Usage

TIMEOUTS = Timeouts(connect_s=10.0, first_byte_s=60.0, idle_s=60.0, total_s=120.0)
HEADERS = {"content-type": "application/json", "user-agent": "moontide-doctor"}


class Refusal(Exception):
    """The provider did not do what it was asked; the text says why."""


@dataclass
class Heard:
    """An answer in canonical form."""

    body: bytes = b""
    facts: AnswerFacts = field(default_factory=AnswerFacts)
    first_byte_s: float = 0.0
    total_s: float = 0.0

    @property
    def message(self) -> dict[str, Any]:
        """Of a plain answer."""
        choices = msgspec.json.decode(self.body).get("choices") or [{}]
        return dict(choices[0].get("message") or {})

    @property
    def usage(self) -> Usage:
        return self.facts.usage or Usage()

    @property
    def cost_usd(self) -> float | None:
        """What the provider itself says that it cost (OpenRouter)."""
        try:
            cost = msgspec.json.decode(self.body).get("usage", {}).get("cost")
        except (msgspec.DecodeError, AttributeError):
            return None
        return float(cost) if isinstance(cost, int | float) else None


@dataclass
class Patient:
    name: str
    provider: Provider
    adapter: Adapter
    connections: Connections
    key: str | None
    headers: Mapping[str, str]  # configured ones

    async def get(self, path: str) -> Any:
        """A GET's JSON; raises Refusal."""
        request = HttpRequest(id="doctor", at=0.0, method="GET", path=path, dialect="passthrough", headers=HEADERS)
        body = (await self._call("GET", self.adapter.other(request, b""), streamed=False, is_chat=False)).body
        try:
            return msgspec.json.decode(body)
        except msgspec.DecodeError:
            raise Refusal("answered with no JSON") from None

    async def chat(self, target: Target, model: Model, fields: Mapping[str, Any], streamed: bool = False) -> Heard:
        """A chat completion; raises Refusal."""
        body = msgspec.json.encode({"model": target.model, **fields, **({"stream": True} if streamed else {})})
        request = HttpRequest(
            id="doctor",
            at=0.0,
            method="POST",
            path="/v1/chat/completions",
            headers=HEADERS,
            model=target.model,
            stream=streamed,
        )
        heard = await self._call("POST", self.adapter.chat(request, body, model, target, streamed), streamed)
        if heard.facts.error is not None:
            raise Refusal(_words(heard.facts.error))
        if not heard.facts.is_whole:
            raise Refusal("the answer has no end" if streamed else "answered with no completion")
        return heard

    async def _call(self, method: str, outgoing: Outgoing, streamed: bool, is_chat: bool = True) -> Heard:
        authorization = self.adapter.authorization(self.key) if self.key else {}
        request = Request(
            provider=self.name,
            method=method,
            url=self.provider.base_url + outgoing.path,
            headers={**outgoing.headers, **authorization, **self.headers},
            body=outgoing.body,
            timeouts=TIMEOUTS,
        )
        started = time.monotonic()
        try:
            async with calling(self.connections, request) as answer:
                return await self._heard(answer, started, streamed, is_chat)
        except CallFailed as failed:
            raise Refusal(failed.fault.message) from None

    async def _heard(self, answer: Answer, started: float, streamed: bool, is_chat: bool) -> Heard:
        heard, watch = Heard(), StreamWatch()
        translation = None
        if is_chat:
            translation = self.adapter.translation(answer.status, answer.headers.get("content-type", ""), time.time())
        async for piece in answer.pieces():
            heard.first_byte_s = heard.first_byte_s or time.monotonic() - started
            heard.body += translation.feed(piece) if translation else piece
        heard.body += translation.finish() if translation else b""
        heard.total_s = time.monotonic() - started
        if answer.status >= 300:
            raise Refusal(_words(faults.of_status(self.name, answer.status, answer.headers, heard.body)))
        if streamed:
            watch.feed(heard.body)
            watch.finish()
            heard.facts = watch.facts
        elif is_chat:
            heard.facts.learn(heard.body)
        return heard


def _words(fault: Fault) -> str:
    return f"{fault.status} {fault.type}: {fault.message}"
