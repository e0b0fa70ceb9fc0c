"""The messages of one exchange to its rows."""

from __future__ import annotations

from typing import Any

import pytest

from services.recorder.rules.exchange import Records, assemble, late_rows
from services.recorder.rules.messages import Message, claim, claims_in, packed, read, unpacked
from services.recorder.rules.position import Position, follows, fresh, portions, skipped
from shared.bus import Captured
from shared.contracts import Body, Fault, Usage
from shared.errors import Poison
from tests.fixtures.exchanges import ASKED, BEGAN, NORMALIZER, PLAIN, Script, captured, plain, streamed


def messages(script: Script) -> list[Message]:
    return [read(message, "moontide")[1] for message in captured([script])]


def records(script: Script) -> Records:
    return assemble(script.id, messages(script))


def parts(script: Script) -> dict[str, dict[str, Any]]:
    return {row["part"]: row for row in records(script).bodies}


def test_a_plain_exchange_keeps_two_bodies_and_names_four() -> None:
    found = parts(plain("A"))

    assert [name for name, row in found.items() if row["data"] is not None] == ["client.request", "c1.raw"]
    assert found["c1.request"]["same_as"] == "client.request"
    assert found["client.response"]["same_as"] == "c1.raw"
    assert (found["client.request"]["data"], found["c1.raw"]["data"]) == (ASKED, PLAIN)


def test_what_the_client_got_is_the_leg_and_what_the_ingress_wrote_behind_it() -> None:
    found = parts(streamed("A", pieces=2))

    assert found["client.response"]["data"] == b"data: {mended 0}\n\ndata: {mended 1}\n\ndata: [DONE]\n\n"
    assert [offset for offset, _ in found["client.response"]["chunks"]] == [0, 18, 36]
    assert found["c1.raw"]["data"] == b"data: {raw 0 A}\n\ndata: {raw 1 A}\n\n"


def test_pieces_keep_the_time_between_them() -> None:
    stream = [
        Captured(seq, subject, data, BEGAN + at, headers)
        for seq, (at, (subject, data, headers)) in enumerate(
            zip((0, 0, 0, 0.5, 0.75, 1, 1), plain_stream().messages, strict=True), 1
        )
    ]
    rows = assemble("A", [read(message, "moontide")[1] for message in stream]).bodies

    assert next(row["chunks"] for row in rows if row["part"] == "c1.raw") == [(0, 0), (3, 250_000)]


def plain_stream() -> Script:
    return Script("A").request().sent().head().data(b"one").data(b"two").end().done()


def test_an_answer_of_the_ingress_itself_is_kept() -> None:
    body = b'{"error": {}}'
    script = Script("A").request().done(status=503, outcome="refused", leg=None, body=Body(data=body, size=len(body)))

    assert parts(script)["client.response"]["data"] == body
    assert records(script).calls == []


def test_a_body_that_the_store_let_go_of_is_named_with_its_size() -> None:
    script = Script("A").request(body=Body(claim="A", size=7)).done(leg=None)

    assert parts(script)["client.request"]["size"] == 7
    assert parts(script)["client.request"]["data"] is None


def test_a_claimed_body_is_put_into_its_place() -> None:
    said = messages(Script("A").request(body=Body(claim="A", size=7)).done(leg=None))
    assert claims_in(said[0]) == ("A",)

    found = assemble("A", [*said, claim(said[0], "A", b"large")])
    assert found.bodies[0]["data"] == b"large"


def test_the_exchange_tells_of_the_call_whose_answer_was_used() -> None:
    script = Script("A").request().sent("c1", provider="one").head("c1", status=500).end("c1", outcome="refused")
    script.sent("c2", provider="two").head("c2").data(b"{}", "c2").end("c2").done(leg="c2.raw", calls=2)
    found = records(script)

    assert (found.exchange["provider"], found.exchange["calls"]) == ("two", 2)
    assert [(row["call"], row["status"], row["outcome"]) for row in found.calls] == [
        ("c1", 500, "refused"),
        ("c2", 200, "complete"),
    ]


def test_it_was_answered_when_the_leg_that_its_client_got_had_ended() -> None:
    script = Script("A").request().sent("c1").head("c1").data(b"{}", "c1").end("c1", at=7.5).done(leg="c1.raw")
    unanswered = Script("B").request().sent("c1").end("c1", at=7.5).done(leg=None)

    assert (records(script).exchange["answered_at"], records(unanswered).exchange["answered_at"]) == (7.5, None)


def test_calls_are_in_their_order() -> None:
    script = Script("A").request()
    for number in (10, 2, 1):
        script.sent(f"c{number}")

    assert [row["call"] for row in records(script).calls] == ["c1", "c2", "c10"]


def test_a_merged_leg_is_a_body_and_no_call() -> None:
    script = Script("A").request().sent().head().data(b"raw").end()
    script.head("c0", "out").data(b"out", "c0", "out").end("c0", "out").done(leg="c0.out")

    assert [row["call"] for row in records(script).calls] == ["c1"]
    assert parts(script)["client.response"]["same_as"] == "c0.out"


@pytest.mark.parametrize(
    ("streamed_answer", "first_byte_s", "total_s", "tokens", "expected"),
    [
        (True, 1.0, 3.0, 5, (0.5, 2.0)),
        (True, 3.0, 3.0, 6, (0.5, 2.0)),  # in one piece
        (False, 1.0, 2.0, 4, (0.5, 2.0)),
        (False, None, 2.0, 0, (None, None)),
        (True, 1.0, 3.0, 1, (None, None)),
    ],
)
def test_speeds(
    streamed_answer: bool, first_byte_s: float | None, total_s: float, tokens: int, expected: tuple[float, float]
) -> None:
    usage = Usage(completion_tokens=tokens)
    script = plain("A")
    script.messages.pop()
    script.done(streamed=streamed_answer, first_byte_s=first_byte_s, total_s=total_s, usage=usage)
    row = records(script).exchange

    assert (row["token_s"], row["tokens_per_s"]) == expected


def test_secrets_are_not_recorded() -> None:
    key = "sk-" + "abcdefghijkl"
    headers = {"authorization": f"Bearer {key}", "Cookie": "a=b", "x-note": f"it is {key}", "accept": "*/*"}
    fault = Fault(status=401, code="bad_key", message=f"{key} is wrong")
    script = Script("A").request(headers=headers, path=f"/v1/files?api_key=zzz&key=yyy&n=1&x={key}")
    script.event("noted", seen=[{"password": "zzz", "text": key}, 3]).done(fault=fault, leg=None, headers=headers)
    found = records(script)

    told = str(found.exchange) + str(found.events)
    assert not [secret for secret in (key, "a=b", "zzz", "yyy") if secret in told]
    assert found.exchange["request_headers"]["accept"] == "*/*"
    assert "n=1" in found.exchange["path"]


def test_of_two_workers_with_one_job_the_one_that_was_not_called_off_counts() -> None:
    script = Script("A").request().sent().head().head(by="upstream-2").data(b"one").data(b"ONE", by="upstream-2")
    script.end(outcome="cancelled").end(by="upstream-2").done()
    found = records(script)

    assert found.calls[0]["worker"] == "upstream-2"
    assert parts(script)["c1.raw"]["data"] == b"ONE"
    assert [(row["name"], row["worker"]) for row in found.events] == [("stray", "upstream-1")]


def test_a_leg_that_was_sent_to_the_ingress_itself_counts() -> None:
    script = Script("A").request().head(leg="normal", to="ingress-9", by=NORMALIZER)
    script.data(b"old", leg="normal", to="ingress-9", by=NORMALIZER)
    script.data(b"new", leg="normal", by="normalizer-2").done(leg="c1.normal")

    assert parts(script)["c1.normal"]["data"] == b"new"
    assert parts(script)["client.response"]["same_as"] == "c1.normal"


def test_frames_that_were_never_captured_are_counted() -> None:
    script = plain_stream()
    del script.messages[3]

    assert records(script).calls[0]["frames_missing"] == 1


def test_without_its_request_an_exchange_is_still_recorded() -> None:
    script = plain_stream()
    del script.messages[0]
    found = records(script)

    assert (found.exchange["state"], found.exchange["method"], found.exchange["at"]) == ("done", None, BEGAN + 0.001)


def test_waiting_messages_are_the_same_when_they_are_read_again() -> None:
    said = messages(streamed("A").cancel())
    said.append(claim(said[0], "A.c1", b"large"))

    assert unpacked(packed(said)) == said


def test_a_frame_that_was_captured_twice_counts_once() -> None:
    script = plain_stream()
    script.messages.insert(4, script.messages[3])

    assert parts(script)["c1.raw"]["data"] == b"onetwo"


def test_what_came_late_is_told_with_its_text_or_its_size() -> None:
    late = late_rows("A", messages(Script("A").data(b"12345").cancel().end()))

    assert [(row["name"], row["facts"].get("bytes"), "said" in row["facts"]) for row in late] == [
        ("late.data", 5, False),
        ("late.cancel", None, True),
        ("late.end", None, True),
    ]


@pytest.mark.parametrize(
    ("subject", "data", "frame"),
    [
        ("moontide.req.A.done", b"{", ""),
        ("moontide.req.A.done", b'{"type": "done.v1", "at": "\xff"}', ""),
        ("moontide.req.A.c1.raw.x.data", b"", ""),
        ("moontide.req.A.c1.raw.x.data", b"", "one up-1"),
        ("moontide.req.A.c1.raw.x.head", b"[]", "0 up-1"),
        ("moontide.req.A.event.x.y", b"{}", ""),
        ("moontide.req.A.later", b"{}", ""),
        ("moontide.req..done", b"{}", ""),
        ("moontide.req.A", b"{}", ""),
    ],
)
def test_what_no_pipeline_sends_is_poison(subject: str, data: bytes, frame: str) -> None:
    with pytest.raises(Poison):
        read(Captured(1, subject, data, 0.0, {"Frame": frame} if frame else {}), "moontide")


class TestPosition:
    def at(self, *seqs: int, later_s: float = 0.0) -> list[Captured]:
        return [Captured(seq, "s", b"", BEGAN + seq + later_s) for seq in seqs]

    def test_what_is_known_is_not_new(self) -> None:
        position = Position(3, BEGAN + 3)

        assert [message.seq for message in fresh(position, self.at(5, 2, 4, 5))] == [4, 5]

    def test_the_same_number_with_a_later_time_is_of_a_new_stream(self) -> None:
        position = Position(3, BEGAN + 3)

        assert not position.is_of_older_stream(self.at(3)[0])
        assert position.is_of_older_stream(self.at(1, later_s=10)[0])

    def test_a_gap_is_seen_and_counted(self) -> None:
        position = Position(3, BEGAN + 3)

        assert follows(position, self.at(4, 5))
        assert not follows(position, self.at(5))
        assert not follows(position, self.at(4, 6))
        assert skipped(position, self.at(4, 6)) == 1

    def test_portions_are_bounded_and_hold_everything(self) -> None:
        assert list(portions([5, 5, 50, 1, 1], 10)) == [slice(0, 2), slice(2, 3), slice(3, 5)]
        assert list(portions([], 10)) == []


def test_a_body_in_other_than_json_is_kept_as_it_is() -> None:
    script = Script("A").request(body=Body(data=b"\x00\xff", size=2)).sent(same_body=False, body=Body()).done(leg=None)

    assert parts(script)["client.request"]["data"] == b"\x00\xff"
    assert "c1.request" not in parts(script)
