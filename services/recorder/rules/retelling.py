"""Rows of one exchange to what it takes to tell its response again."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import msgspec

from services.recorder.rules.bodies import CLIENT_REQUEST, MERGED
from services.recorder.rules.rows import Row
from shared.contracts import Body, End, Fault, HttpRequest, Recorded, Usage
from shared.records.queries import Part
from shared.subjects import call_number

DIALECT = "openai_responses"
DELETED = "deleted"  # the event of a response that its client has had deleted
OVER = ("done", "abandoned")
CANONICAL = f"{MERGED}.request"
WHOLE = f"{MERGED}.out"  # one answer that an enforcer made of several
TOKENS = ("prompt_tokens", "completion_tokens", "total_tokens", "cached_tokens", "reasoning_tokens")
ERROR = 300  # the first status whose body is no answer


class _Wire(msgspec.Struct):
    store: bool | None = None


_wire = msgspec.json.Decoder(_Wire)


def is_told(row: Row, client: str | None, events: Iterable[Row]) -> bool:
    """Whether the exchange is a response that this client may have told again, as far as its rows say."""
    is_its = row["client"] == client and row["dialect"] == DIALECT and row["state"] in OVER
    return is_its and not any(event["name"] == DELETED for event in events)


def answering_part(names: Sequence[str], calls: Sequence[Row]) -> str | None:
    """The part that holds the answer in canonical form: the last call's, repaired where it was; None without any."""
    if WHOLE in names:
        return WHOLE
    refused = {row["call"] for row in calls if (row["status"] or 0) >= ERROR}
    for leg in ("normal", "raw"):
        found = [name for name in names if name.endswith(f".{leg}") and name.partition(".")[0] not in refused]
        if found:
            return max(found, key=lambda name: call_number(name.partition(".")[0]))
    return None


def recorded(row: Row, answering: str | None, parts: Mapping[str, Part]) -> Recorded | None:
    """The response; None where it was not to be stored, or its request is not whole any more."""
    asked, canonical = _data(parts, CLIENT_REQUEST), _data(parts, CANONICAL)
    if not asked or not canonical or not _is_stored(asked):
        return None
    answer = parts.get(answering or "")
    return Recorded(
        id=row["id"],
        request=_request(row, asked),
        canonical=canonical,
        answer=(answer.data if answer else None) or b"",
        content_type=(answer.content_type if answer else None) or "",
        end=_end(row),
    )


def _data(parts: Mapping[str, Part], name: str) -> bytes | None:
    return parts[name].data if name in parts else None


def _is_stored(asked: bytes) -> bool:
    """What can't be read was not stored by a client's will either."""
    try:
        return _wire.decode(asked).store is not False
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False


def _request(row: Row, body: bytes) -> HttpRequest:
    return HttpRequest(
        id=row["id"],
        at=row["at"],
        method=row["method"] or "",
        path=row["path"] or "",
        dialect=row["dialect"],
        body=Body(data=body, size=len(body)),
        client=row["client"],
        model=row["model"],
        stream=bool(row["streamed"]),
    )


def _end(row: Row) -> End | None:
    if row["outcome"] is None:
        return None
    told = {name: row[name] for name in TOKENS if row[name] is not None}
    return End(
        outcome=row["outcome"],
        worker="",
        at=row["answered_at"] or row["at"] + (row["latency_s"] or 0.0),
        usage=Usage(**told) if told else None,
        finish_reason=row["finish_reason"],
        completion_id=row["completion_id"],
        fault=_fault(row),
    )


def _fault(row: Row) -> Fault | None:
    if row["error_code"] is None:
        return None
    return Fault(
        status=row["error_status"] or 502,
        code=row["error_code"],
        message=row["error_message"] or "",
        type=row["error_type"] or "moontide_error",
        param=row["error_param"],
    )
