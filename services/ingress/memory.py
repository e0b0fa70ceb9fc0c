"""What the capture stream still knows of earlier requests. Nothing is kept here."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterable
from contextlib import aclosing

import anyio
import msgspec
from anyio.streams.memory import MemoryObjectSendStream

from services.ingress.dialects import RESPONSES
from services.ingress.dialects.base import AnswerCodec
from services.ingress.dialects.conversation import Json
from services.ingress.dialects.responses import Earlier, ResponsesAnswering
from services.ingress.rules.recall import Recall
from shared.assembly import Assembly
from shared.bodies import get_body
from shared.bus import Captured
from shared.contracts import Fault
from shared.errors import Refused
from shared.ids import is_id
from shared.whole_answers import as_stream
from shared.worker import Worker

PAGE = 512  # messages read at a time
KNOWN_WITHIN_S = 2.0
WAITING = 64  # messages on their way from the bus to a slow client


class Remembered:
    """One response: how its answer is told again, and whose it is."""

    def __init__(self, recall: Recall, answering: ResponsesAnswering, data: bytes, canonical: bytes) -> None:
        self.recall = recall
        self.answering = answering
        self._data = data
        self._canonical = canonical

    def response(self) -> Json:
        """The response object as of now."""
        codec = self.answering.codec()
        told = Retelling(codec, self.recall)
        told.feed(self._data)
        told.finish()
        return codec.response

    def earlier(self) -> Earlier:
        """The conversation up to here; raises Refused where there is no answer to build upon."""
        last = self.recall.last
        if last is None or not last.is_well_formed:
            raise Refused(not_found(f"resp_{self.answering.frame.id}", "It has no answer (yet)."))
        completion = self._data
        if self.recall.is_stream:
            assembly = Assembly()
            assembly.feed(self._data)
            completion = assembly.completion(is_cut=last.outcome == "stopped")
        message = msgspec.json.decode(completion)["choices"][0]["message"]
        kept = ("role", "content", "reasoning_content", "tool_calls")
        answer = {name: message[name] for name in kept if message.get(name) is not None}
        messages = msgspec.json.decode(self._canonical)["messages"]
        own = messages[self.answering.frame.request.instruction_count :]
        return Earlier(messages=[*own, answer], output=self.response()["output"])


class Retelling:
    """An answer that comes out of the capture stream, in its dialect again."""

    def __init__(self, codec: AnswerCodec, recall: Recall) -> None:
        self._codec = codec
        self._recall = recall
        self._attempt = recall.attempt
        self._held = bytearray()  # a whole completion, where the provider gave no stream

    def feed(self, data: bytes) -> bytes:
        if self._recall.attempt != self._attempt:
            self._attempt = self._recall.attempt
            self._held.clear()
            self._codec.restart()
        if self._recall.is_stream:
            return self._codec.feed(data)
        self._held += data
        return b""

    def finish(self) -> bytes:
        last = self._recall.last
        if last is None:
            return b""
        whole = self._codec.feed(as_stream(bytes(self._held))) if self._held and last.is_well_formed else b""
        return whole + self._codec.finish(last)


class Memory:
    def __init__(self, worker: Worker, max_age_s: float) -> None:
        self._worker = worker
        self._max_age_s = max_age_s

    async def remembered(self, name: str, client: str | None) -> Remembered:
        """By the id of a response or of one of its items; raises Refused where there is none of this client."""
        id = request_id(name)
        if id is None:
            raise Refused(self.not_found(name))
        recall, data = await self._recall(id)
        request = recall.request
        if request is None or request.client != client or recall.is_deleted or request.dialect != RESPONSES.name:
            raise Refused(self.not_found(name))
        if recall.canonical is None:  # it was refused
            raise Refused(self.not_found(name))
        answering = RESPONSES.answering_of(await get_body(self._worker.bus, request.body), id, request.at)
        if answering.frame.request.wire.store is False:
            raise Refused(self.not_found(name))
        canonical = await get_body(self._worker.bus, recall.canonical.body)
        return Remembered(recall, answering, data, canonical)

    async def earlier(self, names: Iterable[str], client: str | None) -> dict[str, Earlier]:
        return {name: (await self.remembered(name, client)).earlier() for name in names}

    def not_found(self, name: str) -> Fault:
        return not_found(name, f"Responses are remembered for {self._max_age_s:g} s (bus.capture.max_age_s).")

    async def until_known(self, id: str) -> None:
        """Waits until a request that was just begun can be found."""
        with anyio.move_on_after(KNOWN_WITHIN_S):
            while not await self._worker.bus.history(self._worker.subjects.request(id), 1, 1):  # noqa: ASYNC110
                await anyio.sleep(0.005)

    async def _recall(self, id: str) -> tuple[Recall, bytes]:
        bus, subjects = self._worker.bus, self._worker.subjects
        recall, attempt, seq = Recall(), 0, 0
        pieces: list[bytes] = []
        while page := await bus.history(subjects.of_request(id), seq + 1, PAGE):
            for captured in page:
                pieces.append(self._taken(recall, captured))
                if recall.attempt != attempt:
                    attempt = recall.attempt
                    pieces.clear()
            seq = page[-1].seq
        return recall, b"".join(pieces)

    def _taken(self, recall: Recall, captured: Captured) -> bytes:
        topic = self._worker.subjects.below_request(captured.subject)[1:]
        return recall.take(topic, captured.headers, captured.data)

    async def follow(self, id: str, recall: Recall, patience_s: float | None) -> AsyncGenerator[bytes | None, None]:
        """The answer from its beginning, then as it comes, until it is over; None after each silence."""
        send, receive = anyio.create_memory_object_stream[Captured](WAITING)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._pump, id, send)
            try:
                while not recall.is_over:
                    captured: Captured | None = None
                    with anyio.move_on_after(patience_s):
                        captured = await receive.receive()
                    yield None if captured is None else self._taken(recall, captured)
            finally:
                receive.close()
                tasks.cancel_scope.cancel()

    async def _pump(self, id: str, send: MemoryObjectSendStream[Captured]) -> None:
        with send:
            async with aclosing(self._worker.bus.follow(self._worker.subjects.of_request(id))) as captured:  # type: ignore[type-var]
                async for message in captured:
                    await send.send(message)


def request_id(name: str) -> str | None:
    """`resp_<id>` and `rs_<id>_0` are of the request `<id>`."""
    parts = name.split("_")
    return parts[1] if len(parts) in (2, 3) and is_id(parts[1]) else None


def not_found(name: str, why: str) -> Fault:
    message = f"Response with id {name!r} not found. {why}"
    return Fault(status=404, code="response_not_found", type="invalid_request_error", message=message, param="id")
