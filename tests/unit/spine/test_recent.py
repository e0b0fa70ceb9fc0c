"""What is published again after a server died: what the capture stream doesn't have, and nothing else."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from shared.bus import Captured
from shared.bus import nats_recent as module
from shared.bus.nats_recent import LastOf, Recent, Sent

ROOT = "r.req."


def sent(number: int, leg: str = "A.c1.raw.n") -> Sent:
    return f"{ROOT}{leg}.data", b"text", {"Frame": f"{number} up-1"}


def stored(*messages: Sent) -> LastOf:
    """A capture stream that holds those."""

    async def last_of(subjects: list[str], _before: float) -> Iterable[Captured]:
        newest = {subject: (data, headers) for subject, data, headers in messages}
        return [Captured(1, s, newest[s][0], 0.0, newest[s][1] or {}) for s in subjects if s in newest]

    return last_of


def lost(*messages: Sent) -> Recent:
    recent = Recent("Frame")
    for message in messages:
        recent.add(message)
    recent.lose(5.0)
    return recent


async def test_what_came_after_the_last_stored_message_was_lost() -> None:
    recent = lost(sent(0), sent(1), sent(2), sent(3))

    assert await recent.missing(ROOT, stored(sent(0), sent(1))) == [sent(2), sent(3)]


async def test_a_message_of_another_subject_tells_as_much() -> None:
    other = sent(0, "B.c1.raw.n")
    recent = lost(sent(0), sent(1), other, sent(2))

    assert await recent.missing(ROOT, stored(sent(0), other)) == [sent(2)]


async def test_where_nothing_is_stored_everything_was_lost() -> None:
    assert await lost(sent(0), sent(1)).missing(ROOT, stored()) == [sent(0), sent(1)]


async def test_where_everything_is_stored_nothing_was_lost() -> None:
    assert await lost(sent(0), sent(1)).missing(ROOT, stored(sent(1))) == []


async def test_what_somebody_else_published_tells_nothing() -> None:
    stranger = (sent(0)[0], b"text", {"Frame": "7 up-2"})

    assert await lost(sent(0)).missing(ROOT, stored(stranger)) == [sent(0)]


async def test_what_belongs_to_no_request_is_not_published_again() -> None:
    beat: Sent = ("r.worker.upstream.up-1", b"{}", None)

    assert await lost(beat, sent(0)).missing(ROOT, stored()) == [sent(0)]


async def test_without_messages_of_requests_nobody_is_asked() -> None:
    async def nobody(_subjects: list[str], _before: float) -> list[Captured]:
        raise AssertionError

    assert await lost(("r.worker.upstream.up-1", b"{}", None)).missing(ROOT, nobody) == []


async def test_it_asks_for_what_was_stored_before_the_loss() -> None:
    asked: list[float] = []

    async def last_of(_subjects: list[str], before: float) -> list[Captured]:
        asked.append(before)
        return []

    await lost(sent(0)).missing(ROOT, last_of)

    assert asked == [5.0]


async def test_what_was_compared_once_is_not_at_risk_any_more() -> None:
    recent = lost(sent(0))
    await recent.missing(ROOT, stored())

    assert await recent.missing(ROOT, stored()) == []


async def test_memory_is_bounded_in_messages_and_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "KEPT_BYTES", 100)
    recent = lost(*[sent(number) for number in range(100)])
    kept = await recent.missing(ROOT, stored())

    assert 10 <= len(kept) <= 25
    assert kept[-1] == sent(99)
