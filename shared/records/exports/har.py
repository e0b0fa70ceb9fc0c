"""HTTP Archive 1.2 (w3c.github.io/web-performance/specs/HAR): an entry for the client's side, one for each call.

Times are milliseconds. What HAR has no place for stands in fields that begin with an underscore, as it prescribes.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import msgspec

from shared.records.exports.whole import Side, Whole, canonical_name, status_line
from shared.version import version

NOT_KNOWN = -1
HTTP = "HTTP/1.1"
NOWHERE = "http://moontide.invalid"  # of a request that never got to a provider


def beginning() -> bytes:
    """What stands before the entries."""
    creator = {"name": "Moontide", "version": version()}
    head = msgspec.json.encode({"version": "1.2", "creator": creator, "pages": []})
    return b'{"log": ' + head[:-1] + b', "entries": ['


END = b"\n]}}\n"
SEPARATOR = b","


def entries(whole: Whole) -> Iterator[bytes]:
    """Those of one exchange, the client's first."""
    for side in whole.sides:
        yield b"\n" + msgspec.json.encode(entry(whole, side))


def entry(whole: Whole, side: Side) -> dict[str, Any]:
    timings = _timings(side)
    shown: dict[str, Any] = {
        "startedDateTime": datetime.fromtimestamp(side.at, UTC).isoformat(timespec="milliseconds"),
        "time": sum(value for value in timings.values() if value > 0),
        "request": _request(side),
        "response": _response(side),
        "cache": {},
        "timings": timings,
        "comment": f"exchange {whole.exchange['id']}, {side.name}",
        "_moontide": {
            "exchange": whole.exchange["id"],
            "side": side.name,
            "provider": side.row["provider"],
            "outcome": side.row["outcome"],
            "chunks": [[at, us] for at, us in side.response.chunks] if side.response else [],
        },
    }
    if side.row["error_message"]:
        shown["response"]["_error"] = side.row["error_message"]
    return shown


def _request(side: Side) -> dict[str, Any]:
    url = side.url if urlsplit(side.url).netloc else NOWHERE + (side.url or "/")
    shown: dict[str, Any] = {
        "method": side.method,
        "url": url,
        "httpVersion": HTTP,
        "cookies": [],
        "headers": _headers(side.request_headers),
        "queryString": [
            {"name": name, "value": value} for name, value in parse_qsl(urlsplit(url).query, keep_blank_values=True)
        ],
        "headersSize": NOT_KNOWN,
        "bodySize": len(side.request_bytes),
    }
    if side.request_bytes:
        kind = (side.request.content_type if side.request else None) or "application/octet-stream"
        shown["postData"] = {"mimeType": kind, "params": [], **_text(side.request_bytes, "_encoding")}
    return shown


def _response(side: Side) -> dict[str, Any]:
    """Status 0, as browsers write it, where none came."""
    kind = (side.response.content_type if side.response else None) or "application/octet-stream"
    return {
        "status": side.row["status"] or 0,
        "statusText": status_line(side.row["status"]).partition(" ")[2],
        "httpVersion": HTTP,
        "cookies": [],
        "headers": _headers(side.response_headers),
        "content": {
            "size": len(side.response_bytes),
            "mimeType": kind,
            **_text(side.response_bytes, "encoding"),
        },
        "redirectURL": "",
        "headersSize": NOT_KNOWN,
        "bodySize": len(side.response_bytes),
    }


def _text(data: bytes, encoding: str) -> dict[str, str]:
    try:
        return {"text": data.decode()}
    except UnicodeDecodeError:
        return {"text": b64encode(data).decode(), encoding: "base64"}


def _headers(headers: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"name": canonical_name(name), "value": value} for name, value in headers.items()]


def _timings(side: Side) -> dict[str, float]:
    """Until the first byte it is waiting; connections are kept, so that what they cost is not known by call."""
    total = (side.row["latency_s"] or 0.0) * 1000
    first = side.row["first_byte_s"]
    wait = min(first * 1000, total) if first is not None else total
    unknown = dict.fromkeys(("blocked", "dns", "connect", "ssl"), float(NOT_KNOWN))
    return {**unknown, "send": 0.0, "wait": round(wait, 3), "receive": round(total - wait, 3)}
