"""Who is let in, and for how long."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.dashboard.rules.doors import host_is_ours, origin_is_ours
from services.dashboard.rules.sessions import LASTS_S, MOST, TRIES, TRIES_S, Sessions

OURS = ["127.0.0.1:9988", "127.0.0.1", "[::1]:9988", "localhost:9988", "LOCALHOST", "x.localhost", "192.168.1.7:80"]
NOT_OURS = ["evil.example", "evil.example:9988", "localhost.evil.example", "127.0.0.1.evil.example", "", "a@localhost"]
BROKEN = ["[::1", "localhost:port", "localhost/x", "localhost?x", "user:pass@127.0.0.1", "::1]", "localhost:99999"]


@pytest.mark.parametrize("host", OURS)
def test_an_address_and_this_machine_s_own_name_are_ours(host: str) -> None:
    assert host_is_ours(host, ())


@pytest.mark.parametrize("host", [*NOT_OURS, *BROKEN])
def test_any_other_name_is_not_ours(host: str) -> None:
    assert not host_is_ours(host, ())


def test_a_configured_name_is_ours_however_it_is_written() -> None:
    assert host_is_ours("Moon.Example:443", {"moon.example"})
    assert host_is_ours("moon.example.", {"moon.example"})
    assert not host_is_ours("sun.example", {"moon.example"})


@given(st.text(max_size=40))
def test_no_host_header_is_an_error(host: str) -> None:
    assert host_is_ours(host, ()) in (True, False)


def test_a_program_that_sends_no_origin_is_let_in() -> None:
    assert origin_is_ours(None, None, "127.0.0.1:9988")


@pytest.mark.parametrize("origin", ["http://127.0.0.1:9988", "https://127.0.0.1:9988"])
def test_our_own_page_is_let_in(origin: str) -> None:
    assert origin_is_ours(origin, "same-origin", "127.0.0.1:9988")


@pytest.mark.parametrize(
    ("origin", "site"),
    [
        ("http://evil.example", None),
        ("http://127.0.0.1:1234", None),
        ("null", None),
        ("file://127.0.0.1:9988", None),
        ("http://[", None),
        (None, "cross-site"),
        (None, "same-site"),
        ("http://127.0.0.1:9988", "cross-site"),
    ],
)
def test_another_site_s_page_is_not(origin: str | None, site: str | None) -> None:
    assert not origin_is_ours(origin, site, "127.0.0.1:9988")


def test_a_session_ends_after_half_a_day() -> None:
    sessions = Sessions()
    sessions.open("token", "ann", now=0.0)

    assert sessions.name_of("token", LASTS_S - 1) == "ann"
    assert sessions.name_of("token", LASTS_S) is None
    assert sessions.name_of("another", 1.0) is None
    assert sessions.name_of(None, 1.0) is None


def test_a_session_that_is_closed_is_over() -> None:
    sessions = Sessions()
    sessions.open("token", "ann", now=0.0)
    sessions.close("token")
    sessions.close("never opened")

    assert sessions.name_of("token", 1.0) is None


def test_the_oldest_session_ends_where_there_are_too_many() -> None:
    sessions = Sessions()
    for number in range(MOST + 1):
        sessions.open(f"token {number}", "ann", now=float(number) / MOST)

    assert sessions.name_of("token 0", 2.0) is None
    assert sessions.name_of("token 1", 2.0) == "ann"


def test_wrong_keys_can_be_tried_a_few_times_a_minute() -> None:
    sessions = Sessions()
    for _ in range(TRIES):
        assert sessions.may_try(1.0)
        sessions.was_wrong(1.0)

    assert not sessions.may_try(1.0 + TRIES_S / 2)
    assert sessions.may_try(1.0 + TRIES_S)
