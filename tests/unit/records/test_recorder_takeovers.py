"""The record of an exchange whose workers died: each leg once, whole, and nothing of it a stray."""

from __future__ import annotations

import random

from services.recorder.rules.exchange import Records, assemble, hear, is_settled
from services.recorder.rules.messages import read
from shared.contracts import Fault
from tests.fixtures.exchanges import INGRESS, NORMALIZER, Script, captured

HEIR = "normalizer-2"
LOST = Fault(status=502, code="worker_lost", message="It died.")


def made_again() -> Script:
    """A stream whose normalizer dies after one piece."""
    script = Script("A").request(stream=True).sent(stream=True)
    script.head(to=NORMALIZER).head(leg="normal", by=NORMALIZER)
    script.data(b"raw", to=NORMALIZER).data(b"one ", leg="normal", by=NORMALIZER)
    script.event("taken-over")
    script.head(leg="normal", by=HEIR, takes_over=NORMALIZER).data(b"one two", leg="normal", by=HEIR)
    script.end(to=NORMALIZER).end(leg="normal", by=HEIR)
    return script.done(leg="c1.normal")


def gone_on() -> Script:
    """A stream whose upstream worker dies; another one ends the call's leg and goes on with another call."""
    script = Script("B").request(stream=True).sent(stream=True).head(by="upstream-1").data(b"one ", by="upstream-1")
    ending = {"outcome": "lost", "fault": LOST, "takes_over": "upstream-1", "next_call": "c2", "continued": True}
    script._numbers[f"moontide.req.B.c1.raw.{INGRESS}upstream-2"] = 2
    script.end(by="upstream-2", **ending).data(b"too late", by="upstream-1")
    script.sent("c2", stream=True).head("c2", by="upstream-2").data(b"two", "c2", by="upstream-2")
    return script.end("c2", by="upstream-2").done(leg="c2.raw", calls=2)


def records(script: Script, shuffled: int | None = None) -> Records:
    messages = [read(one, "moontide")[1] for one in captured([script])]
    if shuffled is not None:
        random.Random(shuffled).shuffle(messages)
    return assemble(script.id, messages)


def part(found: Records, name: str) -> bytes:
    return next(row["data"] for row in found.bodies if row["part"] == name)


def test_a_leg_that_was_made_again_is_recorded_whole_and_once() -> None:
    found = records(made_again())

    assert part(found, "c1.normal") == b"one two"
    assert [row["name"] for row in found.events] == ["taken-over"]
    assert [(row["call"], row["outcome"], row["frames_missing"]) for row in found.calls] == [("c1", "complete", 0)]


def test_an_exchange_with_a_leg_that_was_made_again_is_settled() -> None:
    assert is_settled(hear(read(one, "moontide")[1] for one in captured([made_again()])))


def test_a_call_whose_worker_died_is_recorded_with_its_end() -> None:
    found = records(gone_on())

    told = [
        (row["call"], row["outcome"], row["worker"], row["error_code"], row["frames_missing"]) for row in found.calls
    ]
    assert told == [("c1", "lost", "upstream-1", "worker_lost", 0), ("c2", "complete", "upstream-2", None, 0)]
    assert (part(found, "c1.raw"), part(found, "c2.raw")) == (b"one ", b"two")
    assert found.events == []


def test_the_rows_are_the_same_in_whatever_order_messages_came() -> None:
    for make in (made_again, gone_on):
        assert [records(make(), seed) for seed in range(5)] == [records(make())] * 5


def test_frames_before_the_place_where_a_leg_was_ended_may_be_missing() -> None:
    script = gone_on()
    script.messages = [one for one in script.messages if one[2].get("Frame") != "1 upstream-1"]

    assert records(script).calls[0]["frames_missing"] == 1
