"""Which call comes next, and when: every way that a request's calls can fail."""

from __future__ import annotations

from random import Random

from hypothesis import given
from hypothesis import strategies as st

from services.upstream.rules.budget import RESERVE, Budget
from services.upstream.rules.retries import Standing, Step, Tries
from services.upstream.rules.verdicts import Judgement, Verdict
from shared.config import Retry, Target

A, B, C = (Target(provider=name) for name in "abc")
POLICY = Retry(attempts=3, base_s=1.0, cap_s=4.0, max_wait_s=20.0)
DEADLINE = 100.0


def tries(*targets: Target, budget: bool = True, deadline: float = DEADLINE) -> Tries:
    return Tries(targets, lambda _target: POLICY, lambda _target: budget, deadline, Random(1))


def ready(_target: Target) -> Standing:
    return Standing.READY


def fail(one: Tries, target: Target, verdict: Verdict, retry_after_s: float | None = None, now: float = 0.0) -> None:
    one.called(target)
    one.failed(target, Judgement(verdict, retry_after_s), now)


def test_targets_that_were_not_asked_come_first_in_their_order_without_a_pause() -> None:
    one = tries(A, B, C)
    seen = []
    for _ in range(3):
        step = one.next(0.0, ready)
        assert step is not None
        seen.append(step)
        fail(one, step.target, Verdict.SERVER)

    assert seen == [Step(A), Step(B), Step(C)]


def test_then_the_one_that_can_be_asked_soonest_is_asked_again() -> None:
    one = tries(A, B)
    fail(one, A, Verdict.RATE_LIMITED, retry_after_s=9.0)
    fail(one, B, Verdict.RATE_LIMITED, retry_after_s=5.0)

    assert one.next(2.0, ready) == Step(B, after_s=3.0)


def test_a_provider_that_wants_to_be_left_alone_for_too_long_is_given_up() -> None:
    one = tries(A)
    fail(one, A, Verdict.RATE_LIMITED, retry_after_s=POLICY.max_wait_s + 0.1)

    assert one.next(0.0, ready) is None


def test_what_no_repetition_cures_is_not_repeated() -> None:
    for verdict in (Verdict.QUOTA, Verdict.AUTH, Verdict.MISSING, Verdict.FORBIDDEN):
        one = tries(A)
        fail(one, A, verdict)

        assert one.next(0.0, ready) is None


def test_the_clients_own_mistake_ends_it_for_every_target() -> None:
    one = tries(A, B)
    fail(one, A, Verdict.CLIENT)

    assert one.next(0.0, ready) is None


def test_a_target_gets_no_more_attempts_than_allowed() -> None:
    one = tries(A)
    for _ in range(POLICY.attempts):
        assert one.next(50.0, ready) is not None
        fail(one, A, Verdict.OVERLOADED, retry_after_s=0.0, now=50.0)

    assert one.next(50.0, ready) is None


def test_nothing_goes_on_past_the_deadline() -> None:
    one = tries(A, B)
    fail(one, A, Verdict.SERVER, now=0.0)

    assert one.next(DEADLINE, ready) is None
    fail(one, B, Verdict.RATE_LIMITED, retry_after_s=10.0, now=95.0)
    fail(one, A, Verdict.RATE_LIMITED, retry_after_s=10.0, now=95.0)
    assert one.next(95.0, ready) is None


def test_without_budget_there_is_no_second_call_but_another_target_is_free() -> None:
    one = tries(A, B, budget=False)
    fail(one, A, Verdict.SERVER)

    assert one.next(0.0, ready) == Step(B)
    fail(one, B, Verdict.SERVER)
    assert one.next(10.0, ready) is None


def test_a_busy_target_is_passed_over_while_another_has_room() -> None:
    look = {A: Standing.BUSY, B: Standing.READY}.__getitem__
    one = tries(A, B)

    assert one.next(0.0, look) == Step(B)
    fail(one, B, Verdict.MISSING)
    assert one.next(0.0, look) == Step(A, queues=True)


def test_a_busy_target_that_failed_is_queued_for_again() -> None:
    one = tries(A)
    fail(one, A, Verdict.RATE_LIMITED, retry_after_s=0.0)

    assert one.next(0.0, lambda _target: Standing.BUSY) == Step(A, queues=True)


def test_an_open_circuit_is_the_last_resort_and_a_shut_one_none_at_all() -> None:
    look = {A: Standing.OPEN, B: Standing.SHUT, C: Standing.READY}.__getitem__
    one = tries(A, B, C)

    assert one.next(0.0, look) == Step(C)
    fail(one, C, Verdict.MISSING)
    assert one.next(0.0, look) == Step(A)
    fail(one, A, Verdict.SERVER)
    assert one.next(0.0, look) is None


def test_the_last_resort_is_paid_for_too() -> None:
    assert tries(A, budget=False).next(0.0, lambda _target: Standing.OPEN) is None


def test_only_allowed_targets_are_asked() -> None:
    assert tries(A, B).next(0.0, ready, lambda target: target is B) == Step(B)


def test_only_the_first_call_to_a_target_is_a_first_one() -> None:
    one = tries(A)

    assert [one.called(A), one.called(A)] == [True, False]


@given(seed=st.integers(), calls=st.integers(1, 10))
def test_a_pause_grows_with_the_calls_up_to_its_cap_and_is_jittered(seed: int, calls: int) -> None:
    policy = Retry(attempts=20, base_s=1.0, cap_s=4.0)
    one = Tries((A,), lambda _target: policy, lambda _target: True, DEADLINE, Random(seed))
    for _ in range(calls):
        fail(one, A, Verdict.SERVER)
    step = one.next(0.0, ready)

    assert step is not None
    assert 0.0 <= step.after_s <= min(4.0, 2.0 ** (calls - 1))


def test_a_budget_allows_a_share_of_the_calls_and_a_reserve() -> None:
    budget = Budget(0.2)
    reserve = sum(budget.take() for _ in range(1000))
    for _ in range(1000):
        budget.pay_in()
    first = sum(budget.take() for _ in range(1000))
    spent = 0
    for _ in range(1000):
        budget.pay_in()
        spent += budget.take()

    assert (reserve, first) == (RESERVE, RESERVE)
    assert abs(spent - 200) <= 1
    assert not Budget(0.0).take()


def advise(one: Tries, target: Target, verdict: Verdict, should_retry: bool) -> None:
    one.called(target)
    one.failed(target, Judgement(verdict, should_retry=should_retry), 0.0)


def test_a_provider_that_says_not_to_is_not_asked_again_and_others_are() -> None:
    one = tries(A, B)
    advise(one, A, Verdict.SERVER, False)
    assert one.next(0.0, ready) == Step(B)
    advise(one, B, Verdict.SERVER, False)

    assert one.next(0.0, ready) is None


def test_a_provider_that_says_so_is_asked_again_whatever_its_status_and_nobody_else_is() -> None:
    one = tries(A, B)
    advise(one, A, Verdict.CLIENT, True)

    step = one.next(50.0, ready)
    assert step is not None
    assert step.target == A


def test_no_advice_makes_an_empty_account_worth_asking() -> None:
    for verdict in (Verdict.QUOTA, Verdict.AUTH):
        one = tries(A)
        advise(one, A, verdict, True)

        assert one.next(50.0, ready) is None
