"""From what a provider answered to what a client is told."""

from __future__ import annotations

import html
import math
import re
from collections.abc import Mapping
from contextlib import suppress

import msgspec

from services.upstream.rules.watch import error_fault
from shared.contracts import Fault

SHOWN_CHARACTERS = 200  # of an error page, in the message
LONGEST_RETRY_AFTER_S = 24 * 3600.0


class _ErrorBody(msgspec.Struct):
    error: msgspec.Raw


_decode_body = msgspec.json.Decoder(_ErrorBody).decode


def of_status(provider: str, status: int, headers: Mapping[str, str], body: bytes) -> Fault:
    """The fault of an answer with an error status: the provider's own words where it has any."""
    retry_after_s = retry_after(headers)
    advice = should_retry(headers)
    shown = status if status >= 400 else 502  # a redirection or the like is no answer of ours
    try:
        fault = error_fault(shown, bytes(_decode_body(body).error), body, retry_after_s)
        return fault if advice is None else msgspec.structs.replace(fault, should_retry=advice)
    except (msgspec.DecodeError, UnicodeDecodeError):
        message = f"The provider {provider} answered {status} and no JSON error: {_first_words(body)}"
        return Fault(
            status=shown,
            code="provider_error",
            type="server_error" if status >= 500 else "provider_error",
            message=message,
            retry_after_s=retry_after_s,
            should_retry=advice,
        )


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds, from `retry-after-ms` or a `retry-after` in seconds; a date is left to the caller's patience."""
    for name, unit in (("retry-after-ms", 1000.0), ("retry-after", 1.0)):
        with suppress(KeyError, ValueError):
            after_s = float(headers[name]) / unit
            if math.isfinite(after_s):
                return min(max(0.0, after_s), LONGEST_RETRY_AFTER_S)
    return None


def should_retry(headers: Mapping[str, str]) -> bool | None:
    """`x-should-retry: true|false`, which says more than the status; None where it says nothing."""
    return {"true": True, "false": False}.get(headers.get("x-should-retry", "").strip().lower())


def unreachable(provider: str, why: str) -> Fault:
    return _gateway_fault(502, "provider_unreachable", f"The provider {provider} can't be reached: {why}")


def too_slow(provider: str, phase: str, after_s: float) -> Fault:
    what = "did not finish within" if phase == "total" else "sent nothing for"
    message = f"The provider {provider} {what} {after_s:g} s ({phase} timeout)."
    return _gateway_fault(504, f"provider_{phase}_timeout", message)


def broken(provider: str, why: str) -> Fault:
    message = f"The provider {provider} broke off in the middle of its answer: {why}"
    return _gateway_fault(502, "provider_broke_off", message)


def truncated(provider: str) -> Fault:
    message = f"The provider {provider} closed the stream before its end: no finish_reason, no [DONE]."
    return _gateway_fault(502, "provider_truncated", message)


def unreadable(provider: str, body: bytes) -> Fault:
    message = f"The provider {provider} answered 200 with something that is no completion: {_first_words(body)}"
    return _gateway_fault(502, "provider_bad_answer", message)


def _gateway_fault(status: int, code: str, message: str) -> Fault:
    return Fault(status=status, code=code, type="server_error", message=message)


def _first_words(body: bytes) -> str:
    text = body[:4000].decode("utf-8", "replace")
    if "<" in text:
        text = html.unescape(re.sub(r"<(?:style|script)[\s\S]*?</(?:style|script)>|<[^>]*>", " ", text))
    words = " ".join(text.split())
    return words[:SHOWN_CHARACTERS] or "(an empty body)"
