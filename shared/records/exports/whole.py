"""An exchange with all that an export takes of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit

import msgspec

from shared.records.marks import Marks
from shared.records.queries import NotFound, Part, Records, Row

CHAT_PATH = "/chat/completions"
TOKEN_CHARS = frozenset("!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")


@dataclass(frozen=True, kw_only=True)
class Side:
    """One request and its response: the client's, or that of one call to a provider."""

    name: str  # `client`, `c1` …
    row: Row  # of exchanges or calls
    at: float
    url: str
    request: Part | None
    response: Part | None

    @property
    def method(self) -> str:
        return self.row["method"] or "GET"

    @property
    def request_headers(self) -> Mapping[str, str]:
        return _sound(self.row["request_headers"])

    @property
    def response_headers(self) -> Mapping[str, str]:
        return _sound(self.row["response_headers"])

    @property
    def request_bytes(self) -> bytes:
        return (self.request.data if self.request else None) or b""

    @property
    def response_bytes(self) -> bytes:
        return (self.response.data if self.response else None) or b""


@dataclass(frozen=True, kw_only=True)
class Whole:
    exchange: Row
    calls: Sequence[Row]
    parts: Mapping[str, Part]
    marks: Marks = field(default_factory=Marks)

    @classmethod
    def read(cls, records: Records, exchange: Row) -> Whole:
        id = exchange["id"]
        return cls(exchange=exchange, calls=records.calls(id), parts=records.parts(id), marks=records.marks(id))

    @property
    def is_chat(self) -> bool:
        return (self.exchange["path"] or "").partition("?")[0].endswith(CHAT_PATH)

    @property
    def answering(self) -> Row | None:
        """The call whose answer the client got, as far as that can be told: the last one that was well."""
        well = [call for call in self.calls if call["outcome"] in ("complete", "stopped")]
        return next(reversed(well or list(self.calls)), None)

    @property
    def endpoint(self) -> str:
        """Where the provider is, as far as the client's path goes on from there; empty where nobody was asked."""
        url = (self.answering or {}).get("url") or ""
        path = (self.exchange["path"] or "").partition("?")[0]
        if path and url.partition("?")[0].endswith(path):
            return str(url.partition("?")[0].removesuffix(path))
        parts = urlsplit(url)
        return f"{parts.scheme}://{parts.netloc}" if parts.netloc else ""

    def side(self, call: str | None = None) -> Side:
        """The client's side, or that of a call; raises NotFound where there is no such call."""
        if call is None:
            row = self.exchange
            request, response = self.parts.get("client.request"), self.parts.get("client.response")
            url = self.endpoint + (row["path"] or "")
            return Side(name="client", row=row, at=row["at"], url=url, request=request, response=response)
        row = next((row for row in self.calls if row["call"] == call), {})
        if not row:
            made = ", ".join(row["call"] for row in self.calls) or "none"
            raise NotFound(f"exchange {self.exchange['number']} has no call {call!r}; it has {made}")
        request = self.parts.get(f"{call}.request")
        response = self.parts.get(f"{call}.wire") or self.parts.get(f"{call}.raw")
        at = row["at"] or self.exchange["at"]
        return Side(name=call, row=row, at=at, url=row["url"] or "", request=request, response=response)

    @property
    def sides(self) -> list[Side]:
        return [self.side(), *(self.side(call["call"]) for call in self.calls)]

    @property
    def canonical_request(self) -> Part | None:
        """The request as a chat completion, whatever dialect the client spoke."""
        return self.parts.get("c0.request") or (self.parts.get("client.request") if self.is_chat else None)

    @property
    def canonical_answer(self) -> Part | None:
        """The answer that the client got, as a chat completion, repaired."""
        if self.is_chat:
            return self.parts.get("client.response")
        call = (self.answering or {}).get("call") or ""
        legs = (self.parts.get(f"{name}.{leg}") for name in (call, "c1") for leg in ("out", "normal", "raw"))
        return next((part for part in legs if part is not None), None)


def status_line(status: int | None) -> str:
    """`200 OK`; empty where there was no answer."""
    if not status:
        return ""
    phrase = HTTPStatus(status).phrase if status in HTTPStatus._value2member_map_ else ""
    return f"{status} {phrase}"


def as_json(data: bytes) -> Any:
    """A body as it stands in a JSON document: itself where it is JSON, byte for byte, else its text."""
    try:
        msgspec.json.decode(data)
        return msgspec.Raw(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return data.decode("utf-8", "replace")


def canonical_name(header: str) -> str:
    """`Content-Type`, as Go and MoonPalace write it."""
    return "-".join(part[:1].upper() + part[1:] for part in header.split("-"))


def _sound(headers: Mapping[str, str] | None) -> dict[str, str]:
    """Headers that can stand on a line each; what was imported may hold anything."""
    found = headers or {}
    return {
        name: " ".join(str(value).split("\r\n")).replace("\n", " ").replace("\r", " ")
        for name, value in found.items()
        if name and set(name) <= TOKEN_CHARS
    }
