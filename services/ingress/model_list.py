"""`GET /v1/models`: the configured names, and what a provider offers where any name may be asked for.

OpenAI's clients and Anthropic's ask the same path and expect different lists.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import msgspec
from aiohttp import web

from services.ingress.answers import CLIENT_LEFT, Reply, error_reply
from services.ingress.dialects.base import Answering
from shared.contracts import End, Fault, Head

Json = dict[str, Any]
Shape = Callable[[list[Json]], Json]


class _Page(msgspec.Struct):
    data: list[Json] = []


def merged(names: list[str], offered: list[Json] | None = None) -> list[Json]:
    """OpenAI's model objects: our names first, each name once."""
    ours = [{"id": name, "object": "model", "created": 0, "owned_by": "moontide"} for name in names]
    return ours + [model for model in offered or () if model.get("id") not in names]


def openai_list(models: list[Json]) -> Json:
    return {"object": "list", "data": models}


def anthropic_list(models: list[Json]) -> Json:
    data = [anthropic_model(model) for model in models]
    first, last = (data[0]["id"], data[-1]["id"]) if data else (None, None)
    return {"data": data, "has_more": False, "first_id": first, "last_id": last}


def anthropic_model(model: Json) -> Json:
    created = model.get("created")
    at = datetime.fromtimestamp(created if isinstance(created, int | float) else 0, UTC)
    return {
        "type": "model",
        "id": model.get("id"),
        "display_name": model.get("display_name") or model.get("id"),
        "created_at": at.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "lifecycle": "active",
        "max_input_tokens": model.get("context_length"),
        "max_tokens": None,
    }


class ModelList:
    """An answer that merges; where the provider doesn't say, the configured names are the list."""

    is_over = False

    def __init__(self, answering: Answering, names: list[str], headers: dict[str, str], shape: Shape) -> None:
        self._answering = answering
        self._names = names
        self._shape = shape
        self._headers = {**headers, "Content-Type": "application/json"}
        self._head: Head | None = None
        self._body = bytearray()

    def begin(self, head: Head) -> None:
        self._head = head

    def restart(self) -> None:
        self._body.clear()

    async def take(self, data: bytes) -> bool:
        self._body += data
        return True

    async def keep_alive(self) -> None:
        """Nothing can be said before a whole list."""

    async def close(self, end: End) -> Reply:
        offered = self._offered(end)
        if offered is None and not self._names:
            return self._refusal(end)
        body = msgspec.json.encode(self._shape(merged(self._names, offered)))
        return Reply(200, web.Response(body=body, headers=self._headers), self._headers, len(body), body=body)

    def so_far(self) -> Reply:
        return Reply(CLIENT_LEFT)

    def _offered(self, end: End) -> list[Json] | None:
        if end.outcome != "complete" or self._head is None or self._head.status != 200:
            return None
        try:
            return msgspec.json.decode(bytes(self._body), type=_Page).data
        except (msgspec.DecodeError, UnicodeDecodeError):
            return None

    def _refusal(self, end: End) -> Reply:
        fault = end.fault
        if fault is None and self._head is not None:
            said = bytes(self._body).decode("utf-8", "replace")
            message = "The provider gave no list of models."
            fault = Fault(status=self._head.status, code="provider_error", message=message, body=said)
        fault = fault or Fault(status=502, code="no_answer", message="The provider gave no list of models.")
        return error_reply(self._answering.refusal(fault), fault, self._headers)
