"""One job's answer: one call after the other, as the turn wants them, onto one leg."""

from __future__ import annotations

import time
from typing import Any

import msgspec
import structlog

from services.enforcer.rules.attempt import TooLong
from services.enforcer.rules.request import Request
from services.enforcer.rules.steps import Again, Last, Step
from services.enforcer.rules.turn import Turn
from shared.bodies import put_body
from shared.contracts import WELL_FORMED, Cancel, End, Head, HttpRequest, Job, Usage, decode
from shared.course import Course
from shared.errors import Unavailable
from shared.jobs import cancelled
from shared.legs import Frame, LegWriter
from shared.subjects import call_after
from shared.worker import Worker

EVENT_STREAM = "text/event-stream"
PLAIN_BODY_BYTES = 64 * 1024 * 1024  # of an answer that comes as one body
FIRST_CALL = "c1"

Facts = dict[str, Any]

log = structlog.get_logger("enforcer")


class Enforcing:
    """`run` ends the leg."""

    def __init__(self, worker: Worker, job: Job, turn: Turn, leg: LegWriter, body: bytes) -> None:
        self._worker = worker
        self._job = job
        self._turn = turn
        self._leg = leg
        self._body = body  # the client's
        self._began = time.monotonic()
        self._head: Head | None = None  # of the call that runs
        self._good_head: Head | None = None  # of the last one that answered
        self._plain = bytearray()
        self._has_called_off = False  # a call that loops
        self._cancel: Cancel | None = None
        self._calls = 0
        self._first: End | None = None
        self._repairs: dict[str, int] = {}
        leg.so_far = self._so_far

    async def run(self) -> None:
        call, body, has_prefix, why = FIRST_CALL, self._turn.body, False, "the enforcer's words"
        with self._worker.cancels.watching(self._job.id, self._stop, self._job.call):
            while True:
                end = await self._one_call(call, body, has_prefix, why)
                step = self._turn.ended(end)
                await self._send(step.out)
                if isinstance(step, Again) and self._cancel is not None:
                    step = Last(out=b"", outcome="cancelled")
                else:
                    await self._tell(step, end.last_call or call)
                if isinstance(step, Last):
                    await self._end(step, end)
                    return
                call = call_after(end.last_call or call)
                body, has_prefix = step.body, step.has_prefix
                why = f"asked again ({step.why}, {step.attempt} of {step.most})"

    def _stop(self, cancel: Cancel) -> None:
        """Who makes the call hears it too; here it means that there is no other one."""
        self._cancel = cancel if cancel.finish_reason is None else self._cancel

    # -- one call

    async def _one_call(self, call: str, body: bytes, has_prefix: bool, why: str) -> End:
        job = msgspec.structs.replace(
            self._job,
            call=call,
            to=self._worker.instance,
            request=await self._request(call, body, why),
            streamed=True,
            enforce=None,
            has_prefix=has_prefix,
        )
        self._has_called_off = False
        with self._worker.following(self._job, "normal", call) as course:
            try:
                await self._worker.offer("normalize", job, course)
            except Unavailable as unavailable:
                return End(outcome="refused", worker=self._worker.instance, at=time.time(), fault=unavailable.fault)
            end = await self._heard(course, call)
        self._calls += end.calls
        self._first = self._first or end
        return end

    async def _request(self, call: str, body: bytes, why: str) -> HttpRequest:
        """What this call is asked; the record shows how it differs from what the client asked."""
        request = self._job.request
        changed = Request(body).changed_from(self._body)
        if not changed:
            return request
        told = await put_body(self._worker.bus, f"{request.id}.{call}.asked", body, is_json=True)
        return msgspec.structs.replace(request, body=told, changes={"set": changed, "why": [why]})

    async def _heard(self, course: Course, call: str) -> End:
        """Everything up to the end of the call that answers."""
        while True:
            out = b""
            for frame in await course.frames():
                if frame.kind != "end":
                    out += self._taken(frame)
                    continue
                end = decode(End, frame.data)
                self._note(end)
                if end.next_call is None:
                    await self._send(out + self._whole(end))
                    return end
                self._void(end)
            await self._send(out)
            await self._call_off(call)

    def _taken(self, frame: Frame) -> bytes:
        if frame.kind == "head":
            self._head = decode(Head, frame.data)
            self._good_head = self._head if self._head.status < 300 else self._good_head
            return b""
        if self._head is None or self._head.status >= 300:
            return b""
        if self._head.content_type.startswith(EVENT_STREAM):
            return self._turn.feed(frame.data)
        self._plain += frame.data
        if len(self._plain) > PLAIN_BODY_BYTES:
            raise TooLong(f"it is longer than {PLAIN_BODY_BYTES} bytes")
        return b""

    def _whole(self, end: End) -> bytes:
        """The answer of a provider that can't stream."""
        body = bytes(self._plain)
        self._plain.clear()
        return self._turn.feed_whole(body) if body and end.is_well_formed else b""

    def _void(self, end: End) -> None:
        self._calls += end.calls
        self._plain.clear()
        self._turn.void(end)

    def _note(self, end: End) -> None:
        for name, count in end.repairs.items():
            self._repairs[name] = self._repairs.get(name, 0) + count

    async def _call_off(self, call: str) -> None:
        """Ends a call that runs in a loop; its leg then ends well-formed, with what it has cost."""
        if self._turn.looping is None or self._has_called_off:
            return
        self._has_called_off = True
        why = "the answer runs in a loop"
        repeat = self._turn.retry
        assert repeat is not None  # noqa: S101 - else nobody looks for loops here
        cancel = Cancel(by="enforcer", why=why, call=call, finish_reason=repeat.finish_reason)
        await self._worker.cancels.send(self._job.id, cancel)

    # -- what becomes of it

    async def _send(self, out: bytes) -> None:
        if not out:
            return
        if not self._leg.started:
            head = self._good_head or Head(status=200, worker="", at=time.time())
            changes: dict[str, Any] = {"worker": self._worker.instance, "content_type": EVENT_STREAM}
            await self._leg.head(msgspec.structs.replace(head, **changes))
        await self._leg.data(out)

    async def _tell(self, step: Step, call: str) -> None:
        """Events; each names who has answered, so that providers can be compared."""
        whose: Facts = {"provider": self._head and self._head.provider, "model": self._head and self._head.model}
        for invalid in step.invalid:
            told = {"tool": invalid.tool, "problem": invalid.problem, "message": invalid.message}
            await self._worker.event(self._job.id, "invalid-call", call, **whose, **told)
        if isinstance(step, Again):
            facts: Facts = {"why": step.why, "attempt": step.attempt, "of": step.most, **whose}
            if step.why == "loop":
                facts |= {"continues": step.has_prefix, **self._loop_facts(step)}
            log.info("answer.re_prompted", **facts)
            await self._worker.event(self._job.id, "re-prompted", call, **facts)
        elif step.unmet is not None:
            facts = {"why": step.unmet, "attempts": self._turn.attempts, **whose}
            log.info("answer.exhausted", **facts)
            await self._worker.event(self._job.id, "exhausted", call, **facts)

    @staticmethod
    def _loop_facts(step: Again) -> dict[str, Any]:
        if step.looping is None:  # only the sentinel saw it
            return {}
        loop = step.looping.loop
        return {"channel": step.looping.channel, "start": loop.start, "period": loop.period, "kind": loop.kind}

    async def _end(self, last: Last, end: End) -> None:
        whole = last.outcome in WELL_FORMED
        fault = None if whole else end.fault
        if fault is None and self._cancel is not None and not whole:
            fault = cancelled(self._cancel)
        facts: Facts = {"fault": fault, "finish_reason": last.finish_reason, "done_seen": whole, "unmet": last.unmet}
        facts |= {"error_sent": end.error_sent, "usage": self._usage(last, end)}
        await self._leg.end(self._worker.end(self._leg, last.outcome, **facts))

    def _usage(self, last: Last, end: End) -> Usage | None:
        """Where another call was to follow, this one's tokens are counted already."""
        was_to_go_on = last.outcome == "cancelled" and end.is_well_formed
        return self._turn.spent if was_to_go_on else self._turn.total(end)

    def _so_far(self) -> dict[str, Any]:
        """The fields of an `end` that are known by now."""
        first = self._first
        return {
            "usage": self._turn.spent,
            "completion_id": first.completion_id if first is not None else None,
            "first_byte_s": first.first_byte_s if first is not None else None,
            "total_s": time.monotonic() - self._began,
            "repairs": self._repairs,
            "calls": self._calls,
            "attempts": self._turn.attempts,
        }
