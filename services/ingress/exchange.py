"""One request through the pipeline: offered, answered piece by piece, accounted for."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field

import anyio
import msgspec
import structlog
from aiohttp import web

from services.ingress.answers import Answer, Reply
from shared.bodies import put_body
from shared.bus import BusUnavailable
from shared.contracts import (
    CallOutcome,
    Cancel,
    Done,
    End,
    Enforcement,
    Fault,
    Head,
    HttpRequest,
    Job,
    RepairSettings,
    RepeatSettings,
    Sealed,
    Watch,
    decode,
    encode,
)
from shared.course import Course
from shared.errors import Unavailable
from shared.jobs import cancelled
from shared.legs import Frame, FramesLost
from shared.subjects import Leg, Stage
from shared.traces import PARENT_HEADER
from shared.worker import Worker

LAST_WORDS_S = 2.0  # how long a cancelled call's end is waited for, so that the record has it
REQUEST_ID_HEADER = "X-Moontide-Request-Id"
NEVER = RepeatSettings(action="off")
WHOLE = "c0"  # the call that stands for the request as a whole
FIRST_CALL = "c1"

log = structlog.get_logger("exchange")

Tell = Callable[[HttpRequest, Head | None, Done], None]


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How a request goes through the pipeline."""

    request: HttpRequest  # the client's
    canonical: HttpRequest | None = None  # the same as a chat completion, where the client didn't ask for one
    dropped: Mapping[str, str] = field(default_factory=dict)  # what that has no place for, and why
    streamed: bool  # what the provider is asked for
    repair: RepairSettings
    repeat: RepeatSettings = NEVER
    choices: int = 1  # that the client asked for
    secret: Sealed | None
    queue_timeout_s: float
    buffered_bytes: int
    ping_s: float = 15.0  # after so much silence the client gets a sign of life; 0 = never
    may_be_continued: bool = False  # a broken stream may go on from another call
    enforce: Enforcement | None = None  # what the answer has to be, or is asked again

    @property
    def first(self) -> tuple[Stage, Leg]:
        """The stage that the job is offered to, and the leg that it answers with."""
        if self.enforce is not None:
            return ("enforce", "out")
        may_end_otherwise = self.may_be_continued or self.repeat.is_on
        needs_normalizer = self.repair.enabled or (self.streamed and may_end_otherwise)
        return ("normalize", "normal") if needs_normalizer else ("upstream", "raw")

    @property
    def call(self) -> str:
        """The first call of that leg."""
        return WHOLE if self.enforce is not None else FIRST_CALL


@dataclass
class _Progress:
    """What became of the request so far."""

    call: str  # whose leg is read
    started: float = field(default_factory=time.monotonic)
    first_byte_s: float | None = None
    head: Head | None = None
    end: End | None = None
    calls: int = 0  # provider calls that have ended


class Exchange:
    """`run` answers the client; whatever happens, one `done` is published and told."""

    def __init__(self, worker: Worker, plan: Plan, answer: Answer, tell: Tell) -> None:
        self._worker = worker
        self._plan = plan
        self._answer = answer
        self._tell = tell
        self._progress = _Progress(call=plan.call)
        self._id = plan.request.id

    async def run(self) -> web.StreamResponse:
        worker, plan = self._worker, self._plan
        stage, leg = plan.first
        worker.began()
        try:
            await self._announce()
            with self._watched(), worker.inbox.following(self._id, plan.call, leg, plan.buffered_bytes) as course:
                return await self._answered(stage, course)
        except BusUnavailable as error:
            fault = Fault(status=503, code="bus_unavailable", message=str(error), retry_after_s=1)
            return await self._close(self._failed("refused", fault))
        finally:
            worker.finished()

    def _watched(self) -> AbstractContextManager[None]:
        """Somebody looks for loops while the block lasts, if there is somebody."""
        worker, plan = self._worker, self._plan
        if not plan.repeat.is_on:
            return nullcontext()
        watch = Watch(id=self._id, repeat=plan.repeat, choices=plan.choices)
        return worker.sentries.watching(watch, worker.start_soon)

    async def _announce(self) -> None:
        """What the client asked for; and what the pipeline will be asked for, where that differs."""
        worker, plan = self._worker, self._plan
        await worker.bus.publish(worker.subjects.request(self._id), encode(plan.request))
        if plan.canonical is not None:
            await worker.bus.publish(worker.subjects.call_request(self._id, WHOLE), encode(plan.canonical))
        if plan.dropped:
            await worker.event(self._id, "dropped", fields=dict(plan.dropped))

    async def _answered(self, stage: Stage, course: Course) -> web.StreamResponse:
        try:
            await self._offer(stage, course)
            await self._relay(course)
        except Unavailable as unavailable:
            self._progress.end = self._failed("refused", unavailable.fault)
        except FramesLost as lost:
            self._progress.end = self._failed("lost", Fault(status=502, code="frames_lost", message=str(lost)))
        except (asyncio.CancelledError, ConnectionError):
            # the client left: aiohttp cancels the handler, or a write to it fails
            await self._abandon(course)
            raise
        except Exception as error:
            log.error("exchange.failed", request=self._id, exc_info=error)
            await self._worker.cancels.send(self._id, Cancel(by="ingress", why="the answer could not be handed on"))
            message = f"The answer could not be handed on: {type(error).__name__}: {error}"
            self._progress.end = self._failed("broken", Fault(status=502, code="bad_answer", message=message))
        await self._call_off(self._progress.end)
        return await self._close(self._progress.end)

    async def _call_off(self, end: End | None) -> None:
        """Where an answer was lost on its way, those who still work on it work for nobody."""
        if end is not None and end.outcome == "lost":
            why = end.fault.message if end.fault is not None else "the answer was lost"
            await self._worker.cancels.send(self._id, Cancel(by="ingress", why=why))

    async def _offer(self, stage: Stage, course: Course) -> None:
        plan = self._plan
        job = Job(
            id=self._id,
            call=plan.call,
            to=self._worker.instance,
            request=plan.canonical or plan.request,
            streamed=plan.streamed,
            repair=plan.repair,
            secret=plan.secret,
            queue_timeout_s=plan.queue_timeout_s,
            watched=plan.repeat.is_on,
            origin=self._worker.instance,
            enforce=plan.enforce,
        )
        await self._worker.offer(stage, job, course)

    async def _relay(self, course: Course) -> None:
        progress, ping_s = self._progress, self._plan.ping_s or None
        wrote_at = time.monotonic()
        while progress.end is None:
            patience_s = max(0.0, wrote_at + ping_s - time.monotonic()) if ping_s else None
            data = self._sorted(await course.frames(patience_s))
            if data and await self._answer.take(data):
                wrote_at = time.monotonic()
                progress.first_byte_s = progress.first_byte_s or wrote_at - progress.started
            elif ping_s and time.monotonic() >= wrote_at + ping_s:
                wrote_at = time.monotonic()
                await self._answer.keep_alive()

    def _sorted(self, frames: list[Frame]) -> bytes:
        """Notes head and end; the data frames, as one piece."""
        pieces = []
        for frame in frames:
            if frame.kind == "data":
                pieces.append(frame.data)
            elif frame.kind == "head":
                self._progress.head = decode(Head, frame.data)
                self._answer.begin(self._progress.head)
            elif self._ended(decode(End, frame.data)):
                return b""  # another call answers: nothing of this one, which the answer held back
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def _ended(self, end: End) -> bool:
        """Notes a leg's end; whether another call's leg takes its place."""
        progress = self._progress
        progress.calls += end.calls
        if end.next_call is None:
            progress.end = end
            return False
        progress.call, progress.head = end.next_call, None
        self._answer.restart()
        return True

    async def _close(self, end: End | None) -> web.StreamResponse:
        end = end or self._failed("lost", Fault(status=500, code="no_end", message="The answer has no end."))
        try:
            reply = await self._closed(end)
        except (asyncio.CancelledError, ConnectionError):
            await self._account(end if self._answer.is_over else self._left(end), self._answer.so_far())
            raise
        await self._account(end, reply)
        return reply.response or web.Response(status=500)

    async def _closed(self, end: End) -> Reply:
        """The answer's last words; an answer that can't be put together becomes an error."""
        try:
            return await self._answer.close(end)
        except (msgspec.DecodeError, UnicodeDecodeError, ValueError) as error:
            message = f"The provider's answer can't be put together: {error}"
            return await self._answer.close(
                self._failed("broken", Fault(status=502, code="bad_answer", message=message))
            )

    async def _abandon(self, course: Course) -> None:
        """The client is gone. Unless it has everything, the call ends at once; what that still says is kept."""
        if self._answer.is_over and (end := await self._last_words(course)) is not None:
            await self._account(end, self._answer.so_far())
            return
        cancel = Cancel(by="client", why="the client closed its connection")
        await self._worker.cancels.send(self._id, cancel)
        await self._worker.event(self._id, "cancelled", by=cancel.by, why=cancel.why)
        end = await self._last_words(course) or self._failed("cancelled", cancelled(cancel))
        await self._account(self._left(end), self._answer.so_far())

    async def _last_words(self, course: Course) -> End | None:
        with anyio.move_on_after(LAST_WORDS_S):
            while self._progress.end is None and course.producer is not None:
                self._sorted(await course.frames())
        return self._progress.end

    def _left(self, end: End) -> End:
        """An `end` as a client that left saw it."""
        fault = cancelled(Cancel(by="client", why="the client closed its connection"))
        return msgspec.structs.replace(end, outcome="cancelled", fault=fault)

    def _failed(self, outcome: CallOutcome, fault: Fault) -> End:
        return End(outcome=outcome, worker=self._worker.instance, at=time.time(), fault=fault)

    async def _account(self, end: End, reply: Reply) -> None:
        progress, plan = self._progress, self._plan
        done = Done(
            at=time.time(),
            worker=self._worker.instance,
            status=reply.status,
            outcome=end.outcome,
            calls=progress.calls,
            body_bytes=reply.body_bytes,
            streamed=plan.request.stream,
            total_s=time.monotonic() - progress.started,
            first_byte_s=progress.first_byte_s,
            leg=f"{progress.call}.{plan.first[1]}" if reply.is_leg else None,
            tail=reply.tail or None,
            body=await put_body(self._worker.bus, f"{self._id}.done", reply.body, is_json=False)
            if reply.body
            else None,
            headers=reply.headers,
            usage=end.usage,
            finish_reason=end.finish_reason,
            completion_id=end.completion_id,
            repairs=end.repairs,
            fault=end.fault,
            attempts=end.attempts,
            unmet=end.unmet,
            traceparent=plan.request.headers.get(PARENT_HEADER),
        )
        try:
            if reply.left_out:
                await self._worker.event(self._id, "dropped", answer=dict(reply.left_out))
            await self._worker.bus.publish(self._worker.subjects.done(self._id), encode(done))
        finally:
            self._tell(plan.request, progress.head, done)
