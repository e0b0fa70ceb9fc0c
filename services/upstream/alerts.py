"""Tells somebody outside when a provider is out, and when it is back: once each.

Every worker knows of every incident, for circuits are shared; the live worker of the lowest name tells, beside the
calls. An alert that can't be delivered is logged and let go.
"""

from __future__ import annotations

from dataclasses import replace

import aiohttp
import anyio
import structlog

from services.upstream.rules.incidents import Incidents, Note, began, payload
from services.upstream.rules.verdicts import Verdict
from shared.alerts import Receiver, deliver, is_teller
from shared.contracts import ProviderState
from shared.roster import BEAT_S
from shared.worker import Worker

SETTLED_AFTER_S = 1.5 * BEAT_S  # by then every live worker was heard, so that all agree on who tells
FIGURE_WITHIN_S = 3.0  # an exhausted balance is told with what is left, where the provider says it that soon

log = structlog.get_logger("alerts")


class Alerts:
    """What one worker tells."""

    def __init__(self, receivers: tuple[Receiver, ...], session: aiohttp.ClientSession, worker: Worker) -> None:
        self.receivers = receivers
        self._session = session
        self._worker = worker
        self._incidents = Incidents()
        self._latest: dict[str, ProviderState] = {}

    def heard(self, state: ProviderState) -> None:
        """A circuit has changed, here or at another worker."""
        if state.model is None:
            self._latest[state.provider] = state
        note = self._incidents.heard(state)
        if note is not None:
            self._worker.start_soon(self._tell, note)

    def _is_teller(self) -> bool:
        return is_teller(self._worker.roster.live(), "upstream", self._worker.instance)

    async def _tell(self, note: Note) -> None:
        await anyio.sleep(SETTLED_AFTER_S)
        if not self._is_teller():
            return
        if note.state.why == Verdict.QUOTA.value and not note.is_recovery:
            note = await self._with_figure(note)
        log.warning("alert.told", provider=note.provider, text=note.text)
        for receiver in self.receivers:
            await deliver(self._session, receiver, payload(note, receiver.shape))

    async def _with_figure(self, note: Note) -> Note:
        with anyio.move_on_after(FIGURE_WITHIN_S):
            while self._latest[note.provider].balance is None:  # noqa: ASYNC110 - it comes over the bus, or never
                await anyio.sleep(0.05)
        state = self._latest[note.provider]
        return note if state.balance is None else replace(note, state=state, text=began(state))
