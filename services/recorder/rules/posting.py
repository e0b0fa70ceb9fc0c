"""Finished exchanges as a webhook gets them: JSON, signed as the Standard Webhooks specification says."""

from __future__ import annotations

import hmac
from base64 import b64decode, b64encode
from binascii import Error
from collections.abc import Sequence
from hashlib import blake2b
from typing import Any

import msgspec

from services.recorder.rules.exchange import Records
from services.recorder.rules.rows import Row

TYPE = "exchanges.v1"
SECRET_PREFIX = "whsec_"  # noqa: S105 - of the specification: base64 follows
BODY_COLUMNS = ("side", "kind", "call", "leg", "content_type", "size", "sha256", "same_as", "redacted")


def exchange_json(records: Records, with_bodies: bool) -> bytes:
    """One exchange, its rows by table."""
    rows = {
        **records.exchange,
        "call_rows": [_without_id(row) for row in records.calls],
        "tool_calls": [_without_id(row) for row in records.tool_calls],
        "events": [_without_id(row) for row in records.events],
    }
    if with_bodies:
        rows["bodies"] = {row["part"]: _body(row) for row in records.bodies}
    return msgspec.json.encode(rows)


def post_body(exchanges: Sequence[bytes]) -> bytes:
    return b'{"type":"%s","exchanges":[%s]}' % (TYPE.encode(), b",".join(exchanges))


def post_id(ids: Sequence[str]) -> str:
    """The same for the same exchanges: a receiver that has seen it need not look."""
    return f"exchanges_{blake2b(' '.join(ids).encode(), digest_size=16).hexdigest()}"


def post_headers(id: str, at: float, body: bytes, secret: str | None) -> dict[str, str]:
    stamp = str(int(at))
    headers = {"content-type": "application/json", "idempotency-key": id, "webhook-id": id, "webhook-timestamp": stamp}
    if secret is not None:
        signed = hmac.digest(_key(secret), f"{id}.{stamp}.".encode() + body, "sha256")
        headers["webhook-signature"] = f"v1,{b64encode(signed).decode()}"
    return headers


def _key(secret: str) -> bytes:
    """`whsec_` and base64, or any text."""
    if secret.startswith(SECRET_PREFIX):
        try:
            return b64decode(secret.removeprefix(SECRET_PREFIX), validate=True)
        except (Error, ValueError):
            pass
    return secret.encode()


def _without_id(row: Row) -> Row:
    return {name: value for name, value in row.items() if name != "exchange_id"}


def _body(row: Row) -> dict[str, Any]:
    told = {name: row[name] for name in BODY_COLUMNS if row[name] is not None}
    data = row["data"]
    if data is None:
        return told
    try:
        return told | {"text": data.decode()}
    except UnicodeDecodeError:
        return told | {"base64": b64encode(data).decode()}
