"""Which trace a request belongs to (W3C Trace Context), worked out by whoever needs it from the request's id and
headers, so that no message carries more than it did.

A request that brings a `traceparent` goes on with that trace. Any other begins one, whose id is the request's ULID in
hexadecimal: 128 bits, like a trace id. Span ids are digests of the request's id and the span's name within it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import blake2b

from shared.ids import id_of_number, is_id, number_of

PARENT_HEADER = "traceparent"
STATE_HEADER = "tracestate"
CONTEXT_HEADERS = frozenset({PARENT_HEADER, STATE_HEADER, "baggage"})
"""Headers that say which trace a request belongs to; W3C baggage may say anything besides."""

SAMPLED = 1  # the lowest bit of the flags
STATE_CHARACTERS = 512  # the longest `tracestate` that has to be handed on
RANDOM_BITS = 64  # of a trace id, the lower ones: samplers of OpenTelemetry decide by them

_PARENT = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?", re.DOTALL)
_STATE_KEY = r"[a-z0-9][a-z0-9_*/@-]{0,255}"
_STATE_VALUE = r"[ -+\--<>-~]{0,255}[!-+\--<>-~]"  # printable, but no comma and no equals sign; no blank at the end
_STATE = re.compile(rf"{_STATE_KEY}={_STATE_VALUE}")


@dataclass(frozen=True, kw_only=True)
class TraceContext:
    """A request's place in its trace."""

    trace_id: int
    parent_id: int | None = None  # the caller's span; None: the trace begins here
    sampled: bool
    state: str = ""  # what vendors of tracing have said of it, as the caller sent it


def context_of(id: str, headers: Mapping[str, str], ratio: float) -> TraceContext:
    """The place of the request `id`; `headers` have lower-case names.

    A caller has decided for its whole trace whether it is kept; of those that begin here `ratio` are.
    """
    found = parsed(headers.get(PARENT_HEADER, ""))
    if found is None:
        trace_id = trace_id_of(id)
        return TraceContext(trace_id=trace_id, sampled=is_kept(trace_id, ratio))
    trace_id, parent_id, flags = found
    state = valid_state(headers.get(STATE_HEADER, ""))
    return TraceContext(trace_id=trace_id, parent_id=parent_id, sampled=bool(flags & SAMPLED), state=state)


def call_headers(id: str, call: str, headers: Mapping[str, str], ratio: float) -> dict[str, str]:
    """What a provider is told, so that its own spans stand below the span of this call."""
    context = context_of(id, headers, ratio)
    flags = SAMPLED if context.sampled else 0
    told = {PARENT_HEADER: f"00-{context.trace_id:032x}-{span_id(id, call):016x}-{flags:02x}"}
    return told | ({STATE_HEADER: context.state} if context.state else {})


def parsed(text: str) -> tuple[int, int, int] | None:
    """Trace id, span id and flags of a `traceparent`; None where it is none, and so begins a trace anew."""
    match = _PARENT.fullmatch(text.strip())
    if match is None:
        return None
    version, trace_id, parent_id, flags, more = match.groups()
    is_known = version != "ff" and (version != "00" or more is None)  # later versions may say more
    if not is_known or not int(trace_id, 16) or not int(parent_id, 16):
        return None
    return int(trace_id, 16), int(parent_id, 16), int(flags, 16)


def valid_state(text: str) -> str:
    """A `tracestate` that may be handed on; empty where any of it is wrong, or where it is too long."""
    members = [member.strip() for member in text.split(",")]
    kept = [member for member in members if member]
    keys = [member.partition("=")[0] for member in kept]
    is_valid = all(_STATE.fullmatch(member) for member in kept) and len(set(keys)) == len(keys)
    joined = ",".join(kept)
    return joined if is_valid and len(joined) <= STATE_CHARACTERS else ""


def trace_id_of(id: str) -> int:
    """The trace that a request begins."""
    return (number_of(id) if is_id(id) else _digest(id, 16)) or 1


def request_id_of(trace_id: str) -> str | None:
    """The request that began this trace, 32 hexadecimal digits; None where that can't have been one of ours."""
    if not re.fullmatch(r"[0-9a-fA-F]{32}", trace_id):
        return None
    return id_of_number(int(trace_id, 16))


def span_id(id: str, *names: str) -> int:
    """The same each time: a span that is sent twice is one span."""
    return _digest("/".join((id, *names)), 8) or 1


def is_kept(trace_id: int, ratio: float) -> bool:
    """Whether a trace is among the share `ratio` of all."""
    return trace_id % (1 << RANDOM_BITS) < round(ratio * (1 << RANDOM_BITS))


def _digest(text: str, size: int) -> int:
    return int.from_bytes(blake2b(text.encode(), digest_size=size).digest())
