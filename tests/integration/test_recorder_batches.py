"""Whatever the batches, and however often a message comes: the same rows."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from services.recorder.rules.position import Position
from services.recorder.store import Batch, Overtaken, Store
from shared.bus import Captured
from tests.fixtures.exchanges import INGRESS, NORMALIZER, Script, captured, plain, streamed
from tests.fixtures.recording import FEED, Rows, empty, record, rows


def broken(id: str) -> Script:
    """A client that left: the end of the raw leg comes behind the account."""
    script = Script(id).request(stream=True).sent(stream=True).head().data(b"data: {}\n\n").cancel()
    script.done(outcome="cancelled", leg=None).event("cancelled")
    return script.end(outcome="cancelled")


def retried(id: str) -> Script:
    script = Script(id).request().sent("c1").head("c1", status=500).data(b"oops", "c1").end("c1", outcome="refused")
    script.event("retried", "c2").sent("c2").head("c2").data(b'{"id":"x"}', "c2").end("c2")
    return script.done(leg="c2.raw", calls=2)


def taken_twice(id: str) -> Script:
    """Two workers answer the same job; the one that came second is called off."""
    script = Script(id).request().sent().head().head(by="upstream-2").data(b"one").data(b"ONE", by="upstream-2")
    script.end(by="upstream-2", outcome="cancelled").end()
    return script.done()


KINDS = (plain, streamed, broken, retried, taken_twice)


@st.composite
def streams(draw: st.DrawFn) -> list[Captured]:
    """Several exchanges at the same time, each in its own order."""
    kinds = draw(st.lists(st.sampled_from(KINDS), min_size=1, max_size=4))
    scripts = [kind(f"ID{number}") for number, kind in enumerate(kinds)]
    order = draw(st.permutations([n for n, script in enumerate(scripts) for _ in script.messages]))
    left = [iter(script.messages) for script in scripts]
    mixed = Script("mixed", messages=[next(left[n]) for n in order])
    return captured([mixed])


@st.composite
def batchings(draw: st.DrawFn) -> tuple[list[Captured], list[tuple[int, int]]]:
    """A stream, and slices of it that cover it: each may begin before the last one's end."""
    stream = draw(streams())
    slices, end = [], 0
    while end < len(stream):
        begin = draw(st.integers(max(0, end - 5), end))
        end = draw(st.integers(end + 1, len(stream)))
        slices.append((begin, end))
    return stream, slices


def recorded(url: str, batches: list[list[Captured]]) -> Rows:
    store = Store.open(url, FEED)
    empty(store)
    for batch in batches:
        record(store, batch)
    store.close()
    return rows(url)


@given(batchings())
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_batches_and_redeliveries_give_the_rows_of_a_single_batch(
    records_url: str, drawn: tuple[list[Captured], list[tuple[int, int]]]
) -> None:
    stream, slices = drawn

    assert recorded(records_url, [stream[begin:end] for begin, end in slices]) == recorded(records_url, [stream])


def test_nothing_waits_once_an_exchange_is_settled(records_url: str) -> None:
    url = records_url
    store = Store.open(url, FEED)
    stream = captured([streamed("A")])

    record(store, stream[:7])
    assert store.open_exchanges() == 1

    record(store, stream[7:])
    assert store.open_exchanges() == 0
    store.close()


def test_an_exchange_that_is_over_but_not_settled_is_not_counted_as_open(records_url: str) -> None:
    store = Store.open(records_url, FEED)
    record(store, captured([broken("A")]))
    assert store.open_exchanges() == 0
    store.close()


def test_an_exchange_is_seen_while_it_runs(records_url: str) -> None:
    url = records_url
    store = Store.open(url, FEED)
    record(store, captured([streamed("A")])[:1])
    record(store, captured([streamed("A")])[:4])
    store.close()

    (row,) = rows(url)["exchanges"]
    assert (row["state"], row["model"], row["provider"], row["calls"]) == ("live", "kimi-k2", "moonshot", 1)


def test_what_comes_after_an_exchange_was_let_go_is_an_event(records_url: str) -> None:
    url = records_url
    store = Store.open(url, FEED)
    late = Script("A").event("repaired").end(outcome="lost", by="upstream-9", to=NORMALIZER)
    record(store, captured([plain("A")]))
    record(store, captured([plain("A"), late]))
    store.close()

    assert [row["name"] for row in rows(url)["events"]] == ["repaired", "late.end"]


def test_a_late_end_still_completes_the_call_of_a_client_that_left(records_url: str) -> None:
    url = records_url
    store = Store.open(url, FEED)
    stream = captured([broken("A")])
    record(store, stream[:-1])
    record(store, stream)
    store.close()

    (call,) = rows(url)["calls"]
    assert (call["outcome"], call["body_bytes"]) == ("cancelled", 0)
    assert [body["part"] for body in rows(url)["bodies"]] == ["c1.raw", "c1.request", "client.request"]


def test_a_sweep_lets_go_of_finished_exchanges_and_abandons_silent_ones(records_url: str) -> None:
    url = records_url
    store = Store.open(url, FEED)
    stream = captured([broken("A"), Script("B").request().sent().head().data(b"half")])
    record(store, stream)

    store.sweep(stream[-1].at + 61, settled_after_s=60, abandoned_after_s=900)
    assert [row["state"] for row in rows(url)["exchanges"]] == ["done", "live"]
    assert store.open_exchanges() == 1

    store.sweep(stream[-1].at + 901, settled_after_s=60, abandoned_after_s=900)
    one, other = rows(url)["exchanges"]
    assert (one["state"], other["state"], other["error_code"]) == ("done", "abandoned", "abandoned")
    assert next(row["part"] for row in rows(url)["bodies"] if row["exchange_id"] == "B") == "c1.raw"

    store.sweep(stream[-1].at + 902, settled_after_s=60, abandoned_after_s=900)
    assert store.open_exchanges() == 0
    store.close()


def test_an_abandoned_exchange_that_speaks_again_is_not_abandoned(records_url: str) -> None:
    url = records_url
    store = Store.open(url, FEED)
    stream = captured([plain("A")])
    record(store, stream[:4])
    store.sweep(stream[3].at + 901, settled_after_s=60, abandoned_after_s=900)
    record(store, stream)
    store.close()

    spoken = rows(url)

    assert spoken == recorded(url, [stream])


def test_two_recorders_can_not_both_write_the_same_messages(records_url: str) -> None:
    url = records_url
    one, other = Store.open(url, FEED), Store.open(url, FEED)
    record(one, captured([plain("A")]))

    with pytest.raises(Overtaken):
        other.write(Batch(messages=[], poison=[], before=Position(), after=Position(3, 1.0)))
    one.close()
    other.close()


def test_an_exchange_that_the_database_refuses_is_put_aside_and_the_others_are_kept(records_url: str) -> None:
    url = records_url
    store = Store.open(url, FEED)
    too_many = Script("B").request().done(total_s=1.0, body_bytes=2**70)
    record(store, captured([plain("A"), too_many, plain("C")]))
    record(store, captured([plain("A"), too_many, plain("C"), plain("D")]))
    store.close()

    assert [row["id"] for row in rows(url)["exchanges"]] == ["A", "C", "D"]
    assert {row["subject"] for row in rows(url, ["poison"])["poison"]} == {"B.request", "B.done"}


def test_what_can_not_be_read_is_put_aside_with_its_reason(records_url: str) -> None:
    url = records_url
    store = Store.open(url, FEED)
    bad = Script("A").say("moontide.req.A.done", b"{broken").say("moontide.req.A.c1.raw.x.data", b"no number")
    bad.say("moontide.req.A.something", b"new").say("moontide.req.A", b"nothing").say("moontide.req..request", b"{}")
    record(store, captured([bad, plain("A")]))
    store.close()

    assert len(rows(url, ["poison"])["poison"]) == 5
    assert [row["state"] for row in rows(url)["exchanges"]] == ["done"]
    assert INGRESS not in str(rows(url, ["poison"]))
