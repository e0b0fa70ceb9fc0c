"""Who is alive: the workers' heartbeats, as every worker hears them."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from shared.contracts import Heartbeat

BEAT_S = 1.0
GREETING_S = 0.01  # before a newcomer is told who else is there: several that start together are greeted once
GONE_AFTER_S = 3.5  # three missed beats and a bit


class Roster:
    """The workers that were heard lately. One that drains takes no work, and still finishes what it has."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._heard: dict[str, tuple[float, Heartbeat]] = {}

    def hear(self, beat: Heartbeat) -> bool:
        """Whether this is the first that is heard of the worker."""
        is_new = beat.instance not in self._heard
        self._heard[beat.instance] = (self._clock(), beat)
        return is_new

    def beat_of(self, instance: str) -> Heartbeat | None:
        """The last sign of life of that worker, however long ago."""
        heard = self._heard.get(instance)
        return None if heard is None else heard[1]

    def forget(self, instance: str) -> None:
        self._heard.pop(instance, None)

    def live(self) -> list[Heartbeat]:
        now = self._clock()
        return [beat for at, beat in self._heard.values() if now - at < GONE_AFTER_S]

    def has(self, service: str) -> bool:
        """A worker of that service is there and takes work."""
        return any(beat.service == service and not beat.draining for beat in self.live())

    def is_gone(self, instance: str) -> bool:
        """The worker was heard once, but not for a while. One never heard may just be new."""
        heard = self._heard.get(instance)
        return heard is not None and self._clock() - heard[0] >= GONE_AFTER_S

    def seal_keys(self) -> set[str]:
        """The public keys of the live upstream workers."""
        return {beat.seal_key for beat in self.live() if beat.seal_key}

    def sweep(self, in_use: Iterable[str]) -> None:
        """Lets go of workers that are long gone and that no leg waits for."""
        keep = set(in_use)
        now = self._clock()
        for instance, (at, _beat) in list(self._heard.items()):
            if now - at > 20 * GONE_AFTER_S and instance not in keep:
                del self._heard[instance]
