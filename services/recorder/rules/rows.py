"""Facts that several rows share: tokens, speeds, faults, headers."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from shared.contracts import End, Fault, Usage
from shared.prices import price_of
from shared.secrets import REDACTED, is_secret_name, redact_headers, scrub

Row = dict[str, Any]

REQUEST_ID_HEADERS = ("msh-request-id", "x-request-id", "request-id")
QUERY = re.compile(r"([?&;])([^=&;#]+)=([^&;#]*)")
SECRET_PARAMETERS = frozenset({"key", "token", "sig", "signature"})
AT_ONCE_S = 0.001  # a stream that took no longer came in one piece
MESSAGE_CHARACTERS = 64 * 1024  # of an error's text
INDEXED_CHARACTERS = 500  # of a name that somebody else chose; Postgres's indexes take 2,704 bytes


def usage_row(usage: Usage | None) -> Row:
    if usage is None:
        return dict.fromkeys(_TOKENS)
    return {name: getattr(usage, name) for name in _TOKENS}


_TOKENS = ("prompt_tokens", "completion_tokens", "cached_tokens", "reasoning_tokens", "total_tokens")


def indexable(name: Any) -> str | None:
    """A name as it is kept in an indexed column; None where it is none."""
    return name[:INDEXED_CHARACTERS].replace("\x00", "") if isinstance(name, str) else None


def cost(model: str | None, usage: Usage | None) -> float | None:
    """US dollars; None where the price or the usage is not known."""
    price = price_of(model) if model else None
    return price.of(usage) if price and usage else None


def total_cost(costs: Iterable[float | None]) -> float | None:
    """None where not one of them is known."""
    known = [one for one in costs if one is not None]
    return sum(known) if known else None


def fault_row(fault: Fault | None) -> Row:
    if fault is None:
        return dict.fromkeys(("error_status", "error_type", "error_code", "error_param", "error_message"))
    return {
        "error_status": fault.status,
        "error_type": fault.type,
        "error_code": fault.code,
        "error_param": fault.param,
        "error_message": scrub(fault.message[:MESSAGE_CHARACTERS]),
    }


def speed_row(usage: Usage | None, streamed: bool, first_byte_s: float | None, total_s: float | None) -> Row:
    """Of a stream, what came after its first byte; an answer in one piece has no first token to tell apart."""
    tokens = usage.completion_tokens if usage else 0
    writing_s = total_s or 0.0
    if streamed and first_byte_s is not None and writing_s - first_byte_s > AT_ONCE_S:
        tokens, writing_s = tokens - 1, writing_s - first_byte_s
    if tokens <= 0 or writing_s <= 0:
        return {"token_s": None, "tokens_per_s": None}
    return {"token_s": writing_s / tokens, "tokens_per_s": tokens / writing_s}


def provider_row(headers: Mapping[str, str]) -> Row:
    """The provider's own names for a call; header names in lower case."""
    found = (headers[name] for name in REQUEST_ID_HEADERS if name in headers)
    return {"provider_request_id": indexable(next(found, None)), "server_timing": headers.get("server-timing")}


def content_type(headers: Mapping[str, str]) -> str | None:
    return next((value for name, value in headers.items() if name.lower() == "content-type"), None)


def recorded_headers(headers: Mapping[str, str]) -> dict[str, str] | None:
    return redact_headers(headers) or None


def recorded_path(path: str) -> str:
    """The path or URL with the values of secret query parameters taken out."""

    def value(match: re.Match[str]) -> str:
        separator, name, _ = match.groups()
        is_secret = is_secret_name(name) or name.lower() in SECRET_PARAMETERS
        return f"{separator}{name}={REDACTED}" if is_secret else match.group()

    return scrub(QUERY.sub(value, path))


def recorded_facts(facts: Any) -> Any:
    """An event's facts, whatever their shape, without what looks like a key."""
    if isinstance(facts, str):
        return scrub(facts)
    if isinstance(facts, dict):
        return {name: REDACTED if is_secret_name(name) else recorded_facts(value) for name, value in facts.items()}
    if isinstance(facts, list):
        return [recorded_facts(value) for value in facts]
    return facts


def repairs_of(ends: Iterable[End | None]) -> dict[str, int] | None:
    told = [end.repairs for end in ends if end is not None and end.repairs]
    if not told:
        return None
    total = sum((Counter(repairs) for repairs in told), Counter())
    return dict(sorted(total.items()))


def poison_row(seq: int, at: float, subject: str, reason: str, data: bytes) -> Row:
    """A message, put aside. `data` as it came, or packed with others (its subject ends in `>` then)."""
    return {"seq": seq, "at": at, "subject": subject, "reason": reason, "data": data}
