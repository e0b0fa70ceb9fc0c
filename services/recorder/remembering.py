"""What the records have of a response, asked over the bus: for an ingress, which reads no database.

A question costs a thread and a reader's connection of its own, so few are answered at a time, some wait, and the
others are told to come again: writing never waits for any.
"""

from __future__ import annotations

from collections.abc import Sequence

import anyio
import msgspec
import structlog
from anyio.to_thread import run_sync

from services.recorder.rules.bodies import CLIENT_REQUEST
from services.recorder.rules.retelling import CANONICAL, answering_part, is_told, recorded
from shared.bodies import ENVELOPE_BYTES
from shared.bus import BusUnavailable, Delivery
from shared.contracts import Ask, Recorded, decode, encode
from shared.records.database import NoRecords, RecordsUnavailable
from shared.records.queries import NotFound, Records, reading
from shared.subjects import RECORDS_QUEUE
from shared.worker import Worker

AT_ONCE = 2
BUSY = "the recorder has too many questions to answer"
WAITING = 64  # questions in hand, those that wait included
ANSWER_BYTES = 128 * 1024 * 1024  # of one response: a request may have 32 MiB, and is kept in two forms

log = structlog.get_logger("recorder")


class Remembering:
    """Answers out of the first of the databases that has the exchange."""

    def __init__(self, worker: Worker, urls: Sequence[str]) -> None:
        self._worker = worker
        self._urls = urls
        self._limiter = anyio.CapacityLimiter(AT_ONCE)
        self._in_hand = 0

    async def listen(self) -> None:
        """Only who has a database answers at all."""
        if self._urls:
            await self._worker.bus.subscribe(self._worker.subjects.ask_records, self._on_ask, queue=RECORDS_QUEUE)

    async def _on_ask(self, message: Delivery) -> None:
        if self._in_hand >= WAITING:
            await self._reply(
                message.reply, Recorded(id="", unavailable="the recorder has too many questions to answer")
            )
            return
        self._in_hand += 1
        self._worker.start_soon(self._answer, message.reply, message.data)

    async def _answer(self, reply: str, data: bytes) -> None:
        try:
            await self._reply(reply, await self._found(decode(Ask, data)))
        except msgspec.DecodeError as error:
            log.warning("recorder.unreadable_question", error=str(error))
        except BusUnavailable as error:
            log.warning("recorder.answer_lost", error=str(error))
        except Exception as error:  # noqa: BLE001 - the boundary: one question's defect is not the recorder's end
            log.error("recorder.question_failed", error=repr(error)[:500])
        finally:
            self._in_hand -= 1

    async def _found(self, ask: Ask) -> Recorded:
        silent = Recorded(id=ask.id)
        for url in self._urls:
            try:
                found = await run_sync(response_in, url, ask, limiter=self._limiter)
            except (NoRecords, RecordsUnavailable) as error:
                log.warning("recorder.question_unanswered", error=str(error))
                silent = Recorded(id=ask.id, unavailable="the records can't be read just now")
                continue
            if found is not None:
                return found
        return silent

    async def _reply(self, subject: str, found: Recorded) -> None:
        bus, encoded = self._worker.bus, encode(found)
        if found.request is not None and len(encoded) > bus.max_payload - ENVELOPE_BYTES:
            name = f"recorded-{found.request.id}"  # the same each time: asking often fills no store
            await bus.put_claim(name, encoded)
            encoded = encode(Recorded(id=found.id, claim=name))
        await bus.publish(subject, encoded)


def response_in(url: str, ask: Ask) -> Recorded | None:
    """What one database has of it; raises NoRecords or RecordsUnavailable. It blocks."""
    with reading(url) as records:
        return told_again(records, ask)


def told_again(records: Records, ask: Ask) -> Recorded | None:
    """What it takes to tell a response again."""
    try:
        row = records.get(ask.id, "id")
    except NotFound:
        return None
    if row["id"] != ask.id or not is_told(row, ask.client, records.events(ask.id)):
        return None
    return _read(records, ask.id, row)


def _read(records: Records, id: str, row: dict[str, object]) -> Recorded | None:
    sizes = records.sizes(id)
    answering = answering_part(list(sizes), records.calls(id))
    names = [name for name in (CLIENT_REQUEST, CANONICAL, answering) if name in sizes]
    if sum(sizes[name] for name in names) > ANSWER_BYTES:
        return Recorded(id=id, unavailable=f"it is larger than {ANSWER_BYTES} bytes")
    return recorded(row, answering, records.parts(id, names))
