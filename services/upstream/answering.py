"""One job, over all the calls that it takes.

A call that came to nothing before its first byte is made again elsewhere, or here after a pause; the client sees none
of it. A stream that broke off goes on from another call where its text can be continued. Only what ends the last call
reaches the client.
"""

from __future__ import annotations

import time
from functools import cached_property
from typing import Any

import anyio
import structlog

from services.upstream.calls import Asking
from services.upstream.desk import Desk
from services.upstream.left import Left
from services.upstream.relay import Ending
from services.upstream.rules.continuation import TextSoFar
from services.upstream.rules.remedies import in_our_words
from services.upstream.rules.retries import Standing, Step
from services.upstream.rules.sessions import tokens_of
from services.upstream.rules.tally import Tally
from services.upstream.rules.verdicts import judge
from services.upstream.stopping import Stopping
from shared.config import Model, Target
from shared.contracts import Fault, Job
from shared.errors import Refused
from shared.legs import LegWriter
from shared.prefixes import continued_body, may_be_continued
from shared.subjects import call_after

log = structlog.get_logger("upstream")

FIGURES = {"retried": "retries", "failed-over": "failovers", "continued": "continuations"}


class Answering:
    """`run` ends the last leg."""

    def __init__(
        self,
        desk: Desk,
        job: Job,
        leg: LegWriter,
        model: Model,
        ranked: tuple[Target, ...],
        body: bytes,
        left: Left | None = None,
    ) -> None:
        self._desk = desk
        self._job = job
        self._leg = leg
        self._model = model
        self._ranked = ranked
        self._body = body
        self._tries = desk.tries(ranked)
        self._tally: Tally | None = None  # of this call's text, where nobody else may get to count it
        self._call = job.call
        self._target: Target | None = None  # of the call that runs
        self._left = left  # by a worker that had this job and died
        self._goes_on = False  # the call continues what those before it have said
        self._begin_afresh()

    def _begin_afresh(self) -> None:
        """Nothing of what was said so far counts."""
        self._has_begun = False  # part of the answer is on its way to the client
        self._text = TextSoFar(keep=self._job.stitched and any(map(self._desk.continues, self._ranked)))

    async def run(self) -> None:
        stopping = Stopping(self._desk.worker, self._job, self._leg, lambda: (self._job.call, self._call))
        with stopping.possible():
            await self._calls()
        if stopping.cancel is not None and self._target is not None:
            self._succeeded(self._target)
            await stopping.end(self._tally, self._body)

    async def _calls(self) -> None:
        step = self._first() if self._left is None else await self._go_on_after(self._left)
        while step is not None:
            ending = await self._one_call(step.target)
            following = self._judged(step, ending)
            await self._end_leg(step.target, ending, following)
            if following is not None:
                await self._turn_to(following, step.target, ending)
            step = following

    def _first(self) -> Step:
        step = self._tries.next(time.monotonic(), self._look)
        if step is None:
            raise Refused(self._desk.board.why_not(self._ranked))
        return step

    async def _go_on_after(self, left: Left) -> Step | None:
        """Ends the leg of a worker that died in the middle of a call; the next call, where there is to be one."""
        self._call, self._text, self._has_begun = left.call, left.text(self._text), left.frames > 0
        self._leg.frames, self._leg.body_bytes, self._leg.so_far = left.frames, left.body_bytes, left.as_end
        ending = Ending("complete") if left.is_whole else Ending("lost", left.fault, called=left.was_called)
        following = None if left.is_whole else self._following()
        await self._end_leg(None, ending, following)
        if following is not None:
            await self._turn_to(following, None, ending)
        return following

    def _look(self, target: Target) -> Standing:
        return self._desk.look(target, self._tokens)

    @cached_property
    def _tokens(self) -> float:
        """What the request may cost; counted only where there are limits."""
        return tokens_of(self._body) if self._desk.gates.are_needed(self._ranked) else 0.0

    @cached_property
    def _may_be_continued(self) -> bool:
        """Whether partial mode can serve it; looked at only after a stream has broken."""
        return may_be_continued(self._body)

    # -- one call

    async def _one_call(self, target: Target) -> Ending:
        desk = self._desk
        self._target = target
        self._tally = Tally() if self._job.watched else None
        if self._tries.called(target):
            desk.budgets[target.provider].pay_in()
        asking = Asking(job=self._job, call=self._call, body=self._body_for(target), goes_on=self._goes_on)
        self._text.begin_call()
        client = self._job.request.client or self._job.request.peer or ""
        try:
            async with desk.gates.through(target.provider, client, self._tokens) as passage:
                if desk.is_current(target.provider):
                    desk.board.called(target)
                route = desk.caller.route(self._model, target)
                ending = await desk.caller.call(route, asking, self._leg, self._heard)
                usage = self._leg.so_far().get("usage")
                passage.used_tokens = usage.total_tokens if usage else None
                return ending
        except Refused as refused:
            return Ending("refused", refused.fault, called=False)

    def _body_for(self, target: Target) -> bytes:
        prefix = self._text.prefix if self._goes_on and not self._text.is_empty else None
        return self._body if prefix is None else continued_body(self._body, prefix)

    def _heard(self, piece: bytes) -> None:
        if self._job.stitched:
            self._text.feed(piece)
        if self._tally is not None:
            self._tally.feed(piece)

    # -- and what comes of it

    def _judged(self, step: Step, ending: Ending) -> Step | None:
        """The next call, where there is to be one."""
        if ending.fault is None:
            self._succeeded(step.target)
            return None
        self._failed(step.target, ending, ending.fault)
        self._has_begun = self._has_begun or (ending.outcome != "refused" and self._leg.frames > 0)
        return self._following()

    def _following(self) -> Step | None:
        """The next call after one that failed."""
        following = self._tries.next(time.monotonic(), self._look, self._may_take_over)
        self._goes_on = following is not None and self._has_begun and self._can_go_on(following.target)
        return following

    def _may_take_over(self, target: Target) -> bool:
        """Whether a call there can be the answer: from its beginning if the client has none of it, or going on."""
        return not self._has_begun or not self._job.request.stream or self._can_go_on(target)

    def _can_go_on(self, target: Target) -> bool:
        if not self._job.stitched:
            return False
        if self._text.is_empty:
            return True
        return self._desk.continues(target) and self._may_be_continued and self._text.prefix is not None

    def _succeeded(self, target: Target) -> None:
        self._desk.worker.metrics.add("calls", target.provider, "ok")
        if not self._desk.is_current(target.provider):
            return
        self._desk.board.succeeded(target)
        first_byte_s = self._leg.so_far().get("first_byte_s")
        if first_byte_s is not None:
            self._desk.latencies.add(target, first_byte_s, time.monotonic())

    def _failed(self, target: Target, ending: Ending, fault: Fault) -> None:
        judgement = judge(fault)
        self._tries.failed(target, judgement, time.monotonic())
        if not ending.called:
            return
        desk = self._desk
        desk.worker.metrics.add("calls", target.provider, judgement.verdict.value)
        if desk.is_current(target.provider):
            provider = desk.settings.providers[target.provider]
            desk.board.failed(target, provider, judgement, fault, self._is_our_key(target))

    def _is_our_key(self, target: Target) -> bool:
        return self._desk.caller.has_own_key(target.provider) or self._job.secret is None

    async def _end_leg(self, target: Target | None, ending: Ending, following: Step | None) -> None:
        facts: dict[str, Any] = {"fault": self._told(target, ending), "calls": 1 if ending.called else 0}
        if following is not None:
            facts |= {"next_call": call_after(self._call), "continued": self._goes_on}
        await self._leg.end(self._desk.worker.end(self._leg, ending.outcome, **facts))

    def _told(self, target: Target | None, ending: Ending) -> Fault | None:
        """The fault as the client may see it."""
        fault = ending.fault
        if fault is None or target is None or not ending.called or not self._is_our_key(target):
            return fault
        return in_our_words(target.provider, judge(fault).verdict, fault)

    async def _turn_to(self, following: Step, before: Target | None, ending: Ending) -> None:
        """The leg is the next call's from here on. `before` is where the one that failed was made, if that is known."""
        worker, job = self._desk.worker, self._job
        failed, self._call = self._call, call_after(self._call)
        self._leg.turn_to(worker.subjects.leg(job.id, self._call, "raw", job.to))
        self._leg.so_far = lambda: {"calls": 0}
        if not self._goes_on:
            self._begin_afresh()
        await self._tell(failed, following, before, ending)
        await anyio.sleep(following.after_s)

    async def _tell(self, failed: str, following: Step, before: Target | None, ending: Ending) -> None:
        assert ending.fault is not None  # noqa: S101 - only a failed call has a next one
        name = "retried" if before in (following.target, None) else "failed-over"
        facts: dict[str, Any] = {
            "after": failed,
            "why": judge(ending.fault).verdict.value,
            "code": ending.fault.code,
            "from": place(before) if before is not None else None,
            "to": place(following.target),
            "pause_s": round(following.after_s, 3),
        }
        if self._goes_on:
            name, prefix = "continued", self._text.prefix
            facts["content_characters"] = len(prefix.content) if prefix else 0
            facts["reasoning_characters"] = len(prefix.reasoning) if prefix else 0
        self._desk.worker.metrics.add(FIGURES[name], following.target.provider, str(facts["why"]))
        log.info(f"call.{name}", **facts)
        await self._desk.worker.event(self._job.id, name, self._call, **facts)


def place(target: Target) -> str:
    """A target as events name it."""
    return f"{target.provider}/{target.model}" if target.model else target.provider
