"""The raw legs of watched answers, as a tap hears them: each frame once, in order, what was missed out of the capture
stream.

A sentinel that begins late, because it takes over from one that died, hears a leg's frame 57 first: that is a gap like
any other.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from shared.bus import Bus
from shared.legs import Frame, FramesLost, LegReader
from shared.subjects import FrameAddress, Subjects

BUFFERED_BYTES = 512 * 1024  # of one leg, while what is missing is fetched


class TappedLeg:
    """One leg of one answer; it may be addressed to anybody."""

    def __init__(self, bus: Bus, subjects: Subjects, address: FrameAddress) -> None:
        self.addresses = {kind: replace(address, kind=kind) for kind in ("head", "data", "end")}
        prefix = subjects.leg(address.id, address.call, address.leg, address.to)
        self._reader = LegReader(bus, prefix, BUFFERED_BYTES)
        self._is_fetching = False

    @property
    def is_over(self) -> bool:
        return self._reader.ended

    def hear(self, kind: str, headers: Mapping[str, str] | None, data: bytes) -> list[Frame]:
        """The frames that come next by now."""
        self._reader.push(kind, headers, data)
        return self._reader.here()

    @property
    def wants_more(self) -> bool:
        """Frames are missing, and nobody fetches them."""
        return self._reader.needs_healing and not self._is_fetching

    async def fetched(self) -> list[Frame]:
        """What comes next out of the capture stream. What isn't there is passed over: a loop goes on long enough."""
        self._is_fetching = True
        try:
            await self._reader.heal()
        except FramesLost:
            self._reader.pass_over()
        finally:
            self._is_fetching = False
        return self._reader.here()

    async def caught_up(self) -> list[Frame]:
        """Whatever the capture stream has of it."""
        await self._reader.catch_up()
        return self._reader.here()


class Tapped:
    """The legs of all answers that one sentinel watches."""

    def __init__(self, bus: Bus, subjects: Subjects) -> None:
        self._bus = bus
        self._subjects = subjects
        self._legs: dict[str, dict[tuple[str, str], TappedLeg]] = {}

    def begin(self, id: str) -> None:
        self._legs.setdefault(id, {})

    def end(self, id: str) -> None:
        self._legs.pop(id, None)

    def leg(self, address: FrameAddress) -> TappedLeg | None:
        """None where nobody watches the answer any more."""
        legs = self._legs.get(address.id)
        if legs is None:
            return None
        key = (address.call, address.to)
        if key not in legs:
            legs[key] = TappedLeg(self._bus, self._subjects, address)
        return legs[key]
