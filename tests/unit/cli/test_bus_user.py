"""Under which name a process is answered on the bus."""

from __future__ import annotations

import pytest

from services.cli.connecting import user_of


@pytest.mark.parametrize(
    ("url", "user"),
    [
        ("nats://ingress:12e4@nats:4222", "ingress"),
        (" nats://tap:x@a:4222, nats://operator:x@b:4222", "tap"),
        ("nats://tap:@nats:4222", "tap"),
        ("nats://nats:4222", None),
        ("nats://a.b:x@nats:4222", None),
        ("nats://*:x@nats:4222", None),
        ("nats://%3E:x@nats:4222", None),
    ],
)
def test_the_user_is_the_one_that_the_address_names(url: str, user: str | None) -> None:
    assert user_of(url) == user


def test_a_token_never_comes_into_a_subject() -> None:
    assert user_of("nats://s3cr3t@nats:4222") is None


def test_beside_credentials_the_address_may_name_their_user() -> None:
    assert user_of("nats://operator@nats:4222", has_credentials=True) == "operator"
