"""How far requests were looked at for exchanges that nobody finished."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from services.recorder.rules.walk import Walk
from shared.bus import Captured

TIMES = st.lists(st.floats(1, 1000), max_size=20).map(sorted)


def requests(times: Sequence[float]) -> list[Captured]:
    return [Captured(seq, f"moontide.req.ID{seq}.request", b"", at) for seq, at in enumerate(times, 1)]


@given(TIMES, st.floats(0, 1001), st.integers(1, 5))
def test_pages_of_any_size_lead_past_every_request_that_is_old_enough(
    times: list[float], until: float, size: int
) -> None:
    walk, is_more, every = Walk(), True, requests(times)
    while is_more:
        walk, is_more = walk.beyond([one for one in every if one.seq > walk.seq][:size], until)

    assert list(walk.open) == [f"ID{seq}" for seq, at in enumerate(times, 1) if at < until]
    assert walk.seq == len(walk.open)


def test_what_is_dealt_with_is_open_no_more() -> None:
    walk = Walk(seq=7, at=1.0, open=("A", "B", "C")).without({"A", "C"})

    assert walk == Walk(seq=7, at=1.0, open=("B",))


def test_a_stream_that_began_anew_is_told_by_its_first_request() -> None:
    walk, _ = Walk().beyond(requests([1.0, 2.0, 3.0]), 10.0)

    assert walk.is_of_another_stream(requests([50.0])[0])
    assert not walk.is_of_another_stream(requests([1.0])[0])
    assert not Walk().is_of_another_stream(requests([50.0])[0])
