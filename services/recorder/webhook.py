"""Finished exchanges to a webhook: at least once, in batches, signed.

The feed has the accounts of finished exchanges only; everything else that was said about one is read from the capture
stream when its account has come, so nothing is kept here. An account is acknowledged once its exchange was accepted.
Exchanges whose ingress died have no account; `unfinished.py` finds them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass

import anyio
import structlog

from services.recorder.accounts import Accounts
from services.recorder.poster import REFUSALS, REFUSED, NotTaken, Posted, Poster, Receiver
from services.recorder.rules.redaction import Redaction
from services.recorder.trouble import Trouble
from services.recorder.unfinished import Unfinished
from services.recorder.worker import Rhythm
from shared.bus import Bus, BusUnavailable, Captured
from shared.contracts import Lag
from shared.subjects import Subjects

AT_ONCE = 50  # exchanges of one post …
POST_BYTES = 8 * 1024 * 1024  # … or as many as make so much

log = structlog.get_logger("recorder")


@dataclass(frozen=True)
class _Finished:
    account: Captured
    ready: Posted


class Webhook:
    """A sink as others: `run` it; `stop` lets it finish."""

    def __init__(
        self,
        bus: Bus,
        subjects: Subjects,
        receiver: Receiver,
        feed: str,
        rhythm: Rhythm,
        redaction: Redaction | None = None,
        is_first: Callable[[], bool] = lambda: True,
    ) -> None:
        """`is_first`: of several recorders one looks for what nobody finished."""
        self.open_exchanges = 0
        self.place = receiver.place
        self._rhythm = rhythm
        self._accounts = Accounts(bus, subjects, feed, receiver.place, rhythm)
        self._poster = Poster(bus, subjects, receiver, feed, redaction or Redaction(), rhythm.clock)
        self._unfinished = Unfinished(bus, subjects, self._poster, feed, rhythm, is_first)
        self._trouble = Trouble(receiver.place, rhythm.monotonic)
        self._alone = False  # some exchange of the last post was refused
        self._refusals = 0

    def stop(self) -> None:
        self._accounts.stop()

    async def lag(self) -> Lag | None:
        return await self._accounts.lag()

    async def run(self) -> None:
        async with self._poster, anyio.create_task_group() as tasks:
            tasks.start_soon(self._look_for_unfinished)
            try:
                while not self._accounts.is_stopping:
                    await self._turn()
            finally:
                tasks.cancel_scope.cancel()  # what is being looked for can wait for the next start
                with anyio.CancelScope(shield=True):
                    await self._accounts.let_go()

    async def _look_for_unfinished(self) -> None:
        while not await self._accounts.pause(self._rhythm.sweep_every_s):
            with suppress(BusUnavailable):  # whoever reads accounts tells of it
                await self._unfinished.look()

    async def _turn(self) -> None:
        inbox = self._accounts
        try:
            accounts = await inbox.fetch(AT_ONCE, self._rhythm.wait_s)
            while accounts and not inbox.is_stopping:
                inbox.waiting_since = accounts[0].at
                accounts = accounts[await self._some(accounts) :]
                inbox.waiting_since = None
        except BusUnavailable as error:
            await inbox.let_go()
            await self._pause(str(error))

    async def _some(self, accounts: Sequence[Captured]) -> int:
        """Posts as many of the exchanges as one post takes; how many are dealt with."""
        await self._accounts.let_settle(accounts[-1])
        some = await self._finished(accounts[:1] if self._alone else accounts)
        try:
            await self._poster.post([one.ready for one in some])
        except NotTaken as error:
            some = await self._after_refusal(some, error)
        else:
            self._alone, self._refusals = False, 0
            self._trouble.over()
        await self._accounts.acknowledge(one.account for one in some)
        return len(some)

    async def _after_refusal(self, some: Sequence[_Finished], error: NotTaken) -> list[_Finished]:
        """What is dealt with nevertheless. Of a post that the receiver will never take each exchange is tried alone;
        one that is refused again and again is left out, so that it doesn't hold all others."""
        if error.status in REFUSED:
            if len(some) > 1:
                self._alone = True
                return []
            self._refusals += 1
            if self._refusals >= REFUSALS:
                log.error("recorder.webhook_refused", exchange=some[0].ready.id, sink=self.place, why=str(error))
                self._alone, self._refusals = False, 0
                return list(some)
        await self._pause(str(error))
        return []

    async def _finished(self, accounts: Sequence[Captured]) -> list[_Finished]:
        found: list[_Finished] = []
        size = 0
        for account in accounts:
            one = _Finished(account, await self._poster.finished(account.subject.split(".")[-2]))
            size += len(one.ready.json)
            if found and size > POST_BYTES:
                break
            found.append(one)
        return found

    async def _pause(self, why: str) -> None:
        await self._accounts.pause(self._trouble.met(why))
