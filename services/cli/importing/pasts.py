"""What other proxies recorded, row by row: MoonPalace's database, kimi-proxy's with its files, and our own exports."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec

from services.cli.importing.result import CannotImport
from services.recorder.imports import Past
from shared.ids import is_id
from shared.records.answers import understood

SQLITE = b"SQLite format 3\0"
MOONPALACE, KIMI_PROXY = "moonshot_requests", "logs"
DIALECTS = {"anthropic": "anthropic_messages", "responses": "openai_responses", "messages": "anthropic_messages"}
MAX_FILE_BYTES = 256 * 1024 * 1024

Row = dict[str, Any]
Skip = Callable[[str], None]


def pasts(path: Path, blobs: Path | None, skip: Skip) -> Iterator[Past]:
    """Oldest first; `skip` hears of each that can't be taken, and why. Raises CannotImport."""
    if path.is_dir():
        for file in sorted(path.glob("*.json")):
            yield from _exported(file, skip)
        return
    try:
        with path.open("rb") as opened:
            begins = opened.read(len(SQLITE))
    except OSError as error:
        raise CannotImport(f"{path} can't be read: {error.strerror}") from None
    if begins == SQLITE:
        yield from _database(path, blobs, skip)
    else:
        yield from _exported(path, skip)


def _database(path: Path, blobs: Path | None, skip: Skip) -> Iterator[Past]:
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as connection:
            connection.row_factory = sqlite3.Row
            tables = {row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
            if MOONPALACE in tables:
                yield from _each(connection, MOONPALACE, _moonpalace, skip)
            elif KIMI_PROXY in tables:
                root = blobs or path.parent / "logs"
                yield from _each(connection, KIMI_PROXY, lambda row: _kimi_proxy(row, root), skip)
            else:
                what = "neither MoonPalace's table moonshot_requests nor kimi-proxy's table logs"
                raise CannotImport(f"{path} has {what}")
    except sqlite3.Error as error:
        raise CannotImport(f"{path} can't be read: {error}") from None


def _each(connection: sqlite3.Connection, table: str, reader: Callable[[Row], Past], skip: Skip) -> Iterator[Past]:
    for row in connection.execute(f"SELECT * FROM {table} ORDER BY id"):  # noqa: S608 - a constant
        try:
            yield reader(dict(row))
        except (ValueError, KeyError, TypeError, OSError) as error:
            skip(f"row {row['id']}: {error}")


def _moonpalace(row: Row) -> Past:
    query = f"?{row['request_query']}" if row["request_query"] else ""
    request = _bytes(row["request_body"])
    response_headers = _headers(row["response_header"])
    if row["response_content_type"]:
        response_headers.setdefault("content-type", row["response_content_type"])
    return Past(
        key=f"moonpalace {row['id']} {row['created_at']} {row['moonshot_request_id']}",
        at=datetime.fromisoformat(row["created_at"]).astimezone().timestamp(),
        method=row["request_method"],
        path=row["request_path"] + query,
        dialect="openai_chat" if row["request_path"].endswith("/chat/completions") else "passthrough",
        model=_model(request),
        provider="moonshot",
        endpoint=row.get("endpoint") or "https://api.moonshot.cn",
        status=row["response_status_code"] or None,
        request_headers=_headers(row["request_header"]),
        response_headers=response_headers,
        request=request,
        response=_bytes(row["response_body"]),
        error=row["error"] or None,
        first_byte_s=_seconds(row.get("response_ttft"), 1e3),
        total_s=_seconds(row.get("latency"), 1e9),
    )


def _kimi_proxy(row: Row, root: Path) -> Past:
    parts = {name: _blob(root, row[f"{name}_path"]) for name in ("request", "response", "provider_request")}
    answered = _blob(root, row["provider_response_path"])
    format = (row["client_format"] or "").lower()
    return Past(
        key=f"kimi-proxy {row['request_id']} {row['id']}",
        at=datetime.fromisoformat(row["timestamp"].replace("Z", "+00:00")).timestamp(),
        method=row["method"],
        path=row["url"],
        dialect=next((dialect for name, dialect in DIALECTS.items() if name in format), "openai_chat"),
        model=row["model"],
        provider=row["provider"] or "kimi-proxy",
        status=row["status_code"],
        request=parts["request"] or b"",
        response=parts["response"] or b"",
        sent=parts["provider_request"],
        answered=answered,
        request_headers={"content-type": "application/json"},
        response_headers={"content-type": "application/json"},
        total_s=_seconds(row["latency_ms"], 1e3),
    )


def _blob(root: Path, name: str | None) -> bytes | None:
    """A file below the root, wherever the database says that it lies; None where there is none."""
    if not name:
        return None
    path = (root / name).resolve()
    if not path.is_relative_to(root.resolve()):
        raise ValueError(f"its file {name} lies outside of {root}")
    if not path.is_file():
        raise ValueError(f"its file {name} is not in {root} (--blobs says where they are)")
    if path.stat().st_size > MAX_FILE_BYTES:
        raise ValueError(f"its file {name} is larger than {MAX_FILE_BYTES} bytes")
    return path.read_bytes()


def _exported(file: Path, skip: Skip) -> Iterator[Past]:
    """One file of MoonPalace's shape."""
    try:
        if file.stat().st_size > MAX_FILE_BYTES:
            raise ValueError(f"larger than {MAX_FILE_BYTES} bytes")
        yield _document(msgspec.json.decode(file.read_bytes(), type=_Export))
    except (ValueError, KeyError, OSError) as error:
        skip(f"{file.name}: {error}")


class _Side(msgspec.Struct):
    header: str = ""
    body: msgspec.Raw = msgspec.Raw(b'""')
    url: str = ""
    status: str = ""


class _Export(msgspec.Struct):
    metadata: dict[str, str]
    request: _Side
    response: _Side
    error: str | None = None
    category: str | None = None
    tags: list[str] = []


def _document(export: _Export) -> Past:
    facts = export.metadata
    if "moontide_call" in facts:
        raise ValueError("the provider's side of one call, not an exchange")
    endpoint = facts.get("endpoint", "")
    path = export.request.url.removeprefix(endpoint) or "/"
    request = _body(export.request.body)
    headers = _headers(export.response.header)
    if facts.get("response_content_type"):
        headers.setdefault("content-type", facts["response_content_type"])
    id = facts.get("moontide_id", "")
    return Past(
        id=id if is_id(id) else None,
        key=f"export {facts.get('moonpalace_id')} {facts.get('requested_at')} {facts.get('request_id')}",
        at=datetime.fromisoformat(facts["requested_at"]).astimezone().timestamp(),
        method="POST" if request else "GET",
        path=path,
        dialect=_dialect(path),
        model=_model(request),
        provider="moonshot" if "moonshot" in endpoint else "import",
        endpoint=endpoint,
        status=int(export.response.status.split()[0]) if export.response.status else None,
        request_headers=_headers(export.request.header),
        response_headers=headers,
        request=request,
        response=_body(export.response.body),
        error=export.error,
        first_byte_s=_seconds(facts.get("response_ttft"), 1e3),
        total_s=_seconds(facts.get("latency"), 1e3),
        category={"goodcase": "good", "badcase": "bad"}.get(export.category or ""),
        tags=export.tags,
    )


def _dialect(path: str) -> str:
    doors = {"/chat/completions": "openai_chat", "/messages": "anthropic_messages", "/responses": "openai_responses"}
    return next((name for door, name in doors.items() if path.partition("?")[0].endswith(door)), "passthrough")


def _body(raw: msgspec.Raw) -> bytes:
    """A text is the body itself; anything else is JSON, which the indentation has spaced out."""
    value = msgspec.json.decode(raw)
    return value.encode() if isinstance(value, str) else msgspec.json.format(bytes(raw), indent=-1)


def _headers(text: str | None) -> dict[str, str]:
    lines = (line.partition(":") for line in (text or "").splitlines() if ":" in line)
    return {name.strip().lower(): value.strip() for name, _, value in lines}


def _bytes(value: Any) -> bytes:
    return value if isinstance(value, bytes) else str(value or "").encode()


def _model(request: bytes) -> str | None:
    body = understood(request, None)
    model = body.get("model") if isinstance(body, dict) else None
    return model if isinstance(model, str) else None


def _seconds(value: Any, parts: float) -> float | None:
    return float(value) / parts if value not in (None, "") else None
