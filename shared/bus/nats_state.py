"""States on a NATS server: a JetStream key-value bucket each."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

import nats.errors
from nats.js import JetStreamContext, api
from nats.js.errors import APIError, BucketNotFoundError, KeyNotFoundError, KeyWrongLastSequenceError

from shared.bus import BusUnavailable
from shared.bus.nats_feed import named

ENTRIES_TIMEOUT_S = 5.0
WATCH_POLL_S = 1.0  # nats-py's watcher is asked again after this; nothing is lost between two askings


class NatsState:
    """One bucket. Made by `ensure_bucket`."""

    def __init__(self, bucket: Any) -> None:
        self._bucket = bucket

    async def get(self, key: str) -> bytes | None:
        try:
            return (await self._bucket.get(key)).value or b""
        except KeyNotFoundError:
            return None
        except (nats.errors.Error, APIError) as error:
            raise BusUnavailable(f"a state could not be read: {named(error)}") from error

    async def put(self, key: str, value: bytes) -> None:
        try:
            await self._bucket.put(key, value)
        except (nats.errors.Error, APIError) as error:
            raise BusUnavailable(f"a state could not be stored: {named(error)}") from error

    async def create(self, key: str, value: bytes) -> bytes:
        while (there := await self.get(key)) is None:
            try:
                await self._bucket.create(key, value)
            except KeyWrongLastSequenceError:
                continue  # somebody else was faster
            except (nats.errors.Error, APIError) as error:
                raise BusUnavailable(f"a state could not be stored: {named(error)}") from error
        return there

    async def entries(self) -> dict[str, bytes]:
        found: dict[str, bytes] = {}
        try:
            watcher = await self._bucket.watchall(ignore_deletes=True)
            while (entry := await watcher.updates(timeout=ENTRIES_TIMEOUT_S)) is not None:
                found[entry.key] = entry.value or b""
            await watcher.stop()
        except (nats.errors.Error, APIError) as error:
            raise BusUnavailable(f"states could not be read: {named(error)}") from error
        return found

    async def watch(self) -> AsyncIterator[tuple[str, bytes]]:
        try:
            watcher = await self._bucket.watchall(ignore_deletes=True)
        except (nats.errors.Error, APIError) as error:
            raise BusUnavailable(f"states could not be watched: {named(error)}") from error
        try:
            while True:
                with suppress(nats.errors.TimeoutError):
                    entry = await watcher.updates(timeout=WATCH_POLL_S)
                    if entry is not None:  # None: that was all there is by now
                        yield entry.key, entry.value or b""
        finally:
            with suppress(nats.errors.Error):
                await watcher.stop()


async def ensure_bucket(js: JetStreamContext, name: str, max_age_s: float, max_bytes: int) -> Any:
    """The bucket, made if need be; raises BusUnavailable."""
    try:
        with suppress(BucketNotFoundError):
            return await js.key_value(name)
        await js.add_stream(_stream_of(name, max_age_s, max_bytes))
        return await js.key_value(name)
    except (nats.errors.Error, APIError) as error:
        raise BusUnavailable(f"the bucket {name} can't be made: {named(error)}") from error


def _stream_of(bucket: str, max_age_s: float, max_bytes: int) -> api.StreamConfig:
    """As nats-py makes it, but for one thing: where that refuses new values when it is full, this one lets go of the
    oldest, as the capture stream does. In one call, so that nobody needs the right to change a bucket."""
    return api.StreamConfig(
        name=f"KV_{bucket}",
        subjects=[f"$KV.{bucket}.>"],
        max_msgs_per_subject=1,
        max_age=max_age_s,
        max_bytes=max_bytes,
        storage=api.StorageType.FILE,
        discard=api.DiscardPolicy.OLD,
        allow_direct=True,
        allow_rollup_hdrs=True,
        deny_delete=True,
    )
