"""From what a provider answered to what a client is told."""

from __future__ import annotations

import pytest

from services.upstream.rules import faults

JSON = b'{"error":{"message":"Slow down.","type":"rate_limit_reached_error"}}'


def test_a_json_error_is_told_in_the_providers_own_words() -> None:
    fault = faults.of_status("moonshot", 429, {"retry-after": "2"}, JSON)

    assert (fault.status, fault.code, fault.type, fault.message) == (
        429,
        "rate_limit_reached_error",
        "rate_limit_reached_error",
        "Slow down.",
    )
    assert (fault.body, fault.retry_after_s) == (JSON.decode(), 2.0)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "(an empty body)"),
        (b"Bad  gateway\n", "Bad gateway"),
        (
            b"<html><head><style>p {color: red}</style><script>x()</script></head><body><h1>502</h1>"
            b"<p>Bad&nbsp;gateway &amp; more</p></body></html>",
            "502 Bad gateway & more",
        ),
        (b'{"detail":"not found"}', '{"detail":"not found"}'),
        (b"\xff\xfe", "\ufffd\ufffd"),
        (b"[1]", "[1]"),
    ],
)
def test_anything_else_is_told_by_its_first_words(body: bytes, words: str) -> None:
    fault = faults.of_status("moonshot", 502, {}, body)

    assert fault.message == f"The provider moonshot answered 502 and no JSON error: {words}"
    assert (fault.status, fault.code, fault.type, fault.body) == (502, "provider_error", "server_error", None)


def test_a_long_page_is_cut() -> None:
    fault = faults.of_status("moonshot", 500, {}, b"word " * 10_000)

    assert len(fault.message) < 300


def test_a_refusal_without_json_is_not_a_server_error() -> None:
    assert faults.of_status("moonshot", 404, {}, b"nothing here").type == "provider_error"


@pytest.mark.parametrize("body", [b"moved", JSON])
def test_a_redirection_is_a_bad_gateway(body: bytes) -> None:
    assert faults.of_status("moonshot", 302, {}, body).status == 502


@pytest.mark.parametrize(
    ("headers", "after_s"),
    [
        ({}, None),
        ({"retry-after": "3"}, 3.0),
        ({"retry-after": "0.5"}, 0.5),
        ({"retry-after": " 7 "}, 7.0),
        ({"retry-after-ms": "1500"}, 1.5),
        ({"retry-after-ms": "250", "retry-after": "3"}, 0.25),
        ({"retry-after-ms": "soon", "retry-after": "3"}, 3.0),
        ({"retry-after": "-5"}, 0.0),
        ({"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"}, None),
        ({"retry-after": ""}, None),
        ({"retry-after": "inf"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "1e400"}, None),
        ({"retry-after": "99999999"}, 86400.0),
    ],
)
def test_retry_after_is_read_in_every_form(headers: dict[str, str], after_s: float | None) -> None:
    assert faults.retry_after(headers) == after_s


@pytest.mark.parametrize(
    ("fault", "status", "code", "says"),
    [
        (faults.unreachable("m", "refused"), 502, "provider_unreachable", "can't be reached: refused"),
        (faults.too_slow("m", "first_byte", 300.0), 504, "provider_first_byte_timeout", "nothing for 300 s"),
        (faults.too_slow("m", "idle", 0.5), 504, "provider_idle_timeout", "nothing for 0.5 s"),
        (faults.broken("m", "reset"), 502, "provider_broke_off", "in the middle of its answer: reset"),
        (faults.truncated("m"), 502, "provider_truncated", "before its end"),
        (faults.unreadable("m", b"<p>Hi</p>"), 502, "provider_bad_answer", "no completion: Hi"),
    ],
)
def test_every_fault_of_a_call_has_its_status_and_names_the_provider(
    fault: faults.Fault, status: int, code: str, says: str
) -> None:
    assert (fault.status, fault.code, fault.type) == (status, code, "server_error")
    assert says in fault.message
    assert "The provider m " in fault.message


@pytest.mark.parametrize(
    ("said", "expected"), [("true", True), ("False", False), (" true ", True), ("maybe", None), (None, None)]
)
@pytest.mark.parametrize("body", [b'{"error": {"message": "no"}}', b"<html>no</html>"])
def test_the_providers_advice_on_retries_is_kept(said: str | None, expected: bool | None, body: bytes) -> None:
    headers = {} if said is None else {"x-should-retry": said}

    assert faults.of_status("moonshot", 503, headers, body).should_retry is expected
