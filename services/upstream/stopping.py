"""Ending a call on purpose: somebody has seen that the answer comes to nothing, and it is to end well-formed."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator
from contextlib import contextmanager

import anyio
import structlog

from services.upstream.rules.tally import Tally, estimated
from shared.contracts import Cancel, Job, Usage
from shared.legs import LegWriter
from shared.worker import Worker

log = structlog.get_logger("upstream")


class Stopping:
    """`cancel` is what ended the block, if anything did. A call that nobody has seen anything of is left alone.

    `calls` are the job's calls by now, the one that runs the last: a cancel may be meant for one of them alone.
    """

    def __init__(
        self, worker: Worker, job: Job, leg: LegWriter, calls: Callable[[], Container[str]] | None = None
    ) -> None:
        self.cancel: Cancel | None = None
        self._worker = worker
        self._job = job
        self._leg = leg
        self._calls = calls or (lambda: (job.call,))
        self._scope = anyio.CancelScope()

    @contextmanager
    def possible(self) -> Iterator[None]:
        with self._scope, self._worker.cancels.watching(self._job.id, self._stop):
            yield

    def _stop(self, cancel: Cancel) -> None:
        if cancel.finish_reason is None or (cancel.call is not None and cancel.call not in self._calls()):
            return
        if self._leg.started and not self._leg.ended:
            self.cancel = cancel
            self._scope.cancel()

    async def end(self, tally: Tally | None, body: bytes) -> None:
        """The leg's end. The provider's connection is closed by now."""
        if self._leg.ended or self.cancel is None:
            return
        cancel, counted = self.cancel, self._leg.so_far().get("usage")
        usage: Usage | None = counted or (estimated(tally, body) if tally else None)
        facts = {"by": cancel.by, "why": cancel.why, "finish_reason": cancel.finish_reason}
        facts |= {"usage": "estimated" if counted is None else "counted"}
        log.info("call.stopped", **facts)
        end = self._worker.end(self._leg, "stopped", usage=usage, finish_reason=cancel.finish_reason)
        await self._leg.end(end)
        await self._worker.event(self._job.id, "stopped", self._job.call, **facts)
