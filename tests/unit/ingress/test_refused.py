"""What is kept of a request that got no further than the door."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.ingress.rules.refused import (
    BODY_BYTES,
    HEADER_CHARACTERS,
    Allowance,
    is_recorded,
    secret_in_query,
    shown_body,
    shown_headers,
    shown_path,
)

HEADERS = {"Authorization": "Bearer ck-1", "User-Agent": "curl", "X-Mine": "yes", "Accept": "a" * 9999}


@pytest.mark.parametrize(
    ("method", "path", "expected"),
    [
        ("GET", "/v1", True),
        ("GET", "/v1/nothing", True),
        ("POST", "/chat/completions", True),
        ("DELETE", "/", True),
        ("GET", "/favicon.ico", False),
        ("HEAD", "/api/hello", False),
        ("GET", "/v12", False),
    ],
)
def test_only_what_was_meant_for_the_api_is_recorded(method: str, path: str, expected: bool) -> None:
    assert is_recorded(method, path) is expected


@pytest.mark.parametrize("name", ["key", "TOKEN", "api_key", "x-api-key", "access_token"])
def test_a_query_that_holds_a_secret_is_not_shown(name: str) -> None:
    assert shown_path(f"/v1/files?limit=2&{name}=abc") == "/v1/files"


def test_a_query_without_a_secret_is_shown() -> None:
    assert shown_path("/v1/files?limit=2&after=") == "/v1/files?limit=2&after="


def test_a_key_in_the_path_itself_is_not_shown() -> None:
    assert "abcdef" not in shown_path("/v1/sk-abcdefghijkl/x")


@given(st.text(min_size=6, alphabet="abc123"))
def test_no_secret_of_a_query_is_ever_shown(secret: str) -> None:
    assert shown_path(f"/v1/models?x=1&api_key=zz{secret}") == "/v1/models"


def test_the_name_of_the_secret_parameter_is_told() -> None:
    assert secret_in_query({"limit": "2", "Key": "abc"}) == "Key"
    assert secret_in_query({"limit": "2"}) is None


def test_a_known_callers_headers_are_shown_without_its_key() -> None:
    assert shown_headers(HEADERS, is_known=True) == {"user-agent": "curl", "x-mine": "yes", "accept": "a" * 9999}


def test_of_a_strangers_headers_only_a_few_are_shown_and_not_all_of_them() -> None:
    shown = shown_headers(HEADERS, is_known=False)

    assert shown == {"user-agent": "curl", "accept": "a" * HEADER_CHARACTERS}


def test_a_body_that_was_read_is_shown() -> None:
    body = shown_body(b"{bad", 4)

    assert (body.data, body.size) == (b"{bad", 4)


def test_of_a_long_body_only_the_size_is_shown() -> None:
    body = shown_body(b"x" * (BODY_BYTES + 1), None)

    assert (body.data, body.size) == (None, BODY_BYTES + 1)


@pytest.mark.parametrize(("announced", "size"), [(9, 9), (None, 0)])
def test_a_body_that_was_not_read_is_as_long_as_it_said(announced: int | None, size: int) -> None:
    body = shown_body(None, announced)

    assert (body.data, body.size) == (None, size)


def test_an_empty_body_is_no_data() -> None:
    assert shown_body(b"", 0).data is None


def test_an_allowance_is_used_up_comes_back_and_tells_how_many_were_missed() -> None:
    allowance = Allowance(1.0)

    at_once = [allowance.take(100.0) for _ in range(7)]

    assert at_once == [0, 0, 0, 0, None, None, None]
    assert allowance.take(101.0) == 3
    assert allowance.take(101.5) is None


def test_an_allowance_of_nothing_lets_nobody_in() -> None:
    assert Allowance(0.0).take(1e9) is None


@given(st.floats(0.1, 50), st.lists(st.floats(0, 3), max_size=200))
def test_an_allowance_never_gives_more_than_its_rate_and_a_burst(per_s: float, pauses: list[float]) -> None:
    allowance, now, given_out = Allowance(per_s), 0.0, 0
    for pause in pauses:
        now += pause
        given_out += allowance.take(now) is not None

    assert given_out <= per_s * (now + 4) + 1e-6 * (1 + len(pauses))
