"""How far the sinks are behind: counted each second, told with the heartbeat, and to somebody where it is too far."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import aiohttp
import anyio
import structlog

from services.recorder.rules.lag import Lagging, Note
from shared.alerts import Receiver, deliver, is_teller, shaped
from shared.bus import BusUnavailable
from shared.contracts import Lag
from shared.worker import Worker

COUNT_EVERY_S = 1.0

log = structlog.get_logger("recorder")


class Observed(Protocol):
    """A sink, as far as it is watched and run."""

    place: str
    open_exchanges: int

    async def run(self) -> None: ...

    def stop(self) -> None: ...

    async def lag(self) -> Lag | None: ...


class Watching:
    """What one recorder knows of its sinks, and whom it tells."""

    def __init__(
        self, worker: Worker, sinks: Sequence[Observed], receivers: Sequence[Receiver] = (), limit_s: float = 0.0
    ) -> None:
        self._worker = worker
        self._sinks = sinks
        self._receivers = receivers
        self._lagging = Lagging(limit_s)

    async def run(self) -> None:
        async with aiohttp.ClientSession() as session:
            while True:
                await self._look(session)
                await anyio.sleep(COUNT_EVERY_S)

    async def _look(self, session: aiohttp.ClientSession) -> None:
        self._worker.in_flight = max((sink.open_exchanges for sink in self._sinks), default=0)
        lags = [lag for sink in self._sinks if (lag := await _lag_of(sink)) is not None]
        self._worker.lags = tuple(lags)
        for lag in lags:
            self._worker.metrics.set("recorder_lag_messages", lag.messages, lag.sink)
            self._worker.metrics.set("recorder_lag_seconds", lag.behind_s, lag.sink)
        for note in filter(None, map(self._lagging.heard, lags)):
            await self._tell(session, note)

    async def _tell(self, session: aiohttp.ClientSession, note: Note) -> None:
        facts = {name: value for name, value in note.facts.items() if name != "event"}
        (log.info if note.is_over else log.warning)(f"recorder.{note.facts['event']}", **facts)
        me = self._worker.identity
        if not is_teller(self._worker.roster.live(), me.service, me.instance):
            return
        for receiver in self._receivers:
            await deliver(session, receiver, shaped(note.text, note.facts, receiver.shape))


async def _lag_of(sink: Observed) -> Lag | None:
    try:
        return await sink.lag()
    except BusUnavailable:
        return None  # told by whoever needs the bus
