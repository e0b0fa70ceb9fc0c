"""What a running process is told to do: stop, or take its settings anew.

SIGINT and SIGTERM stop. SIGHUP means new settings, as it does for every server, except where the terminal that the
process was started from has been closed: then it is the terminal's last word, and stops. `nohup` ignores it.
"""

from __future__ import annotations

import os
import signal
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from enum import Enum
from typing import Any

import anyio

PARENT_LOOK_S = 1.0
HANGUP: signal.Signals | None = getattr(signal, "SIGHUP", None)  # not on Windows


class Order(Enum):
    STOP = "stop"  # they are carried out in this order
    RELOAD_ALL = "reload all"  # here, and in the processes that belong to this one
    RELOAD = "reload"


class Orders:
    """The orders that came and were not carried out yet; the same one twice is one."""

    def __init__(self) -> None:
        self._given: set[Order] = set()
        self._one_came = anyio.Event()

    def give(self, order: Order) -> None:
        self._given.add(order)
        self._one_came.set()

    async def next(self) -> Order:
        """The most urgent one; waits until there is one."""
        while not self._given:
            self._one_came = anyio.Event()
            await self._one_came.wait()
        order = next(order for order in Order if order in self._given)
        self._given.discard(order)
        return order

    async def until_stop(self) -> None:
        """Returns when there is an order to stop, and leaves it there."""
        while Order.STOP not in self._given:
            self._one_came = anyio.Event()
            await self._one_came.wait()


Source = Callable[[Orders], Coroutine[Any, Any, None]]
"""Gives orders until it is cancelled."""


@asynccontextmanager
async def listening_for_orders(parent: int | None = None, *sources: Source) -> AsyncIterator[Orders]:
    """Signals, the death of the parent that is named, and whatever the sources say, while the block lasts."""
    orders = Orders()
    async with anyio.create_task_group() as tasks:
        await tasks.start(_signals, orders)
        if parent is not None:
            tasks.start_soon(_stop_without, parent, orders)
        async with listening_to(orders, *sources):
            yield orders
        tasks.cancel_scope.cancel()


@asynccontextmanager
async def listening_to(orders: Orders, *sources: Source) -> AsyncIterator[None]:
    """What the sources say are orders too, while the block lasts."""
    async with anyio.create_task_group() as tasks:
        for source in sources:
            tasks.start_soon(source, orders)
        try:
            yield
        finally:
            tasks.cancel_scope.cancel()


async def _signals(orders: Orders, *, task_status: anyio.abc.TaskStatus[None]) -> None:
    had_terminal = has_terminal()
    with anyio.open_signal_receiver(*heeded()) as signals:
        task_status.started()
        async for number in signals:
            is_reload = number == HANGUP and (not had_terminal or has_terminal())
            orders.give(Order.RELOAD_ALL if is_reload else Order.STOP)


def heeded() -> list[signal.Signals]:
    listens = HANGUP is not None and signal.getsignal(HANGUP) is not signal.SIG_IGN
    return [signal.SIGINT, signal.SIGTERM, *([HANGUP] if HANGUP is not None and listens else [])]


def has_terminal() -> bool:
    """Whether the process has a controlling terminal: one that was closed is none any more."""
    try:
        os.close(os.open("/dev/tty", os.O_RDWR | getattr(os, "O_NOCTTY", 0)))
    except OSError:
        return False
    return True


async def _stop_without(parent: int, orders: Orders) -> None:
    """A killed `up` can't stop its workers: an orphan has another parent (not so on Windows)."""
    while os.getppid() == parent:  # noqa: ASYNC110 - nothing tells
        await anyio.sleep(PARENT_LOOK_S)
    orders.give(Order.STOP)
