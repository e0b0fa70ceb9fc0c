"""New settings for the services of a running process.

All of it or nothing: what can't be read, or doesn't go together, leaves the running settings in force and says where
it is wrong. What can't change while the process runs is named.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Collection, Sequence

import anyio.to_thread
import structlog

from services.cli.orders import Order, Orders
from services.cli.watching import Watch
from shared import log
from shared.config import Loaded, Stamp, digest, merged
from shared.errors import ConfigError, MoontideError
from shared.worker import Worker

logger = structlog.get_logger("settings")


class Reloading:
    """Settings in force, and what puts others in their place."""

    def __init__(
        self,
        loaded: Loaded,
        load: Callable[[], Loaded],
        files: Callable[[], Collection[str]],
        watch: Watch,
        workers: Sequence[Worker],
    ) -> None:
        self.loaded = loaded
        self._load = load
        self._files = files
        self._watch = watch
        self._workers = workers
        self._generation = 1

    async def begin(self) -> None:
        """Every worker shows with what it starts."""
        await self._stamp()

    async def reload(self, _order: Order = Order.RELOAD) -> bool:
        """Whether new settings are in force."""
        self._watch.follow(await anyio.to_thread.run_sync(self._files))  # those of a refused attempt, too
        try:
            fresh, waiting = merged(self.loaded, await anyio.to_thread.run_sync(self._load))
            commits = [commit for worker in self._workers for commit in await worker.prepared(fresh)]
        except ConfigError as error:
            self._refused([str(problem) for problem in error.problems])
            return False
        except MoontideError as error:
            self._refused([str(error)])
            return False
        except Exception as error:
            logger.error("config.failed", exc_info=error)
            self._refused([f"the new settings could not be taken: {type(error).__name__}; the log says more"])
            return False
        for commit in commits:
            commit()
        self.loaded = fresh
        self._generation += 1
        logger.info(log.CONFIG_LOADED, settings=digest(fresh), generation=self._generation)
        for key in waiting:
            logger.warning(log.CONFIG_NEEDS_RESTART, key=key, why="it can't change while Moontide runs")
        await self._stamp()
        return True

    def _refused(self, problems: list[str]) -> None:
        for problem in problems:
            logger.error(log.CONFIG_REFUSED, problem=problem, in_force=f"generation {self._generation}, as before")

    async def _stamp(self) -> None:
        stamp = Stamp(digest(self.loaded), self._generation, time.time())
        for worker in self._workers:
            await worker.has_settings(stamp)


async def until_stopped(orders: Orders, reload: Callable[[Order], Awaitable[object]]) -> None:
    """Carries orders out until one says stop."""
    while (order := await orders.next()) is not Order.STOP:
        await reload(order)
