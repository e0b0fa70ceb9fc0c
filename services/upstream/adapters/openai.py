"""Anything that speaks OpenAI's protocol."""

from __future__ import annotations

from collections.abc import Mapping

from services.upstream.adapters.base import NOTHING, Outgoing, Recalled, Replays, Translation
from services.upstream.adapters.fields import Fields, configured
from services.upstream.history import Ids, canonical_history
from shared.config import Model, Provider, Target
from shared.config.routes import PROVIDER_HEADER
from shared.contracts import HttpRequest
from shared.traces import CONTEXT_HEADERS

K2 = "kimi-k2"
CHAT = "/chat/completions"

NOT_FORWARDED = frozenset(
    {
        "host",
        "connection",
        "keep-alive",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "content-length",
        "accept-encoding",
        "expect",
        PROVIDER_HEADER,
        *CONTEXT_HEADERS,
    }
)
"""Headers of one hop (RFC 9110, 7.6.1), those that our own HTTP client sets, and those that are for us. Which trace a
call belongs to is not the adapters' to say."""


class OpenAI:
    """The plain kind: bodies go out as they came where nothing has to change. Other kinds override `fit`."""

    kept_headers: frozenset[str] = frozenset({"x-request-id", "openai-processing-ms"})
    hidden_headers: frozenset[str] = frozenset({"openai-organization", "openai-project"})
    needs_key = False
    replays: Replays = "nothing"

    def __init__(self, provider: Provider) -> None:
        self.provider = provider

    def chat(
        self,
        request: HttpRequest,
        body: bytes,
        model: Model,
        target: Target,
        streamed: bool,
        recalled: Recalled = NOTHING,
    ) -> Outgoing:
        fields = Fields(body)
        configured(fields, model, self.wanted(request, model, target, streamed))
        name = target.model or request.model or ""
        _history(fields, model.repair.history_ids or self.history_ids(name))
        self.fit(fields, name, recalled)
        self.name_session(fields, request, body, model)
        headers = {**self._headers(request), **self.more_headers(request, fields)}
        return Outgoing(path=self.chat_path(request), headers=headers, body=fields.body, changes=fields.changes)

    def history_ids(self, model: str) -> Ids:
        """Which ids earlier tool calls are given, unless the configuration says."""
        return "functions" if K2 in model.lower() else "keep"

    def fit(self, fields: Fields, model: str, recalled: Recalled) -> None:
        """Makes a request acceptable to this kind of provider."""

    def name_session(self, fields: Fields, request: HttpRequest, body: bytes, model: Model) -> None:
        """Says which conversation it is, where the provider's cache wants to know."""

    def more_headers(self, request: HttpRequest, fields: Fields) -> Mapping[str, str]:
        """Headers beside the client's own."""
        return {}

    def chat_path(self, request: HttpRequest) -> str:
        path, query, rest = _below_base(request.path).partition("?")
        return f"{CHAT}{query}{rest}" if path == CHAT else CHAT

    def wanted(self, request: HttpRequest, model: Model, target: Target, streamed: bool) -> dict[str, object]:
        """The fields that must have these values, whatever the client wrote."""
        wanted: dict[str, object] = dict(model.force)
        if target.model is not None and target.model != request.model:
            wanted["model"] = target.model
        if streamed and not request.stream:
            wanted |= {"stream": True, "stream_options": {"include_usage": True}}
        return wanted

    def other(self, request: HttpRequest, body: bytes) -> Outgoing:
        return Outgoing(path=_below_base(request.path), headers=self._headers(request), body=body)

    def authorization(self, key: str) -> Mapping[str, str]:
        return {"authorization": key if " " in key else f"Bearer {key}"}

    def translation(self, status: int, content_type: str, at: float) -> Translation | None:
        return None

    def _headers(self, request: HttpRequest) -> dict[str, str]:
        kept = {name: value for name, value in request.headers.items() if name not in NOT_FORWARDED}
        return {**kept, "accept-encoding": "identity"}


def _history(fields: Fields, ids: Ids) -> None:
    """Earlier tool calls as the model was trained to see them; messages without any stay as they are."""
    if b'"tool_calls"' not in fields.raw("messages"):
        return
    messages = fields.value("messages")
    made, changes = canonical_history(messages, ids)
    if changes:
        told = ", ".join(f"{name} {count}" for name, count in sorted(changes.items()))
        fields.each("messages", lambda at, _: made[at] if made[at] is not messages[at] else None, told)


def _below_base(path: str) -> str:
    """A client's `/v1/files?x=1` as `/files?x=1`: a base_url ends in its own `/v1`."""
    return path.removeprefix("/v1")
