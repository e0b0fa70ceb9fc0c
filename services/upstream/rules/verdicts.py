"""What a failure means: judged by the error's own code, type and words, and by the status only where those say nothing.

An exhausted balance and a rate limit are both a 429; a wrong key and a retired model may both be an
`invalid_request_error`. The tables are the providers' documented errors (Moonshot, OpenRouter, Anthropic, OpenAI).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum

from shared.contracts import Fault


class Verdict(Enum):
    """Whose fault it is, and so what helps."""

    CLIENT = "client"  # the request itself: nobody else will take it either
    RATE_LIMITED = "rate_limited"  # the account sends too fast: wait, or go elsewhere
    OVERLOADED = "overloaded"  # the provider has no room: go elsewhere, or try again soon
    QUOTA = "quota_exhausted"  # no money: never again until somebody pays
    AUTH = "auth"  # the key is wrong: never again until somebody mends it
    MISSING = "model_missing"  # this provider doesn't have this model
    FORBIDDEN = "forbidden"  # this provider won't do this one request; another may
    SERVER = "server_error"  # the provider failed: try again
    UNREACHABLE = "unreachable"  # no connection, or none that lasted to the first byte
    SLOW = "slow"  # nothing came in time
    BROKEN = "broken"  # it failed in the middle of its answer

    @property
    def is_final(self) -> bool:
        """No other target helps."""
        return self is Verdict.CLIENT

    @property
    def may_repeat(self) -> bool:
        """The same target may do it the next time."""
        return self in _REPEATABLE

    @property
    def shuts(self) -> bool:
        """The provider is of no use to anybody until somebody acts."""
        return self in (Verdict.QUOTA, Verdict.AUTH)

    @property
    def counts(self) -> bool:
        """It says something about the provider's health."""
        return self in _REPEATABLE and self is not Verdict.RATE_LIMITED


_REPEATABLE = frozenset(
    {
        Verdict.RATE_LIMITED,
        Verdict.OVERLOADED,
        Verdict.SERVER,
        Verdict.UNREACHABLE,
        Verdict.SLOW,
        Verdict.BROKEN,
    }
)

DAY_LIMIT_S = 3600.0  # how long a limit per day is left alone before it is tried again

_BY_CODE = {
    "model_not_found": Verdict.MISSING,
    "invalid_api_key": Verdict.AUTH,
    "no_api_key": Verdict.FORBIDDEN,  # ours: neither we nor this client have a key for it; another client may
    "insufficient_quota": Verdict.QUOTA,
    "billing_hard_limit_reached": Verdict.QUOTA,
    "rate_limit_exceeded": Verdict.RATE_LIMITED,
    "context_length_exceeded": Verdict.CLIENT,
    "provider_limit": Verdict.FORBIDDEN,  # ours: it was waited for, in vain
    "provider_unreachable": Verdict.UNREACHABLE,
    "provider_first_byte_timeout": Verdict.SLOW,
    "provider_idle_timeout": Verdict.BROKEN,
    "provider_broke_off": Verdict.BROKEN,
    "provider_truncated": Verdict.BROKEN,
    "provider_bad_answer": Verdict.SERVER,
}

_BY_TYPE = {
    # Moonshot
    "content_filter": Verdict.CLIENT,
    "invalid_authentication_error": Verdict.AUTH,
    "incorrect_api_key_error": Verdict.AUTH,
    "permission_denied_error": Verdict.FORBIDDEN,
    "access_terminated_error": Verdict.AUTH,
    "resource_not_found_error": Verdict.MISSING,
    "engine_overloaded_error": Verdict.OVERLOADED,
    "rate_limit_reached_error": Verdict.RATE_LIMITED,
    "exceeded_current_quota_error": Verdict.QUOTA,
    "client_closed_request": Verdict.SERVER,
    "server_error": Verdict.SERVER,
    "unexpected_output": Verdict.SERVER,
    "server_unavailable": Verdict.OVERLOADED,
    # Anthropic
    "authentication_error": Verdict.AUTH,
    "billing_error": Verdict.QUOTA,
    "permission_error": Verdict.FORBIDDEN,
    "not_found_error": Verdict.MISSING,
    "request_too_large": Verdict.CLIENT,
    "rate_limit_error": Verdict.RATE_LIMITED,
    "timeout_error": Verdict.SERVER,
    "api_error": Verdict.SERVER,
    "overloaded_error": Verdict.OVERLOADED,
    # OpenRouter, `metadata.error_type`
    "context_length_exceeded": Verdict.CLIENT,
    "max_tokens_exceeded": Verdict.CLIENT,
    "token_limit_exceeded": Verdict.CLIENT,
    "string_too_long": Verdict.CLIENT,
    "authentication": Verdict.AUTH,
    "permission_denied": Verdict.FORBIDDEN,
    "payment_required": Verdict.QUOTA,
    "rate_limit_exceeded": Verdict.RATE_LIMITED,
    "provider_overloaded": Verdict.OVERLOADED,
    "provider_unavailable": Verdict.SERVER,
    "invalid_request": Verdict.CLIENT,
    "invalid_prompt": Verdict.CLIENT,
    "not_found": Verdict.MISSING,
    "precondition_failed": Verdict.CLIENT,
    "payload_too_large": Verdict.CLIENT,
    "unprocessable": Verdict.CLIENT,
    "content_policy_violation": Verdict.CLIENT,
    "refusal": Verdict.CLIENT,
    "invalid_image": Verdict.CLIENT,
    "server": Verdict.SERVER,
    "timeout": Verdict.SERVER,
    # OpenAI
    "insufficient_quota": Verdict.QUOTA,
    "tokens": Verdict.RATE_LIMITED,
    "requests": Verdict.RATE_LIMITED,
}

_BY_STATUS = {
    401: Verdict.AUTH,
    402: Verdict.QUOTA,
    403: Verdict.FORBIDDEN,
    404: Verdict.MISSING,
    408: Verdict.SERVER,
    409: Verdict.SERVER,
    425: Verdict.SERVER,
    429: Verdict.RATE_LIMITED,
    503: Verdict.OVERLOADED,
    529: Verdict.OVERLOADED,
}

_NO_MONEY = re.compile(
    r"exceeded your current (?:token )?quota|check your account balance|insufficient balance"
    r"|(?:please )?recharge your account|please recharge|account (?:is )?in arrears",
    re.IGNORECASE,
)
_TOO_DEAR = re.compile(r"fewer max_tokens|can only afford", re.IGNORECASE)
_PER_DAY = re.compile(r"\bTPD\b|\bRPD\b|per day", re.IGNORECASE)


@dataclass(frozen=True)
class Judgement:
    """A verdict, and how long the provider asked to be left alone."""

    verdict: Verdict
    retry_after_s: float | None = None
    should_retry: bool | None = None  # the provider's own word, where it gave one

    @property
    def may_repeat(self) -> bool:
        """The same target may do it the next time. No advice makes a wrong key or an empty account worth asking."""
        if self.should_retry is None or self.verdict.shuts:
            return self.verdict.may_repeat
        return self.should_retry


def judge(fault: Fault) -> Judgement:
    """What a call's failure means."""
    verdict = _verdict(fault)
    retry_after_s = fault.retry_after_s
    if verdict is Verdict.RATE_LIMITED and _PER_DAY.search(fault.message):
        retry_after_s = max(retry_after_s or 0.0, DAY_LIMIT_S)
    return Judgement(verdict, retry_after_s, fault.should_retry)


def _verdict(fault: Fault) -> Verdict:
    if fault.status in (402, 429) and _NO_MONEY.search(fault.message):
        return Verdict.QUOTA
    verdict = _BY_CODE.get(fault.code) or _BY_TYPE.get(fault.type) or _of_status(_status(fault))
    if verdict is Verdict.QUOTA and _TOO_DEAR.search(fault.message):
        return Verdict.FORBIDDEN  # there is money, but not for an answer as long as this one may get
    return verdict


def _status(fault: Fault) -> int:
    """An error event inside a 200 may have its status as its code (OpenRouter)."""
    return int(fault.code) if fault.code.isdigit() else fault.status


def _of_status(status: int) -> Verdict:
    if status in _BY_STATUS:
        return _BY_STATUS[status]
    return Verdict.CLIENT if 400 <= status < 500 else Verdict.SERVER
