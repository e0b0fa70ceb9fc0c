"""What a worker tells the others of a provider."""

from __future__ import annotations

from typing import Any

import anyio

from services.upstream.board import Board
from services.upstream.rules.circuits import CLOSED, Circuit
from shared.bus.memory import MemoryBus, MemoryState
from shared.contracts import ProviderState, decode
from shared.subjects import PROVIDERS_BUCKET
from shared.worker import Identity, Worker
from tests.fixtures.spine import SUBJECTS, memory


class SlowAtFirst(MemoryBus):
    """The first question for a bucket takes longer than the next ones."""

    asked = answered = 0

    async def state(self, *args: Any, **more: Any) -> MemoryState:
        self.asked += 1
        await anyio.sleep(0.05 if self.asked == 1 else 0)
        self.answered += 1
        return await super().state(*args, **more)


async def test_what_is_stored_last_is_what_changed_last() -> None:
    async with memory() as server:
        bus = SlowAtFirst(server)
        worker = Worker(bus, SUBJECTS, Identity(service="upstream", instance="up-1", capacity=1))
        async with worker.running():
            board = Board(worker)
            board.set("p1", Circuit(state="open", until=1e12), None)
            board.set("p1", CLOSED, None)
            with anyio.fail_after(5):
                while bus.answered < 2:  # noqa: ASYNC110 - nobody tells
                    await anyio.sleep(0.01)
            await anyio.wait_all_tasks_blocked()
        stored = await (await MemoryBus(server).state(PROVIDERS_BUCKET)).entries()

    assert [decode(ProviderState, data).state for data in stored.values()] == ["closed"]
