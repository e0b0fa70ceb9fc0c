"""The memory of what models thought, shared by all upstream workers."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from contextlib import suppress

import anyio
import msgspec
import structlog

from services.upstream.adapters import Recalled, Replays, Thoughts
from services.upstream.rules.thoughts import History
from shared.bus import BusUnavailable, State

MAX_AGE_S = 7 * 24 * 3600.0  # a conversation that rests for longer goes on with a blank in their place
BUCKET_BYTES = 256 * 1024 * 1024
LOCAL_BYTES = 32 * 1024 * 1024  # this worker's own copy of what it has seen lately
RECALL_WITHIN_S = 2.0  # past it the request goes out with blanks
AT_ONCE = 32  # questions to the bus

log = structlog.get_logger("replay")
_decode = msgspec.json.Decoder(Thoughts).decode


class Replay:
    """Remembers thoughts by the tool call that they led to."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._local: OrderedDict[str, bytes] = OrderedDict()
        self._local_bytes = 0

    async def recall(self, history: History, wanted: Replays) -> Recalled:
        """The thoughts of every turn that lost them, as far as they are known."""
        forgotten = history.forgotten(wanted)
        found: dict[int, Thoughts] = {}
        limit = anyio.CapacityLimiter(AT_ONCE)

        async def look_up(at: int, key: str) -> None:
            async with limit:
                value = await self._get(key)
            if value is not None:
                with suppress(msgspec.DecodeError):  # of another version: as good as lost
                    found[at] = _decode(value)

        if forgotten:
            with anyio.move_on_after(RECALL_WITHIN_S) as scope:
                async with anyio.create_task_group() as tasks:
                    for at, key in forgotten.items():
                        tasks.start_soon(look_up, at, key)
            if scope.cancelled_caught:
                log.warning("replay.slow", found=len(found), wanted=len(forgotten))
        return found

    async def remember(self, found: Iterable[tuple[str, Thoughts]]) -> None:
        """Never fails: a call that went well must not end badly over what may be needed later."""
        for key, thoughts in found:
            value = msgspec.json.encode(thoughts)
            self._keep(key, value)
            try:
                await self._state.put(key, value)
            except BusUnavailable as error:
                log.warning("replay.not_stored", error=str(error))

    async def _get(self, key: str) -> bytes | None:
        if key in self._local:
            self._local.move_to_end(key)
            return self._local[key]
        try:
            value = await self._state.get(key)
        except BusUnavailable as error:
            log.warning("replay.not_read", error=str(error))
            return None
        if value is not None:
            self._keep(key, value)
        return value

    def _keep(self, key: str, value: bytes) -> None:
        self._local_bytes += len(value) - len(self._local.pop(key, b""))
        self._local[key] = value
        while self._local_bytes > LOCAL_BYTES:
            self._local_bytes -= len(self._local.popitem(last=False)[1])
