"""MoonPalace's JSON: whoever reads its reports reads these. All values of `metadata` are strings."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any

import msgspec

from shared.records.exports.whole import Side, Whole, as_json, canonical_name, status_line
from shared.records.queries import Row

CATEGORIES = {"good": "goodcase", "bad": "badcase"}
DURATION = re.compile(r"(?:^|[;,\s])dur=(\d+)")
UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")
NAME_CHARS = 150  # of a file name, without what tells it from others
HTML = str.maketrans({"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "\u2028": "\\u2028", "\u2029": "\\u2029"})
"""As Go's encoding/json escapes what a browser could take for markup; none of it stands outside of strings."""


def document(whole: Whole, call: str | None = None, escape_html: bool = False) -> bytes:
    """The file: the client's side, or the side of one call."""
    side = whole.side(call)
    shown: dict[str, Any] = {
        "metadata": metadata(whole, side),
        "request": {
            "url": side.url,
            "header": _header(side.request_headers),
            "body": as_json(side.request_bytes),
        },
        "response": {
            "status": status_line(side.row["status"]),
            "header": _header(side.response_headers),
            "body": as_json(side.response_bytes),
        },
    }
    if side.row["error_message"]:
        shown["error"] = side.row["error_message"]
    if whole.marks.category in CATEGORIES:
        shown["category"] = CATEGORIES[whole.marks.category]
    if whole.marks.tags:
        shown["tags"] = list(whole.marks.tags)
    text = _indented(msgspec.json.encode(shown))
    return (text.translate(HTML) if escape_html else text).encode("utf-8", "replace") + b"\n"


def metadata(whole: Whole, side: Side) -> dict[str, str]:
    """Those facts that there are; the ones of ours have names that MoonPalace doesn't know."""
    row, exchange = side.row, whole.exchange
    facts: dict[str, Any] = {
        "moonpalace_id": exchange["number"],
        "chatcmpl": row["completion_id"] if whole.is_chat else None,
        "request_id": row["provider_request_id"],
        "user_id": exchange["user_id"],
        "group_id": exchange["group_id"],
        "status": status_line(row["status"]) or None,
        "server_timing": _server_timing(row["server_timing"]),
        "request_content_type": side.request.content_type if side.request else None,
        "response_content_type": _media_type(side.response.content_type) if side.response else None,
        "response_ttft": _milliseconds(row["first_byte_s"]),
        "response_tpot": _milliseconds(row.get("token_s")),
        "response_otps": f"{row['tokens_per_s']:.4f}" if row.get("tokens_per_s") else None,
        "requested_at": datetime.fromtimestamp(side.at, UTC).astimezone().strftime("%Y-%m-%d %H:%M:%S"),
        "latency": _milliseconds(row["latency_s"]),
        "endpoint": whole.endpoint or None,
        "moontide_id": exchange["id"],
        "moontide_call": side.name if side.name != "client" else None,
    }
    return {name: str(value) for name, value in facts.items() if value not in (None, "")}


def file_name(exchange: Row, is_chat: bool) -> str:
    """Without what tells it from another one of that name; the chat completion's id if there is one."""
    if is_chat and exchange["completion_id"]:
        name = exchange["completion_id"]
    elif exchange["provider_request_id"]:
        name = f"requestid-{exchange['provider_request_id']}"
    else:
        path = (exchange["path"] or "").partition("?")[0].removeprefix("/v1/").strip("/").replace("/", "-")
        at = datetime.fromtimestamp(exchange["at"], UTC).astimezone().strftime("%Y%m%d%H%M%S")
        parts = ((exchange["method"] or "get").lower(), path, exchange["user_id"], at)
        name = "-".join(part for part in parts if part)
    return f"{UNSAFE.sub('_', name).lstrip('.')[:NAME_CHARS] or 'exchange'}.json"


def _header(headers: Any) -> str:
    return "".join(f"{canonical_name(name)}: {value}\r\n" for name, value in sorted(headers.items()))


def _indented(text: bytes) -> str:
    """With four spaces, every number as it was written; a body may hold what Python's own reader would round."""
    return msgspec.json.format(text, indent=4).decode()


def _media_type(content_type: str | None) -> str | None:
    return content_type.partition(";")[0].strip() if content_type else None


def _milliseconds(seconds: float | None) -> int | None:
    return None if seconds is None else round(seconds * 1000)


def _server_timing(text: str | None) -> str | None:
    """The milliseconds of the header's first `dur`."""
    found = DURATION.search(text or "")
    return found[1] if found else None
