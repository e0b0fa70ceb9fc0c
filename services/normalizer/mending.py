"""One job's answer, from the first call's head to the last one's end."""

from __future__ import annotations

import anyio
import anyio.lowlevel
import msgspec

from services.normalizer import RequestFacts, StreamRepair, repair_completion
from services.normalizer.stitch import Stitch
from shared.contracts import End, Head, Job, Usage, decode
from shared.course import Course
from shared.legs import Frame, LegWriter
from shared.slices import SLICE_BYTES, slices
from shared.usage import added, usage_json
from shared.worker import Worker

PLAIN_BODY_BYTES = 64 * 1024 * 1024  # of a plain completion that is repaired; a larger one passes as it is
EVENT_STREAM = "text/event-stream"


class Mending:
    """Writes the normal leg. A call that is void ends its leg, and the next call's leg begins."""

    def __init__(self, worker: Worker, job: Job, facts: RequestFacts, leg: LegWriter) -> None:
        self._worker = worker
        self._job = job
        self._facts = facts
        self._leg = leg
        self._over = False
        self._begin_afresh(job.call)

    def _begin_afresh(self, call: str) -> None:
        self._call = call  # the first of the calls that this leg is made of
        self._last_call = call
        self._first_end: End | None = None  # of the call that broke off, where others go on with it
        self._spent = Usage()
        self._calls = 0
        self._stitch = Stitch()
        self._stream: StreamRepair | None = None
        self._repairs: dict[str, int] = {}
        self._finish_reason: str | None = None  # of a plain completion that was repaired
        self._plain: bytearray | None = None  # the body of a plain completion; None = bytes pass as they are
        self._mute = False  # the call that should go on was refused: its words are no part of the answer

    async def run(self, course: Course) -> None:
        while not self._over:
            pieces: list[bytes] = []
            for frame in await course.frames():
                await self._take(frame, pieces)
            await self._send(pieces)

    async def _take(self, frame: Frame, pieces: list[bytes]) -> None:
        if frame.kind == "data":
            await self._data(frame.data, pieces)
        elif frame.kind == "head":
            await self._head(decode(Head, frame.data))
        else:
            end = decode(End, frame.data)
            last = b"" if end.continued else self._rest(end)
            await self._send([*pieces, last])
            pieces.clear()
            await self._end(end)

    async def _data(self, data: bytes, pieces: list[bytes]) -> None:
        """Between two slices everybody else has a turn; what comes out first does not wait for the others."""
        if self._stream is None or len(data) <= SLICE_BYTES:
            pieces.append(self._repaired(data))
            return
        for part in slices(data, is_beginning=not self._leg.frames):
            pieces.append(self._repaired(part))
            if not self._leg.frames:
                await self._send(pieces)
                pieces.clear()
            await anyio.lowlevel.checkpoint()

    async def _send(self, pieces: list[bytes]) -> None:
        data = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        if data:
            await self._leg.data(data)

    async def _head(self, head: Head) -> None:
        if self._first_end is not None:
            self._mute = head.status >= 300
            return
        is_stream = head.status < 300 and head.content_type.startswith(EVENT_STREAM)
        if is_stream:
            self._stream = StreamRepair(self._facts, self._job.repair)
        elif head.status < 300 and self._job.repair.enabled:
            self._plain = bytearray()
        await self._leg.head(msgspec.structs.replace(head, worker=self._worker.instance))

    def _repaired(self, data: bytes) -> bytes:
        """What can go on now."""
        if self._mute:
            return b""
        if self._stream is not None:
            return self._stream.feed(self._stitch.feed(data))
        if self._plain is None:
            return data
        self._plain += data
        if len(self._plain) <= PLAIN_BODY_BYTES:
            return b""
        held, self._plain = bytes(self._plain), None
        return held

    def _rest(self, end: End) -> bytes:
        """What is still owed at the end."""
        if self._stream is not None:
            rest = self._stream.feed(b"" if self._mute else self._stitch.finish())
            rest += self._ending(self._stream, end)
            self._repairs = self._stream.repairs
            return rest
        if self._plain is None:
            return b""
        if end.outcome != "complete":
            return bytes(self._plain)
        body, self._repairs = repair_completion(bytes(self._plain), self._facts, self._job.repair)
        if self._repairs:
            self._finish_reason = _first_finish_reason(body)
        return body

    def _ending(self, stream: StreamRepair, end: End) -> bytes:
        if end.outcome == "stopped":
            tells_usage = self._facts.include_usage or not self._job.request.stream
            return stream.stop(end.finish_reason or "stop", usage_json(self._usage(end)) if tells_usage else None)
        return stream.finish() if end.outcome == "complete" else stream.break_off()

    def _usage(self, end: End) -> Usage | None:
        """The tokens of all calls that the leg is made of."""
        return end.usage if self._first_end is None else added(self._spent, end.usage)

    async def _end(self, end: End) -> None:
        self._calls += end.calls
        if end.continued:
            self._go_on(end)
            return
        if self._repairs:
            await self._worker.event(self._job.id, "repaired", self._call, **self._repairs)
        await self._leg.end(self._whole(end))
        if end.next_call is None:
            self._over = True
        else:
            self._leg.turn_to(self._worker.subjects.leg(self._job.id, end.next_call, "normal", self._job.to))
            self._begin_afresh(end.next_call)

    def _says_done(self, end: End) -> bool:
        return self._job.repair.enabled or end.outcome == "stopped"

    def _go_on(self, end: End) -> None:
        """The call broke off, or the one that should go on with it came to nothing; another one goes on."""
        self._first_end = self._first_end or end
        self._last_call = end.next_call or self._last_call
        self._spent = added(self._spent, end.usage)
        self._stitch.go_on(end.usage)

    def _reason(self, is_whole: bool) -> str | None:
        """What the client is told, where that can be other than what the provider said."""
        if self._stream is None:
            return self._finish_reason
        return self._stream.finish_reason if is_whole else None

    def _whole(self, end: End) -> End:
        """The end of the normal leg, for all calls that it is made of."""
        first, stream = self._first_end, self._stream
        whole = end.is_well_formed
        outcome = "broken" if end.outcome == "refused" and first is not None else end.outcome
        return self._worker.end(
            self._leg,
            outcome,
            usage=self._usage(end),
            finish_reason=self._reason(whole) or end.finish_reason,
            completion_id=(first and first.completion_id) or end.completion_id,
            done_seen=end.done_seen or (stream is not None and whole and self._says_done(end)),
            error_sent=end.error_sent and not self._mute,
            first_byte_s=end.first_byte_s if first is None else first.first_byte_s,
            total_s=end.total_s,
            repairs=self._repairs,
            fault=end.fault,
            next_call=end.next_call,
            calls=self._calls,
            last_call=self._last_call,
        )


class _Choice(msgspec.Struct):
    finish_reason: str | None = None


class _Completion(msgspec.Struct):
    choices: list[_Choice]


def _first_finish_reason(completion: bytes) -> str | None:
    try:
        return next((one.finish_reason for one in msgspec.json.decode(completion, type=_Completion).choices), None)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None
