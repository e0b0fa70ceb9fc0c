"""The answers that one sentinel watches: frames to what has to be told and done.

A request's answer may come over several calls, and by mistake from two workers at a time; each of its legs is looked at
on its own. A watch ends with its request, or after a long silence, should the ingress have died.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import msgspec

from services.sentinel.rules.answer import Found
from services.sentinel.rules.leg import LegWatch
from shared.contracts import End, Watch, decode
from shared.repeats.loop import RepeatSettings
from shared.subjects import FrameAddress, call_after

QUIET_S = 1800.0  # a watch without a frame for so long is given up; a thinking model is silent for minutes

ENDING = ("stop", "retry")  # actions for which the provider's call is ended


@dataclass(frozen=True, kw_only=True)
class Seen:
    """What one frame brought to light."""

    id: str
    call: str
    watch: Watch
    found: tuple[Found, ...] = ()
    stops: bool = False  # the answer is to be ended now


@dataclass
class _Watched:
    watch: Watch
    heard_at: float
    legs: dict[tuple[str, str], LegWatch | None] = field(default_factory=dict)  # by call and receiver; None = told

    def leg(self, key: tuple[str, str]) -> LegWatch | None:
        if key not in self.legs:
            repeat = self.watch.repeat
            self.legs[key] = LegWatch(RepeatSettings(repeat.threshold, repeat.min_length), self.watch.choices)
        return self.legs[key]


class Watches:
    """Takes watches and frames. Times are of one monotonic clock."""

    def __init__(self) -> None:
        self._watched: dict[str, _Watched] = {}

    def __contains__(self, id: str) -> bool:
        return id in self._watched

    def begin(self, watch: Watch, now: float) -> bool:
        """Whether it is a new one, and one that can come to something."""
        if watch.id in self._watched or not watch.repeat.is_on:
            return False
        self._watched[watch.id] = _Watched(watch, now)
        return True

    def end(self, id: str) -> bool:
        """Whether it was watched."""
        return self._watched.pop(id, None) is not None

    def quiet(self, now: float) -> list[str]:
        return [id for id, one in self._watched.items() if now - one.heard_at >= QUIET_S]

    def frame(self, address: FrameAddress, data: bytes, now: float) -> Seen | None:
        """What a frame brings to light, if anything."""
        watched = self._watched.get(address.id)
        if watched is None:
            return None
        watched.heard_at = now
        if address.kind == "data":
            return _data(watched, address, data)
        if address.kind == "end":
            _ended(watched, address, data)
        return None


def _data(watched: _Watched, address: FrameAddress, data: bytes) -> Seen | None:
    key = (address.call, address.to)
    leg = watched.leg(key)
    if leg is None:
        return None
    found = tuple(leg.feed(data))
    stops = watched.watch.repeat.action in ENDING and leg.is_hopeless
    if stops:
        watched.legs[key] = None
    if not found and not stops:
        return None
    return Seen(id=address.id, call=address.call, watch=watched.watch, found=found, stops=stops)


def _ended(watched: _Watched, address: FrameAddress, data: bytes) -> None:
    leg = watched.legs.pop((address.call, address.to), None)
    try:
        end = decode(End, data)
    except msgspec.DecodeError:
        return
    if leg is not None and end.continued:
        leg.go_on()
        watched.legs[end.next_call or call_after(address.call), address.to] = leg
