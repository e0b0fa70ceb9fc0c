"""Several recorders on one Postgres: each message is written once, whoever writes it and in whatever order."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from services.recorder.rules.messages import read
from services.recorder.rules.position import START
from services.recorder.sharing import Stretch
from services.recorder.store import Batch, Overtaken, Store
from shared.bus import Captured
from shared.records.database import RecordsUnavailable, open_reader
from tests.fixtures.databases import administer
from tests.fixtures.exchanges import Script, captured, plain, streamed
from tests.fixtures.recording import FEED, empty, record, rows

PATIENCE_S = 20.0


@pytest.fixture
def url(new_postgres: Callable[[], str]) -> str:
    return new_postgres()


@pytest.fixture
def one(url: str) -> Iterator[Store]:
    store = Store.open(url, FEED)
    yield store
    store.close()


@pytest.fixture
def other(url: str) -> Iterator[Store]:
    store = Store.open(url, FEED)
    yield store
    store.close()


def retried(id: str) -> Script:
    """The second call passes while the first one's messages lie with another recorder."""
    script = Script(id).request().sent("c1").head("c1", status=500).data(b"oops", "c1").end("c1", outcome="refused")
    script.event("retried", "c2").sent("c2").head("c2").data(b'{"id":"x"}', "c2").end("c2")
    return script.done(leg="c2.raw", calls=2)


def taken(store: Store, stream: list[Captured], cuts: list[int]) -> list[tuple[Stretch, list[Captured]]]:
    """The stream, taken in stretches that end at the cuts."""
    edges = [0, *sorted(set(cuts)), len(stream)]
    parts = [stream[begin:end] for begin, end in pairwise(edges) if begin < end]
    stretches = [Stretch.of(part) for part in parts]
    before = store.position()
    store.take(stretches, before, before.after(stream))
    return list(zip(stretches, parts, strict=True))


def write(store: Store, stretch: Stretch, part: list[Captured]) -> None:
    store.write(Batch(messages=[read(message, "moontide") for message in part], poison=[], stretch=stretch))


@given(st.data())
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_stretches_in_any_order_give_the_rows_of_a_single_batch(
    url: str, one: Store, other: Store, data: st.DataObject
) -> None:
    kinds = data.draw(st.lists(st.sampled_from([plain, streamed, retried]), min_size=1, max_size=3))
    scripts = [kind(f"ID{number}") for number, kind in enumerate(kinds)]
    turns = data.draw(st.permutations([n for n, script in enumerate(scripts) for _ in script.messages]))
    left = [iter(script.messages) for script in scripts]
    stream = captured([Script("mixed", messages=[next(left[n]) for n in turns])])
    cuts = data.draw(st.lists(st.integers(1, len(stream)), max_size=6))
    empty(one)
    record(one, stream)
    expected = rows(url)

    empty(one)
    for stretch, part in data.draw(st.permutations(taken(one, stream, cuts))):
        write(data.draw(st.sampled_from([one, other])), stretch, part)
    one.sweep(stream[-1].at + 61, settled_after_s=60, abandoned_after_s=900)

    assert rows(url) == expected
    assert one.open_exchanges() == 0


def test_one_recorder_reads_at_a_time_and_the_next_when_it_lets_go(one: Store, other: Store) -> None:
    assert (one.begin_reading(), other.begin_reading()) == (True, False)

    one.end_reading()

    assert (other.begin_reading(), one.begin_reading()) == (True, False)


def test_a_recorder_that_is_gone_reads_no_more(one: Store, other: Store) -> None:
    assert one.begin_reading()
    one.close()

    assert other.begin_reading()


def test_a_lost_connection_takes_the_right_to_read_with_it(url: str, one: Store, other: Store) -> None:
    assert one.begin_reading()
    administer(url, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'moontide%'")

    with pytest.raises(RecordsUnavailable):
        one.position()
    with pytest.raises(RecordsUnavailable):
        other.position()
    assert other.begin_reading()
    assert not one.begin_reading()


def test_a_stretch_is_written_by_one_only(url: str, one: Store, other: Store) -> None:
    ((stretch, part),) = taken(one, captured([plain("A")]), [])
    write(one, stretch, part)

    with pytest.raises(Overtaken):
        write(other, stretch, part)
    assert [row["id"] for row in rows(url)["exchanges"]] == ["A"]


def test_an_exchange_that_ends_at_a_seam_is_let_go_of_once_both_stretches_are_written(
    url: str, one: Store, other: Store
) -> None:
    """The second one is begun while the first one is being written, and has to wait for it."""
    (first, begun), (last, rest) = taken(one, captured([plain("A")]), [3])
    with ThreadPoolExecutor() as threads, one._engine.connect() as writing:
        batch = Batch(messages=[read(message, "moontide") for message in begun], poison=[], stretch=first)
        one._write(writing, batch, {"A": [message for _, message in batch.messages]})
        waits = threads.submit(write, other, last, rest)
        until_somebody_waits(url)
        writing.commit()
        waits.result(PATIENCE_S)

    assert [row["state"] for row in rows(url)["exchanges"]] == ["done"]
    assert rows(url, ["pending"])["pending"] == []


def until_somebody_waits(url: str) -> None:
    engine, until = open_reader(url), time.monotonic() + PATIENCE_S
    question = text(
        "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
    )
    with engine.connect() as connection:
        while not connection.scalar(question):
            assert time.monotonic() < until
            connection.rollback()
            time.sleep(0.01)
    engine.dispose()


def test_what_nobody_wrote_is_found_by_another_once_it_is_old(one: Store, other: Store) -> None:
    ((stretch, _),) = taken(one, captured([plain("A")]), [])

    assert other.left_behind(60) is None
    assert other.left_behind(0) == stretch


def test_a_position_that_another_recorder_has_moved_is_not_moved(one: Store, other: Store) -> None:
    stream = captured([plain("A")])
    taken(one, stream, [])

    with pytest.raises(Overtaken):
        other.take([Stretch.of(stream)], START, START.after(stream))


def test_a_silent_exchange_is_not_abandoned_while_its_messages_may_lie_with_another(
    url: str, one: Store, other: Store
) -> None:
    """The stream goes on for an hour, and the rest of the exchange is in a stretch that nobody has written yet."""
    stream = captured([plain("A")])
    (first, begun), (last, rest) = taken(one, stream, [3])
    write(one, first, begun)

    one.sweep(stream[-1].at + 3600, settled_after_s=60, abandoned_after_s=900)
    assert [row["state"] for row in rows(url)["exchanges"]] == ["live"]

    write(other, last, rest)
    assert [row["state"] for row in rows(url)["exchanges"]] == ["done"]


def test_messages_of_a_stream_that_began_anew_are_not_of_the_stretch() -> None:
    stream = captured([plain("A")])
    stretch = Stretch.of(stream)
    younger = Captured(stream[0].seq, stream[0].subject, b"", stream[-1].at + 60)

    assert all(map(stretch.holds, stream))
    assert not stretch.holds(younger)
