"""What the official SDK raises: the provider's refusals, breaks in the middle, and requests that are wrong."""

from __future__ import annotations

from typing import Any

import openai
import pytest

from tests.fixtures.installation import (
    ASKED_AGAIN,
    MESSAGES,
    Installation,
    Simulator,
    ask,
)

REFUSALS: list[tuple[str, type[openai.APIStatusError], int, str]] = [
    ("bad-request", openai.BadRequestError, 400, "invalid temperature"),
    ("context-overflow", openai.BadRequestError, 400, "exceeded model token limit"),
    ("unauthorized", openai.AuthenticationError, 401, "the key of providers.sim"),
    ("forbidden", openai.PermissionDeniedError, 403, "not allowed"),
    ("model-not-found", openai.NotFoundError, 404, "Not found the model"),
    ("overloaded", openai.RateLimitError, 429, "overloaded"),
    ("rate-limited", openai.RateLimitError, 429, "max request"),
    ("quota-exhausted", openai.RateLimitError, 429, "no money left"),
    ("server-error", openai.InternalServerError, 500, "had an error"),
    ("empty-error", openai.InternalServerError, 500, "empty body"),
    ("no-answer", openai.InternalServerError, 502, "can't be reached"),
    ("unavailable", openai.InternalServerError, 503, "temporarily unavailable"),
    ("html-error", openai.InternalServerError, 504, "Gateway Time-out"),
]
WRONG: list[tuple[Any, int, str | None]] = [
    (b"{broken", 400, None),
    (b"", 400, None),
    (b"\xff\xfe", 400, None),
    ([], 400, None),
    ({"messages": MESSAGES}, 400, "model"),
    ({"model": 3, "messages": MESSAGES}, 400, "model"),
    ({"model": "sim/text", "messages": "hello"}, 400, "messages"),
    ({"model": "sim/text", "messages": []}, 400, "messages"),
    ({"model": "sim/text", "messages": [1]}, 400, "messages[0]"),
    ({"model": "sim/text", "messages": MESSAGES, "stream": "yes"}, 400, "stream"),
    ({"model": "sim/text", "messages": MESSAGES, "tools": {}}, 400, "tools"),
]

ways = pytest.mark.parametrize("stream", [False, True], ids=["plain", "streamed"])


def everything(client: openai.OpenAI, model: str, stream: bool) -> list[Any]:
    """All chunks of the answer, or the answer."""
    answer: Any = client.chat.completions.create(model=model, messages=MESSAGES, stream=stream)
    return list(answer)


@ways
@pytest.mark.parametrize(("chain", "kind", "status", "words"), REFUSALS, ids=[refusal[0] for refusal in REFUSALS])
def test_a_refusal_is_the_sdk_s_own_exception(
    client: openai.OpenAI, stream: bool, chain: str, kind: type[openai.APIStatusError], status: int, words: str
) -> None:
    with pytest.raises(kind) as raised:
        everything(client, f"sim/{chain}", stream)

    assert raised.value.status_code == status
    assert words in raised.value.message
    assert "X-Moontide-Request-Id" in raised.value.response.headers


@ways
def test_when_to_come_again_is_handed_on(client: openai.OpenAI, stream: bool) -> None:
    with pytest.raises(openai.RateLimitError) as raised:
        everything(client, "sim/overloaded?retry_after=7", stream)

    assert raised.value.response.headers["Retry-After"] == "7"


@pytest.mark.parametrize("chain", ["text+cut", "text+cut?how=close", "text+truncate", "text+error-event", "loop+cut"])
def test_a_broken_stream_never_ends_in_silence(client: openai.OpenAI, chain: str) -> None:
    seen = []
    with pytest.raises(openai.APIError) as raised:
        seen.extend(client.chat.completions.create(model=f"sim/{chain}", messages=MESSAGES, stream=True))

    assert not isinstance(raised.value, openai.APIConnectionError)  # an event of ours, not a lost connection
    assert raised.value.message


@pytest.mark.parametrize("chain", ["text+cut", "text+truncate", "text+error-event"])
def test_what_came_before_the_break_is_handed_on(client: openai.OpenAI, chain: str) -> None:
    chunks: list[Any] = []
    with pytest.raises(openai.APIError):
        chunks.extend(client.chat.completions.create(model=f"sim/{chain}?after=10", messages=MESSAGES, stream=True))

    text = "".join(choice.delta.content or "" for chunk in chunks for choice in chunk.choices)
    assert text.startswith("Aloud count tower. Nobody full.")


@pytest.mark.parametrize("chain", ["text+cut", "text+truncate", "text+error-event", "text+garbage"])
def test_half_a_plain_answer_is_an_error_and_no_answer(client: openai.OpenAI, chain: str) -> None:
    with pytest.raises(openai.InternalServerError) as raised:
        everything(client, f"sim/{chain}", stream=False)

    assert raised.value.status_code == 502


def test_a_provider_that_fails_once_is_asked_again(client: openai.OpenAI, simulator: Simulator) -> None:
    answer = client.chat.completions.create(model="asked-again", messages=MESSAGES)

    assert answer.choices[0].message.content == "Aloud count tower. Nobody."
    assert [entry["status"] for entry in simulator.entries(ASKED_AGAIN)] == [500, 200]


@pytest.mark.parametrize(("body", "status", "param"), WRONG)
def test_a_wrong_request_is_told_what_is_wrong(
    moontide: Installation, body: Any, status: int, param: str | None
) -> None:
    got = ask(f"{moontide.url}/v1/chat/completions", body)

    assert got.status == status
    error = got.json["error"]
    assert (error["type"], error["param"]) == ("invalid_request_error", param)
    assert error["message"]


def test_a_body_over_the_limit_is_413(moontide: Installation) -> None:
    with moontide.client() as client, pytest.raises(openai.APIStatusError) as raised:
        client.chat.completions.create(model="sim/text", messages=[{"role": "user", "content": "x" * (33 << 20)}])

    assert raised.value.status_code == 413
    assert "ingress.max_body_bytes" in raised.value.message


@pytest.mark.parametrize("path", ["/v2/chat/completions", "/metrics-of-mine"])
def test_an_unknown_path_says_where_the_api_is(moontide: Installation, path: str) -> None:
    got = ask(f"{moontide.url}{path}")

    assert got.status == 404
    assert "/v1/" in got.json["error"]["message"]


def test_after_all_of_that_everything_still_works(moontide: Installation) -> None:
    for body, _, _ in WRONG:
        ask(f"{moontide.url}/v1/chat/completions", body)

    assert moontide.chat("sim/text").status == 200
    assert moontide.up.process.poll() is None
    assert "Traceback" not in moontide.up.said
