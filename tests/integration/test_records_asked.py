"""Questions about responses over the bus: who answers, and what is said where nobody can."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import pytest

from services.ingress import records
from services.ingress.records import NotAnswered, recorded
from services.recorder import remembering
from services.recorder.remembering import Remembering
from shared.bus import Delivery
from shared.bus.memory import MemoryBus, MemoryServer
from shared.contracts import Recorded, encode
from shared.ids import new_id
from shared.subjects import Subjects
from shared.worker import Identity, Worker
from tests.fixtures.recording import url_in

ID = new_id()


@asynccontextmanager
async def working(*urls: str) -> AsyncIterator[Worker]:
    """A worker that asks and, with databases, answers itself."""
    subjects = Subjects()
    async with anyio.create_task_group() as tasks:
        worker = Worker(
            MemoryBus(MemoryServer(subjects, tasks)),
            subjects,
            Identity(service="recorder", instance="recorder-1", capacity=1),
        )
        async with worker.running():
            await Remembering(worker, urls).listen()
            yield worker
        tasks.cancel_scope.cancel()


async def test_without_a_recorder_that_has_a_database_nobody_answers() -> None:
    async with working() as worker:
        with pytest.raises(NotAnswered, match="no recorder with a database"):
            await recorded(worker, ID, None)


async def test_a_database_that_cannot_be_read_is_told_apart_from_one_that_has_nothing(tmp_path: Path) -> None:
    async with working(url_in(tmp_path)) as worker:
        with pytest.raises(NotAnswered, match="can't be read just now"):
            await recorded(worker, ID, None)


async def test_a_silent_recorder_is_waited_for_within_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(records, "WITHIN_S", 0.05)
    async with working() as worker:

        async def keep_silent(message: Delivery) -> None:
            assert message.reply

        await worker.bus.subscribe(worker.subjects.ask_records, keep_silent)

        with pytest.raises(NotAnswered, match=r"no recorder has answered within 0\.05 s"):
            await recorded(worker, ID, None)


async def test_an_answer_whose_claim_is_gone_is_none() -> None:
    async with working() as worker:

        async def answer(message: Delivery) -> None:
            await worker.bus.publish(message.reply, encode(Recorded(id=ID, claim="gone")))

        await worker.bus.subscribe(worker.subjects.ask_records, answer)

        with pytest.raises(NotAnswered, match="could not be read"):
            await recorded(worker, ID, None)


async def test_too_many_questions_are_sent_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remembering, "WAITING", 0)
    async with working(url_in(tmp_path)) as worker:
        with pytest.raises(NotAnswered, match="too many questions"):
            await recorded(worker, ID, None)


async def test_what_is_no_question_costs_nobody_anything(tmp_path: Path) -> None:
    async with working(url_in(tmp_path)) as worker:
        await worker.bus.publish(worker.subjects.ask_records, b"nonsense")

        with pytest.raises(NotAnswered, match="can't be read just now"):
            await recorded(worker, ID, None)
