"""What a webhook gets, and how it is signed."""

from __future__ import annotations

import hmac
import json
from base64 import b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.recorder.rules.exchange import abandoned, assemble
from services.recorder.rules.messages import read
from services.recorder.rules.posting import exchange_json, post_body, post_headers, post_id
from tests.fixtures.exchanges import Script, captured

KEY = b"the key itself, 24 bytes"


def signed(headers: dict[str, str], key: bytes, body: bytes) -> str:
    text = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    return "v1," + b64encode(hmac.digest(key, text, "sha256")).decode()


@pytest.mark.parametrize(
    ("secret", "key"),
    [
        ("whsec_" + b64encode(KEY).decode(), KEY),
        ("any text", b"any text"),
        ("whsec_no base64!", b"whsec_no base64!"),
    ],
)
def test_a_secret_is_base64_behind_its_prefix_or_any_text(secret: str, key: bytes) -> None:
    headers = post_headers("id", 12.7, b"{}", secret)

    assert headers["webhook-timestamp"] == "12"
    assert headers["webhook-signature"] == signed(headers, key, b"{}")


def test_without_a_secret_nothing_is_signed() -> None:
    assert "webhook-signature" not in post_headers("id", 1.0, b"{}", None)


def test_bytes_that_are_no_text_go_as_base64_and_the_same_bytes_go_once() -> None:
    script = Script("A").request().sent().head().data(b"\xff\x00").end().done()
    records = assemble("A", [read(message, "moontide")[1] for message in captured([script])])

    bodies = json.loads(exchange_json(records, with_bodies=True))["bodies"]
    assert bodies["c1.raw"]["base64"] == b64encode(b"\xff\x00").decode()
    assert (bodies["client.response"]["same_as"], "text" in bodies["client.response"]) == ("c1.raw", False)


def test_an_exchange_that_was_abandoned_says_why() -> None:
    records = abandoned(assemble("A", [read(m, "moontide")[1] for m in captured([Script("A").request()])]), 900)

    one = json.loads(exchange_json(records, with_bodies=False))
    assert (one["state"], one["error_code"]) == ("abandoned", "abandoned")


@given(st.lists(st.text(max_size=5), min_size=1, max_size=5))
def test_a_post_is_json_whatever_is_in_it(texts: list[str]) -> None:
    body = post_body([json.dumps(text).encode() for text in texts])

    assert json.loads(body) == {"type": "exchanges.v1", "exchanges": texts}


def test_the_same_exchanges_have_the_same_name_and_others_another_one() -> None:
    assert post_id(["a", "b"]) == post_id(["a", "b"])
    assert post_id(["a", "b"]) != post_id(["ab"])
