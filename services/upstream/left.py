"""What a worker that died in the middle of a job has left behind: its calls, as the capture stream has them."""

from __future__ import annotations

from typing import Any

from services.upstream.relay import Progress
from services.upstream.rules.continuation import TextSoFar
from services.upstream.rules.watch import StreamWatch
from shared.contracts import End, Head, Job, Resume, decode
from shared.course import Course
from shared.legs import Frame, FramesLost, LegReader
from shared.takeovers import worker_lost
from shared.worker import Worker

EVENT_STREAM = "text/event-stream"
PATIENCE_S = 1.0  # with the capture stream, which may be a moment behind the hot path


class Left:
    """The job's calls so far, up to the one that broke off. Takes their frames in order."""

    def __init__(self, resume: Resume, was_called: bool) -> None:
        self.call = resume.call
        self.fault = worker_lost(resume.worker)
        self.was_called = was_called  # a provider was asked, or was about to be
        self._texts: list[bytes | None] = []  # of the answer so far; None stands before each call
        self._begin_call()

    def _begin_call(self) -> None:
        self.frames = 0  # data frames of this call
        self.body_bytes = 0
        self._is_stream = False
        self._watch = StreamWatch()
        self._texts.append(None)

    def take(self, frame: Frame) -> None:
        if frame.kind == "data":
            self.frames += 1
            self.body_bytes += len(frame.data)
            if self._is_stream:
                self._watch.feed(frame.data)
                self._texts.append(frame.data)
        elif frame.kind == "head":
            head = decode(Head, frame.data)
            self._is_stream = head.status < 300 and head.content_type.startswith(EVENT_STREAM)
        else:
            self._end(decode(End, frame.data))

    def _end(self, end: End) -> None:
        if end.next_call is not None and not end.continued:
            self._texts.clear()
        self._begin_call()

    @property
    def is_whole(self) -> bool:
        """The provider had said all: only the leg's end is missing."""
        facts = self._watch.facts
        return facts.is_whole and facts.error is None

    def as_end(self) -> dict[str, Any]:
        """What the end of the broken leg says."""
        return {**Progress(facts=self._watch.facts).as_end(), "total_s": None}

    def text(self, into: TextSoFar) -> TextSoFar:
        """The text that the calls have said."""
        for piece in self._texts:
            if piece is None:
                into.begin_call()
            else:
                into.feed(piece)
        return into


async def left_of(worker: Worker, job: Job) -> Left:
    """Raises FramesLost where the capture stream doesn't have what the receiver has."""
    assert job.resume is not None  # noqa: S101 - for mypy
    resume, readers = job.resume, []

    def make(call: str) -> LegReader:
        readers.append(LegReader(worker.bus, worker.subjects.leg(job.id, call, "raw", job.to)))
        return readers[-1]

    sent = await worker.bus.history(worker.subjects.call_request(job.id, resume.call), 1, 1)
    course = Course(job.call, make, lambda _reader: None)
    left, taken = Left(resume, was_called=bool(sent)), 0
    while course.call != resume.call or taken < resume.frames:
        await course.reader.catch_up()
        call, frames = course.call, await course.frames(PATIENCE_S)
        if not frames:
            raise FramesLost(f"frame {taken} of {call} is not in the capture stream")
        if call == resume.call:
            frames = frames[: resume.frames - taken]
            taken += len(frames)
        for frame in frames:
            left.take(frame)
    return left
