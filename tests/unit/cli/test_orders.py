"""What a running process is told, and in which order it obeys."""

from __future__ import annotations

import anyio

from services.cli.orders import Order, Orders


async def test_to_stop_goes_first_and_the_same_order_twice_is_one() -> None:
    orders = Orders()
    for order in (Order.RELOAD, Order.RELOAD_ALL, Order.RELOAD, Order.STOP):
        orders.give(order)

    assert [await orders.next() for _ in range(3)] == [Order.STOP, Order.RELOAD_ALL, Order.RELOAD]
    with anyio.move_on_after(0) as scope:
        await orders.next()
    assert scope.cancelled_caught


async def test_an_order_wakes_who_waits_for_one() -> None:
    orders, obeyed = Orders(), []

    async def wait() -> None:
        obeyed.append(await orders.next())

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(wait)
        await anyio.lowlevel.checkpoint()
        orders.give(Order.RELOAD)

    assert obeyed == [Order.RELOAD]
