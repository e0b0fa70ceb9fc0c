"""The bytes of an exchange, part by part; the same bytes are kept once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256

import msgspec

from services.recorder.rules import rows
from services.recorder.rules.legs import Leg, Name
from services.recorder.rules.rows import Row
from shared.contracts import Body, Done, HttpRequest
from shared.records.blobs import Chunks

CLIENT_REQUEST = "client.request"
CLIENT_RESPONSE = "client.response"
MERGED = "c0"  # the call that stands for the exchange as a whole; its request is the client's as a chat completion


@dataclass
class Parts:
    """Rows of `bodies`, their bytes not packed yet and their chunks as a list."""

    id: str
    claims: Mapping[str, bytes]
    _rows: list[Row] = field(default_factory=list)
    _holders: dict[bytes, str] = field(default_factory=dict)  # digest -> the part that has those bytes

    def of_exchange(
        self, request: HttpRequest | None, sent: Mapping[str, HttpRequest], legs: Mapping[Name, Leg], done: Done | None
    ) -> list[Row]:
        if request is not None:
            self._add_body(CLIENT_REQUEST, "client", "request", request.body, rows.content_type(request.headers))
        for call in sorted({name for name, _ in legs} | set(sent)):
            if call in sent:
                self._add_sent(call, sent[call], sent.get(MERGED) or request)
            for leg in (legs[call, name] for name in ("wire", "raw", "normal", "out") if (call, name) in legs):
                self._add_leg(leg)
        if done is not None:
            self._add_answer(done, legs)
        return self._rows

    def _add_sent(self, call: str, sent: HttpRequest, asked: HttpRequest | None) -> None:
        body = asked.body if sent.same_body and asked is not None else sent.body
        side = "client" if call == MERGED else "provider"
        self._add_body(f"{call}.request", side, "request", body, rows.content_type(sent.headers), call=call)

    def _add_leg(self, leg: Leg) -> None:
        content_type = leg.head.content_type if leg.head else None
        part, side = f"{leg.call}.{leg.leg}", "provider"
        self._add(part, side, "response", leg.data, content_type, leg.chunks, call=leg.call, leg=leg.leg)

    def _add_answer(self, done: Done, legs: Mapping[Name, Leg]) -> None:
        """What the client got: a body of the ingress's own, or a leg and what the ingress wrote behind it."""
        content_type = rows.content_type(done.headers)
        if done.body is not None:
            self._add_body(CLIENT_RESPONSE, "client", "response", done.body, content_type)
            return
        call, _, name = (done.leg or "").partition(".")
        leg = legs.get((call, name))
        data, chunks = (leg.data, leg.chunks) if leg else (b"", [])
        if done.tail:
            chunks = [*chunks, (len(data), max(0, round((done.at - leg_began(leg, done)) * 1e6)))]
        content_type = content_type or (leg.head.content_type if leg and leg.head else None)
        self._add(CLIENT_RESPONSE, "client", "response", data + (done.tail or b""), content_type, chunks)

    def _add_body(
        self, part: str, side: str, kind: str, body: Body, content_type: str | None, call: str | None = None
    ) -> None:
        data = bytes_of(body, self.claims)
        if data is not None:
            self._add(part, side, kind, data, content_type, [], call=call)
        else:
            gone: Row = {"size": body.size, "sha256": None, "same_as": None, "data": None, "chunks": []}
            self._rows.append(self._row(part, side, kind, content_type, call, None) | gone)

    def _add(
        self,
        part: str,
        side: str,
        kind: str,
        data: bytes,
        content_type: str | None,
        chunks: Chunks,
        call: str | None = None,
        leg: str | None = None,
    ) -> None:
        if not data:
            return
        digest = sha256(data)
        holder = self._holders.setdefault(digest.digest(), part)
        kept = {
            "size": len(data),
            "sha256": digest.hexdigest(),
            "same_as": None if holder == part else holder,
            "data": data if holder == part else None,
            "chunks": chunks,
        }
        self._rows.append(self._row(part, side, kind, content_type, call, leg) | kept)

    def _row(self, part: str, side: str, kind: str, content_type: str | None, call: str | None, leg: str | None) -> Row:
        return {
            "exchange_id": self.id,
            "part": part,
            "side": side,
            "kind": kind,
            "call": call,
            "leg": leg,
            "content_type": content_type,
            "redacted": None,
        }


def bytes_of(body: Body, claims: Mapping[str, bytes]) -> bytes | None:
    """None where the object store had let go of it."""
    if body.claim is not None:
        return claims.get(body.claim)
    return bytes(body.json) if isinstance(body.json, msgspec.Raw) else body.data or b""


def leg_began(leg: Leg | None, done: Done) -> float:
    """When the leg's first data frame passed."""
    data = (frame.at for frame in leg.frames.values() if frame.kind == "data") if leg else ()
    return min(data, default=done.at)
