"""An exchange as it can be played again: in a file of its own, or straight out of the records."""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

import msgspec

from shared.config import Model, Provider, Settings, decide, plain_name
from shared.config.settings import ProviderKind
from shared.contracts import Recorded, RepairSettings, RepeatSettings, Timeouts
from shared.records.blobs import Chunks
from shared.records.exports.whole import Side, Whole
from shared.records.queries import NotFound, Row
from shared.records.told import Told, told

Ending = Literal["complete", "broken", "unanswered", "silent"]
"""How the player ends a call: in order, by cutting the connection, by cutting it before any answer, or not at all: it
says nothing more, as a provider whose time was up, or that was called off."""

TOTAL = "provider_total_timeout"
TIMEOUTS = frozenset({"provider_first_byte_timeout", "provider_idle_timeout", TOTAL})
CLIENT_LEFT = "Cancelled by client:"  # how the account of such an exchange begins
CALLED_OFF = frozenset({"cancelled", "stopped"})
LAST_EVENTS = (b"data: [DONE]", b'data: {"type":"message_stop"}')

NOT_SENT = frozenset(
    {"host", "content-length", "connection", "accept-encoding", "transfer-encoding", "content-encoding", "expect"}
)
NOT_ANSWERED = frozenset({"connection", "content-length", "keep-alive", "transfer-encoding", "content-type", "date"})


class Data(msgspec.Struct, frozen=True, omit_defaults=True):
    """Bytes: as text where they are text."""

    text: str = ""
    base64: str | None = None

    @classmethod
    def of(cls, data: bytes) -> Data:
        try:
            return cls(text=data.decode())
        except UnicodeDecodeError:
            return cls(base64=b64encode(data).decode())

    @property
    def bytes(self) -> bytes:
        return self.text.encode() if self.base64 is None else b64decode(self.base64)


class Piece(msgspec.Struct, frozen=True):
    """What came at once."""

    at_us: int  # since the first piece
    data: Data


class Asked(msgspec.Struct, frozen=True):
    """What the client sent."""

    method: str
    path: str
    headers: dict[str, str]
    body: Data


class Answered(msgspec.Struct, frozen=True, omit_defaults=True):
    """One call to a provider, and what came of it."""

    call: str
    provider: str
    model: str | None
    ending: Ending
    status: int = 200
    headers: dict[str, str] = {}
    first_byte_s: float = 0.0
    pieces: list[Piece] = []
    ran_out: bool = False  # it spoke until its time was up, and was not silent before

    @property
    def is_unheard(self) -> bool:
        """Nothing ever came, and nobody hung up either."""
        return self.ending == "silent" and not (self.headers or self.pieces)


class Spoken(msgspec.Struct, frozen=True, omit_defaults=True):
    """How a provider is spoken to: what of its settings shapes an answer."""

    kind: ProviderKind
    continues: bool | None = None
    version: Literal["2023-06-01", "2026-10-21"] = "2023-06-01"
    timeouts: Timeouts = Timeouts()


class Treated(msgspec.Struct, frozen=True, omit_defaults=True):
    """What becomes of the model's requests and answers."""

    name: str | None = None
    repair: RepairSettings = RepairSettings()
    repeat: RepeatSettings = RepeatSettings()
    defaults: dict[str, Any] = {}
    force: dict[str, Any] = {}
    drop: list[str] = []


class Recording(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    asked: Asked
    calls: list[Answered]
    providers: dict[str, Spoken]
    model: Treated
    force_stream: bool
    status: int | None  # that the client got then
    told: Told  # what the client was told then
    left: bool = False  # the client went away before the answer's end
    earlier: list[Recorded] = []  # responses that the request goes on from
    format: Literal["moontide-recording.v1"] = "moontide-recording.v1"


def recording_of(whole: Whole, settings: Settings, earlier: Sequence[Recorded] = ()) -> Recording:
    """With today's settings for the model and its providers; raises NotFound where there is nothing to play."""
    asked, client = asked_of(whole), whole.side()
    if not whole.calls:
        raise NotFound(f"exchange {whole.exchange['number']} never got to a provider: there is nothing to play")
    calls = [_answered(whole.side(row["call"])) for row in whole.calls]
    response = client.response
    return Recording(
        id=whole.exchange["id"],
        asked=asked,
        calls=calls,
        providers={row["provider"]: _spoken(row, whole, settings) for row in whole.calls if row["provider"]},
        model=_treated(whole.exchange, settings),
        force_stream=settings.ingress.force_stream,
        status=whole.exchange["status"],
        told=told(response.data, response.content_type) if response else Told(),
        left=(whole.exchange["error_message"] or "").startswith(CLIENT_LEFT),
        earlier=list(earlier),
    )


def asked_of(whole: Whole) -> Asked:
    """The client's request; raises NotFound where its bytes are gone."""
    client = whole.side()
    if client.request is not None and client.request.data is None:
        number = whole.exchange["number"]
        raise NotFound(f"the request's bytes of exchange {number} were gone before they were recorded")
    headers = _without(client.request_headers, NOT_SENT)
    return Asked(client.method, whole.exchange["path"] or "/", headers, Data.of(client.request_bytes))


def pieces_of(data: bytes, chunks: Chunks) -> list[Piece]:
    """The bytes as they came."""
    begins = [begin for begin, _ in chunks]
    ends = [*begins[1:], len(data)]
    cut = zip(chunks, ends, strict=True)
    return [Piece(at_us, Data.of(data[begin:end])) for (begin, at_us), end in cut if end > begin]


def _answered(side: Side) -> Answered:
    row, response = side.row, side.response
    answered = response is not None or bool(row["response_headers"])
    if not answered:
        return Answered(side.name, row["provider"] or "", row["model"], _ending(side, is_answered=False))
    headers = _without(side.response_headers, NOT_ANSWERED)
    if response is not None and response.content_type:
        headers["content-type"] = response.content_type
    return Answered(
        call=side.name,
        provider=row["provider"] or "",
        model=row["model"],
        ending=_ending(side, is_answered=True),
        status=row["status"] or 200,
        headers=headers,
        first_byte_s=row["first_byte_s"] or 0.0,
        pieces=pieces_of(side.response_bytes, response.chunks) if response else [],
        ran_out=row["error_code"] == TOTAL,
    )


def _ending(side: Side, is_answered: bool) -> Ending:
    outcome, fault = side.row["outcome"], side.row["error_code"]
    is_whole = side.response_bytes.rstrip().endswith(LAST_EVENTS)
    if fault in TIMEOUTS or (outcome in CALLED_OFF and not is_whole):
        return "silent"
    if not is_answered:
        return "unanswered"
    return "broken" if outcome in ("broken", "lost", None) and not is_whole else "complete"


def _spoken(call: Row, whole: Whole, settings: Settings) -> Spoken:
    """As configured; a provider that is configured no more, by what is left of it."""
    provider = settings.providers.get(call["provider"]) or Provider(kind=_kind(call, whole))
    return Spoken(provider.kind, provider.continues, provider.version, provider.timeouts)


def _kind(call: Row, whole: Whole) -> ProviderKind:
    url = call["url"] or ""
    if f"{call['call']}.wire" in whole.parts or url.endswith("/messages"):
        return "anthropic"
    kinds: Mapping[str, ProviderKind] = {"moonshot.": "moonshot", "openrouter.ai": "openrouter"}
    return next((kind for host, kind in kinds.items() if host in url), "openai")


def _treated(exchange: Row, settings: Settings) -> Treated:
    name = exchange["model"]
    if name is None:
        return Treated()
    plain = plain_name(settings, name)
    headers = {name.lower(): value for name, value in (exchange["request_headers"] or {}).items()}
    decision = decide(settings, plain, exchange["client"], headers)
    model = decision.model if decision else Model(targets=())
    return Treated(plain, model.repair, model.repeat, model.defaults, model.force, list(model.drop))


def _without(headers: Mapping[str, str], names: Iterable[str]) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items() if name.lower() not in names}
