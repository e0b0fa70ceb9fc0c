"""Which target a request's next call goes to, and when: one request's tries, from the first to the last.

Rules:

* A target that was not asked yet comes before one that failed, in the strategy's order, and without a pause.
* A target that failed is asked again only where that can help, after a pause: exponential with full jitter, or as
  long as the provider asked for. Its provider's budget pays for that.
* A target whose circuit is open is asked when nothing else is left, once, and that too is paid out of the budget. One
  that is shut (no money, a wrong key) never is.
* A target without room is passed over while another one has some; then its queue is waited in.
* A provider that says `x-should-retry` knows best: `false` is not asked again, `true` is.
* Nothing goes on past the deadline.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from random import Random

from services.upstream.rules.verdicts import Judgement, Verdict
from shared.config import Retry, Target


class Standing(Enum):
    """How a target is just now."""

    READY = "ready"
    BUSY = "busy"  # at its limits: a call has to queue
    OPEN = "open"  # its circuit is open: only where nothing else is left
    SHUT = "shut"  # never


@dataclass(frozen=True)
class Step:
    """The next call."""

    target: Target
    after_s: float = 0.0
    queues: bool = False


@dataclass
class _Tried:
    """What one target did for this request."""

    calls: int = 0
    may_repeat: bool = True
    not_before: float = 0.0


Look = Callable[[Target], Standing]


class Tries:
    """One request's. `ranked` is the strategy's order; times are on one monotonic clock."""

    def __init__(
        self,
        ranked: Sequence[Target],
        policy: Callable[[Target], Retry],
        take: Callable[[Target], bool],
        deadline: float,
        random: Random,
    ) -> None:
        self._tried = {target: _Tried() for target in ranked}
        self._policy = policy
        self._take = take  # a retry, out of the provider's budget
        self._deadline = deadline
        self._random = random

    def next(self, now: float, look: Look, allowed: Callable[[Target], bool] = lambda _target: True) -> Step | None:
        """The next call among the allowed targets, or None where nothing helps any more."""
        if now >= self._deadline:
            return None
        left = {target: tried for target, tried in self._tried.items() if allowed(target) and tried.may_repeat}
        standings = {target: look(target) for target in left}
        return (
            self._fresh(left, standings, Standing.READY)
            or self._fresh(left, standings, Standing.BUSY)
            or self._again(left, standings, now)
            or self._last_resort(left, standings)
        )

    def _fresh(self, left: dict[Target, _Tried], standings: dict[Target, Standing], standing: Standing) -> Step | None:
        for target, tried in left.items():
            if not tried.calls and standings[target] is standing:
                return Step(target, queues=standing is Standing.BUSY)
        return None

    def _last_resort(self, left: dict[Target, _Tried], standings: dict[Target, Standing]) -> Step | None:
        step = self._fresh(left, standings, Standing.OPEN)
        return step if step is not None and self._take(step.target) else None

    def _again(self, left: dict[Target, _Tried], standings: dict[Target, Standing], now: float) -> Step | None:
        tried = [
            target
            for target, done in left.items()
            if done.calls and standings[target] in (Standing.READY, Standing.BUSY) and self._is_worth_it(target, now)
        ]
        for target in sorted(tried, key=lambda target: self._tried[target].not_before):
            if self._take(target):
                pause_s = max(0.0, self._tried[target].not_before - now)
                return Step(target, pause_s, queues=standings[target] is Standing.BUSY)
        return None

    def _is_worth_it(self, target: Target, now: float) -> bool:
        """Whether the pause that it needs is one that anybody waits."""
        policy, not_before = self._policy(target), self._tried[target].not_before
        return not_before < self._deadline and not_before - now <= max(policy.max_wait_s, policy.cap_s)

    def called(self, target: Target) -> bool:
        """Notes a call; whether it is the request's first one to the target."""
        self._tried[target].calls += 1
        return self._tried[target].calls == 1

    def failed(self, target: Target, judgement: Judgement, now: float) -> None:
        """Notes how a call failed."""
        tried, policy = self._tried[target], self._policy(target)
        tried.may_repeat = judgement.may_repeat and tried.calls < policy.attempts
        tried.not_before = now + self._pause_s(tried.calls, judgement, policy)
        if judgement.verdict is Verdict.CLIENT:
            for other in self._tried.values():
                other.may_repeat = other.may_repeat and other is tried and judgement.may_repeat

    def _pause_s(self, calls: int, judgement: Judgement, policy: Retry) -> float:
        if judgement.retry_after_s is not None:
            return judgement.retry_after_s
        longest_s: float = min(policy.cap_s, policy.base_s * 2.0 ** (calls - 1))
        return self._random.uniform(0.0, longest_s)
