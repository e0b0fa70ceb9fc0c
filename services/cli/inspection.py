"""One exchange out of the records, taken apart: metadata, headers, bodies, errors; one side at a time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

import msgspec

from shared.records.answers import EVENT_STREAM, merged, understood
from shared.records.exports.whole import Whole
from shared.records.marks import Marks
from shared.records.queries import NotFound, Part, Records, Row

PARTS = ("metadata", "request_header", "request_body", "response_header", "response_body", "error")
NO_METADATA = frozenset({"request_headers", "response_headers", "error_message", "exchange_id"})


@dataclass(frozen=True)
class Inspection:
    """What is known of an exchange, seen from the client's side or from that of one call's provider."""

    exchange: Row
    calls: Sequence[Row]
    events: Sequence[Row]
    parts: Mapping[str, Part]
    side: Row  # the exchange's row, or the call's
    marks: Marks
    tool_calls: Sequence[Row]
    merges: bool = False

    @classmethod
    def of(cls, records: Records, exchange: Row, call: str | None, merges: bool) -> Inspection:
        id = exchange["id"]
        calls = records.calls(id)
        side = exchange if call is None else next((row for row in calls if row["call"] == call), None)
        if side is None:
            made = ", ".join(row["call"] for row in calls) or "none"
            raise NotFound(f"exchange {exchange['number']} has no call {call!r}; it has {made}")
        told = (records.marks(id), records.tool_calls(id))
        return cls(exchange, calls, records.events(id), records.parts(id), side, *told, merges)

    @property
    def whole(self) -> Whole:
        return Whole(exchange=self.exchange, calls=self.calls, parts=self.parts, marks=self.marks)

    @property
    def request(self) -> Part | None:
        call = self.side.get("call")
        return self.parts.get(f"{call}.request" if call else "client.request")

    @property
    def response(self) -> Part | None:
        call = self.side.get("call")
        return self.parts.get(f"{call}.raw" if call else "client.response")

    def part(self, name: str) -> bytes:
        """One of PARTS as it is printed."""
        match name:
            case "request_body":
                return _bytes_of(self.request)
            case "response_body":
                return self.response_body()
            case "request_header" | "response_header":
                return _header_lines(self.side[f"{name}s"]).rstrip(b"\r\n")
            case "error":
                return (self.side["error_message"] or "").encode()
        facts = {name: value for name, value in self.side.items() if name not in NO_METADATA and value is not None}
        return msgspec.json.format(msgspec.json.encode(facts), indent=4)

    def response_body(self) -> bytes:
        """Exactly as it was sent, or as the completion that its event stream makes."""
        data, response = _bytes_of(self.response), self.response
        if self.merges and response is not None and (response.content_type or "").startswith(EVENT_STREAM):
            answer = merged(data)
            return data if answer is None else msgspec.json.format(msgspec.json.encode(answer), indent=4)
        return data

    def raw_request(self) -> bytes:
        """As it would stand on the wire; headers that are secrets were never recorded."""
        target = self.side.get("url") or self.exchange["path"] or "/"
        first = f"{self.side['method'] or 'GET'} {target} HTTP/1.1\r\n"
        return first.encode() + _header_lines(self.side["request_headers"]) + b"\r\n" + _bytes_of(self.request)

    def raw_response(self) -> bytes:
        status = self.side["status"]
        if status is None:
            raise NotFound(f"exchange {self.exchange['number']} has no response")
        reason = HTTPStatus(status).phrase if status in HTTPStatus._value2member_map_ else ""
        head = _header_lines(self.side["response_headers"])
        return f"HTTP/1.1 {status} {reason}\r\n".encode() + head + b"\r\n" + self.response_body()

    def as_json(self, names: Sequence[str]) -> dict[str, Any]:
        """Everything, or the named parts; bodies as JSON where they are, else as text."""
        whole = {
            "metadata": {name: value for name, value in self.side.items() if name not in NO_METADATA},
            "request_header": self.side["request_headers"],
            "request_body": _value(self.request),
            "response_header": self.side["response_headers"],
            "response_body": _value(self.response, self.merges),
            "error": self.side["error_message"],
        }
        if names:
            return {name: whole[name] for name in names}
        sent = {name: _value(part, self.merges) for name, part in self.parts.items() if part.same_as is None}
        marks = {"category": self.marks.category, "tags": self.marks.tags, "notes": self.marks.notes}
        rows = {"calls": self.calls, "tool_calls": self.tool_calls, "events": self.events}
        return {**whole, "marks": marks, **{name: list(some) for name, some in rows.items()}, "parts": sent}


def _bytes_of(part: Part | None) -> bytes:
    return part.data or b"" if part is not None else b""


def _header_lines(headers: Mapping[str, str] | None) -> bytes:
    return "".join(f"{name}: {value}\r\n" for name, value in (headers or {}).items()).encode()


def _value(part: Part | None, merges: bool = True) -> Any:
    if part is None or part.data is None:
        return None
    is_stream = (part.content_type or "").startswith(EVENT_STREAM)
    value = understood(part.data, part.content_type) if merges or not is_stream else None
    return part.data.decode("utf-8", "replace") if value is None else value
