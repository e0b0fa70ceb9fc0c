"""How far the requests in the capture stream were looked at for exchanges that nobody finished."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from services.recorder.rules.position import SAME_TIME_S
from shared.bus import Captured


class Walk(msgspec.Struct, frozen=True, kw_only=True):
    """Every request up to `seq` is dealt with, but for those of `open`."""

    seq: int = 0
    at: float = 0.0  # when that one passed
    open: tuple[str, ...] = ()  # exchanges that run for longer than is usual, or whose post was not taken

    def beyond(self, page: Sequence[Captured], until: float) -> tuple[Walk, bool]:
        """Past the requests of a page that passed before `until`; whether there may be more of them."""
        old = [one for one in page if one.at < until]
        if not old:
            return self, False
        ids = (one.subject.split(".")[-2] for one in old)
        return Walk(seq=old[-1].seq, at=old[-1].at, open=(*self.open, *ids)), len(old) == len(page)

    def is_of_another_stream(self, first: Captured) -> bool:
        """Whether the stream was deleted since, and counts from 1 again: its first request is younger."""
        return first.at > self.at + SAME_TIME_S and first.seq <= self.seq

    def without(self, done: set[str]) -> Walk:
        return msgspec.structs.replace(self, open=tuple(id for id in self.open if id not in done))
