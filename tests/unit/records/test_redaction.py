"""Patterns that are taken out before storing."""

from __future__ import annotations

import json
from hashlib import sha256
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.recorder.rules.exchange import assemble
from services.recorder.rules.messages import read
from services.recorder.rules.redaction import INSTEAD, Redaction, moved
from services.recorder.store import Store
from shared.contracts import Body, Fault
from shared.patterns import compiled, fault
from shared.records.queries import reading
from tests.fixtures.exchanges import Script, captured, streamed
from tests.fixtures.recording import FEED, record, rows, url_in

CARD = r"\d{4}-\d{4}"


def asked(text: str) -> Body:
    data = json.dumps({"messages": [{"role": "user", "content": text}]}).encode()
    return Body(json=msgspec.Raw(data), size=len(data))


def test_a_pattern_is_taken_out_of_everything_that_holds_text(tmp_path: Path) -> None:
    call = {"id": "c", "function": {"name": "pay", "arguments": '{"card": "4111-1111"}'}}
    answer = json.dumps({"choices": [{"message": {"content": "paid 4111-1111", "tool_calls": [call]}}]}).encode()
    script = Script("A").request(body=asked("my card is 4111-1111"), path="/v1/x?card=4111-1111").sent()
    script.head().data(answer).event("noted", what={"card": ["4111-1111"]}).end()
    script.done(outcome="broken", fault=Fault(status=500, code="x", message="no 4111-1111"))
    script.say("moontide.req.A.odd", b"4111-1111")
    store = Store.open(url_in(tmp_path), FEED, redaction=Redaction([CARD]))
    record(store, captured([script]))
    store.sweep(2e9, 1, 1)
    record(store, captured([script, Script("A").event("late", what="4111-1111")]))
    store.close()

    kept = rows(url_in(tmp_path), ["exchanges", "calls", "tool_calls", "said", "events", "poison"])
    with reading(url_in(tmp_path)) as records:
        parts = {name: part.data for name, part in records.parts("A").items()}
    assert "4111-1111" not in str(kept)
    assert b"4111-1111" not in b"".join(data or b"" for data in parts.values())
    assert parts["client.request"] == b'{"messages": [{"role": "user", "content": "my card is [redacted]"}]}'
    assert {row["part"]: row["redacted"] for row in rows(url_in(tmp_path), ["bodies"])["bodies"]} == {
        "c1.raw": 2,
        "c1.request": 1,
        "client.request": 1,
        "client.response": 2,
    }


def test_size_and_digest_are_of_what_is_stored_and_pieces_begin_where_they_begin_now() -> None:
    script = Script("A").request(stream=True).sent(stream=True)
    for piece in (b"data: 4111-", b"1111 rest\n", b"\ndata: 2222-3333\n\n"):
        script.data(piece)
    script.end().done(leg="c1.raw", tail=b"data: [DONE]\n\n")
    records = assemble("A", [read(message, "moontide")[1] for message in captured([script])])
    found = {row["part"]: row for row in Redaction([CARD]).records(records).bodies}

    raw = found["c1.raw"]
    assert raw["data"] == b"data: [redacted] rest\n\ndata: [redacted]\n\n"
    assert (raw["size"], raw["sha256"]) == (len(raw["data"]), sha256(raw["data"]).hexdigest())
    assert [offset for offset, _ in raw["chunks"]] == [0, 6, 22]
    assert raw["redacted"] == 2
    client = found["client.response"]
    assert client["data"] == raw["data"] + b"data: [DONE]\n\n"
    assert [offset for offset, _ in client["chunks"]] == [0, 6, 22, 41]


def test_parts_that_were_the_same_are_the_same_still() -> None:
    script = Script("A").request().sent().head().data(b"4111-1111").end().done()
    records = assemble("A", [read(message, "moontide")[1] for message in captured([script])])
    found = {row["part"]: row for row in Redaction([CARD]).records(records).bodies}

    answer = found["client.response"]
    assert (answer["same_as"], answer["data"], answer["redacted"]) == ("c1.raw", None, 1)
    assert answer["sha256"] == found["c1.raw"]["sha256"]


def test_without_patterns_nothing_changes() -> None:
    records = assemble("A", [read(message, "moontide")[1] for message in captured([streamed("A")])])

    assert Redaction().records(records) is records
    assert Redaction().data(b"4111-1111") == b"4111-1111"


def test_chinese_is_matched_by_character() -> None:
    assert Redaction(["密码.{2}"]).data("我的密码一二三".encode()) == "我的[redacted]三".encode()


def test_bytes_that_are_no_text_stay_as_they_are() -> None:
    data = b"\xff\xfe4111-1111\xff"

    assert Redaction([CARD]).data(data) == b"\xff\xfe[redacted]\xff"


def test_a_pattern_that_others_choke_on_takes_no_time() -> None:
    """Backtracking would take longer than the universe is old."""
    data = b"a" * 50_000 + b"!"

    assert Redaction([r"(a+)+$"]).data(data) == data


@pytest.mark.parametrize("pattern", ["(", "(?<=x)y", r"(x)\1", "x{1001}", "*"])
def test_a_pattern_that_can_not_be_used_is_refused_with_its_fault(pattern: str) -> None:
    assert "not a regular expression of RE2" in (fault(pattern) or "")


def test_several_patterns_keep_their_own_options() -> None:
    assert compiled(["(?i)abc", "def"]).search(b"DEF") is None
    assert compiled(["(?i)abc", "def"]).search(b"ABC") is not None


@given(st.lists(st.sampled_from([b"4111-1111", b"x", b"yy", b"12-34"]), max_size=12), st.data())
def test_pieces_put_together_are_the_whole(words: list[bytes], draw: st.DataObject) -> None:
    """Whatever the pieces: each begins no earlier than the one before, the first at 0, none behind the end."""
    data = b"".join(words)
    cuts = sorted(draw.draw(st.sets(st.integers(1, max(1, len(data) - 1)), max_size=5)))
    chunks: Any = [(0, 0), *((cut, cut) for cut in cuts if cut < len(data))]
    spans = [match.span() for match in compiled([CARD]).finditer(data)]
    stored = Redaction([CARD]).data(data)
    offsets = [offset for offset, _ in moved(chunks, spans)]

    assert offsets == sorted(offsets)
    assert offsets[0] == 0
    assert all(offset <= len(stored) for offset in offsets)
    assert len(stored) == len(data) + sum(len(INSTEAD) - (end - begin) for begin, end in spans)
