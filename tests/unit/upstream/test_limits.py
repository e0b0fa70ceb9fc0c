"""Limits: how much may go, and who is next."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.upstream.rules.limits import Gate, Waiter
from services.upstream.rules.sessions import tokens_of
from shared.config import Limits


def let_in(gate: Gate, now: float = 0.0, workers: int = 1) -> list[str]:
    return [waiter.client for waiter in gate.let_in(workers, now)[0]]


def test_without_limits_there_is_always_room() -> None:
    assert Gate(Limits()).is_unlimited
    assert Gate(Limits()).has_room(1e9, 1, 0.0)
    assert not Gate(Limits(tokens_per_minute=1)).is_unlimited


def test_so_many_at_once_and_no_more_until_one_ends() -> None:
    gate = Gate(Limits(max_in_flight=2))
    gate.enter(1, 1, 0.0)
    gate.enter(1, 1, 0.0)

    assert not gate.has_room(1, 1, 0.0)
    gate.join("ann", 1)
    assert gate.let_in(1, 0.0) == ([], None)
    gate.leave()
    assert let_in(gate) == ["ann"]


def test_a_worker_keeps_to_its_share_and_to_one_at_least() -> None:
    gate = Gate(Limits(max_in_flight=2))
    gate.enter(1, 4, 0.0)

    assert not gate.has_room(1, 4, 0.0)
    assert gate.has_room(1, 1, 0.0)


def test_a_minutes_worth_may_go_at_once_and_then_as_the_minute_goes() -> None:
    gate = Gate(Limits(requests_per_minute=6))
    for _ in range(6):
        assert gate.has_room(1, 1, 0.0)
        gate.enter(1, 1, 0.0)

    assert not gate.has_room(1, 1, 9.9)
    assert gate.has_room(1, 1, 10.0)
    gate.join("ann", 1)
    assert gate.let_in(1, 4.0) == ([], pytest.approx(6.0))
    assert gate.retry_after_s(1, 1, 4.0) == pytest.approx(6.0)
    assert gate.retry_after_s(1, 1, 9.9) == 1.0


def test_tokens_are_counted_too_and_a_request_larger_than_a_minute_goes_when_all_is_there() -> None:
    gate = Gate(Limits(tokens_per_minute=600))
    gate.enter(300, 1, 0.0)

    assert gate.has_room(300, 1, 0.0)
    assert not gate.has_room(301, 1, 0.0)
    assert gate.has_room(9000, 1, 30.0)


def test_clients_take_turns_and_each_is_served_in_its_order() -> None:
    gate = Gate(Limits(max_in_flight=1))
    gate.enter(1, 1, 0.0)
    waiters = [gate.join(client, 1) for client in ("greedy", "greedy", "greedy", "ann", "bob")]
    order: list[Waiter] = []
    for _ in waiters:
        gate.leave()
        order += gate.let_in(1, 0.0)[0]

    assert [waiter.client for waiter in order] == ["greedy", "ann", "bob", "greedy", "greedy"]
    assert [waiter for waiter in order if waiter.client == "greedy"] == waiters[:3]
    assert gate.waiting == 0


def test_nobody_overtakes_those_who_wait() -> None:
    gate = Gate(Limits(max_in_flight=1))
    gate.enter(1, 1, 0.0)
    gate.join("ann", 1)
    gate.leave()

    assert not gate.has_room(1, 1, 0.0)


def test_who_gives_up_waits_no_longer() -> None:
    gate = Gate(Limits(max_in_flight=1))
    gate.enter(1, 1, 0.0)
    first, second = gate.join("ann", 1), gate.join("ann", 1)
    gate.give_up(first)
    gate.give_up(first)
    gate.give_up(second)
    gate.give_up(second)
    gate.leave()

    assert gate.has_room(1, 1, 0.0)


@given(arrivals=st.lists(st.tuples(st.floats(0, 5), st.integers(1, 200)), min_size=1, max_size=80))
def test_never_more_than_the_limit_in_a_minute_beyond_one_minutes_worth(arrivals: list[tuple[float, int]]) -> None:
    gate, now, gone = Gate(Limits(tokens_per_minute=600, requests_per_minute=30)), 0.0, []
    for pause_s, tokens in arrivals:
        now += pause_s
        if gate.has_room(tokens, 1, now):
            gate.enter(tokens, 1, now)
            gone.append((now, tokens))

    assert len(gone) <= 30 + 30 * now / 60 + 1e-6
    assert sum(tokens for _, tokens in gone) <= 600 + 600 * now / 60 + 1e-6


def test_a_request_may_cost_its_prompt_and_the_longest_answer_allowed() -> None:
    assert tokens_of(b'{"max_tokens": 100}') == 100 + 19 / 4
    assert tokens_of(b'{"max_completion_tokens": 7, "max_tokens": 100}') == 7 + 47 / 4
    assert tokens_of(b'{"max_tokens": "many"}') == 22 / 4
    assert tokens_of(b"no json!") == 2


def test_what_an_answer_really_used_takes_the_estimates_place() -> None:
    gate = Gate(Limits(tokens_per_minute=600))
    gate.enter(600, 1, 0.0)
    assert not gate.has_room(1, 1, 0.0)
    gate.correct(600, 100, 1, 0.0)

    assert gate.has_room(500, 1, 0.0)
    assert not gate.has_room(501, 1, 0.0)
    gate.correct(100, 700, 1, 0.0)
    assert gate.retry_after_s(1, 1, 0.0) == pytest.approx(10.1)


def test_other_limits_hold_for_who_is_in_already() -> None:
    gate = Gate(Limits(max_in_flight=1, tokens_per_minute=600))
    gate.enter(300, 1, 0.0)
    gate.limit(Limits(max_in_flight=2, tokens_per_minute=1200))

    assert gate.has_room(600, 1, 0.0)
    assert not gate.has_room(601, 1, 0.0)
    gate.limit(Limits(max_in_flight=1))
    assert not gate.has_room(1, 1, 0.0)
    gate.leave()
    assert gate.has_room(1e9, 1, 0.0)
    for rate in (1, 2):
        gate.limit(Limits(requests_per_minute=rate))
        assert gate.has_room(1, 1, 0.0)


@given(st.floats(1, 1e6), st.floats(1, 1e6), st.floats(0, 1e6), st.integers(1, 5))
def test_a_bucket_stays_as_full_as_it_is_at_another_rate(
    before: float, after: float, used: float, workers: int
) -> None:
    gate = Gate(Limits(tokens_per_minute=max(1, int(before))))
    gate.enter(used, workers, 0.0)
    waited = gate.retry_after_s(1e9, workers, 0.0)
    gate.limit(Limits(max_in_flight=10, tokens_per_minute=max(1, int(after))))

    assert gate.retry_after_s(1e9, workers, 0.0) == pytest.approx(waited, rel=1e-6)
