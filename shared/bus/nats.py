"""The bus on a NATS server. Only it and its parts, `nats_feed` and `nats_state`, import nats."""

from __future__ import annotations

import asyncio
import io
import json
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import anyio
import nats.errors
import structlog
from nats.aio.client import Client, RawCredentials
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription as NatsSubscription
from nats.js import JetStreamContext
from nats.js import api as js_api
from nats.js.errors import APIError, BucketNotFoundError, NotFoundError

from shared.bus import STATE_BYTES, BusUnavailable, Captured, Handler, NoReply, NoResponders, NoSuchClaim
from shared.bus.nats_feed import NatsFeed, captured, named
from shared.bus.nats_recent import Recent
from shared.bus.nats_state import NatsState, ensure_bucket
from shared.frames import FRAME_HEADER
from shared.secrets import scrub
from shared.subjects import Subjects

PENDING_BYTES = 32 * 1024 * 1024  # outgoing bytes kept while the server is away; past it a publish fails
CLAIM_CHUNK_BYTES = 512 * 1024
FEED_ACK_WAIT_S = 60.0  # an unacknowledged batch comes again after this
FEED_ACK_PENDING = 100_000  # messages on their way to a feed's readers
API_TIMEOUT_S = 5.0
CLOSE_WITHIN_S = 2.0
HISTORY_TIMEOUT_S = 5.0
FOLLOW_ATTEMPTS = 10
FOLLOW_PAUSE_S = 0.1
REPAIR_WITHIN_S = 10.0  # a server that has just started reads its streams first
REPAIR_PAUSE_S = 0.1

log = structlog.get_logger("bus")


class NatsBus:
    """One connection. Made by `connect`."""

    def __init__(self, client: Client, subjects: Subjects) -> None:
        self._nc = client
        self._js: JetStreamContext = client.jetstream(timeout=API_TIMEOUT_S)
        self._subjects = subjects
        self._stream = subjects.stream
        self._bucket = f"{self._stream}_bodies"
        self._store: Any = None
        self._closing = False
        self._connections = 0  # so far; each but the first was a reconnection
        self._notify: list[Callable[[], None]] = []
        self._recent = Recent(FRAME_HEADER)

    @classmethod
    async def connect(
        cls,
        url: str,
        subjects: Subjects,
        name: str,
        user: str | None = None,
        password: str | None = None,
        credentials: str | None = None,
        patience_s: float = 5.0,
        inbox: str = "_INBOX",
    ) -> NatsBus:
        """A connection that comes back by itself; raises BusUnavailable when none can be had in `patience_s`.

        Answers come in below `inbox`.
        """
        client = Client()
        bus = cls(client, subjects)

        told: set[str] = set()  # since the connection was lost: attempts come ten times a second

        async def reconnected() -> None:
            log.info("bus.reconnected")
            told.clear()
            bus._connections += 1
            for notify in bus._notify:
                notify()
            await bus._publish_what_was_lost()

        async def disconnected() -> None:
            bus._recent.lose(time.time())
            if bus._connections and not bus._closing:
                log.warning("bus.disconnected")

        async def failed(error: Exception) -> None:
            if not bus._connections or bus._closing:  # before the first connection `connect` raises
                return
            why = named(error)
            if client.is_connected or why not in told:
                log.warning("bus.error", error=why)
            told.add(why)

        options: dict[str, Any] = {
            "servers": url,
            "name": name,
            "max_reconnect_attempts": -1,
            "reconnect_time_wait": 0.1,
            "pending_size": PENDING_BYTES,
            "reconnected_cb": reconnected,
            "disconnected_cb": disconnected,
            "error_cb": failed,
            "user": user,
            "password": password,
            "inbox_prefix": inbox,
            "user_credentials": RawCredentials(credentials) if credentials else None,
        }
        await _connect(client, options, url, patience_s)
        bus._connections = 1
        return bus

    @property
    def max_payload(self) -> int:
        return int(self._nc.max_payload)

    @property
    def is_connected(self) -> bool:
        return bool(self._nc.is_connected)

    async def publish(self, subject: str, data: bytes, headers: dict[str, str] | None = None) -> None:
        try:
            await self._nc.publish(subject, data, headers=headers)
        except nats.errors.Error as error:
            raise BusUnavailable(f"publishing to {subject} failed: {named(error)}") from error
        self._recent.add((subject, data, headers))

    async def _publish_what_was_lost(self) -> None:
        """After a reconnection: what the server had not read, or not stored, when it died."""
        with anyio.move_on_after(REPAIR_WITHIN_S) as scope:
            while True:
                try:
                    await self._nc.flush()  # first what nats-py had not written yet
                    lost = await self._recent.missing(f"{self._subjects.root}.req.", self._last_of)
                    break
                except (BusUnavailable, nats.errors.Error):
                    await anyio.sleep(REPAIR_PAUSE_S)
            for subject, data, headers in lost:
                await self.publish(subject, data, headers)  # type: ignore[arg-type]
            if lost:
                log.warning("bus.published_again", messages=len(lost))
        if scope.cancelled_caught:
            log.warning("bus.not_compared", after_s=REPAIR_WITHIN_S)

    async def _last_of(self, subjects: list[str], before: float) -> list[Captured]:
        until = datetime.fromtimestamp(before, UTC).isoformat()
        return await self._direct_get({"multi_last": subjects, "up_to_time": until}, len(subjects))

    async def subscribe(self, subject: str, handler: Handler, queue: str = "") -> _Leavable:
        async def deliver(message: Msg) -> None:
            await handler(message)

        return _Leavable(await self._nc.subscribe(subject, queue=queue, cb=deliver))

    async def request(self, subject: str, data: bytes, timeout_s: float) -> bytes:
        try:
            answer = await _cancellable(self._nc.request(subject, data, timeout=timeout_s))
        except nats.errors.NoRespondersError as error:
            raise NoResponders(subject) from error
        except nats.errors.TimeoutError as error:
            raise NoReply(subject) from error
        except nats.errors.Error as error:
            raise BusUnavailable(named(error)) from error
        return bytes(answer.data)

    async def flush(self) -> None:
        try:
            with anyio.CancelScope(shield=True):  # nats-py loses its connection over an abandoned flush
                await self._nc.flush()
        except nats.errors.Error as error:
            raise BusUnavailable(named(error)) from error

    def on_reconnect(self, notify: Callable[[], None]) -> None:
        self._notify.append(notify)

    async def ensure_capture(self, max_age_s: float, max_bytes: int) -> None:
        config = js_api.StreamConfig(
            name=self._stream,
            description="Everything about every request, as it passed",
            subjects=[self._subjects.captured],
            max_age=max_age_s,
            max_bytes=max_bytes,
            storage=js_api.StorageType.FILE,
            discard=js_api.DiscardPolicy.OLD,
            allow_direct=True,
        )
        try:
            await self._ensure_stream(config)
            self._store = await self._ensure_store(max_age_s, max_bytes)
        except (nats.errors.Error, APIError) as error:
            raise BusUnavailable(f"the capture stream can't be made: {named(error)}") from error

    async def _ensure_stream(self, config: js_api.StreamConfig) -> None:
        try:
            await self._js.add_stream(config)
        except APIError:
            await self._js.update_stream(config)

    async def _ensure_store(self, max_age_s: float, max_bytes: int) -> Any:
        with suppress(NotFoundError, BucketNotFoundError):
            return await self._js.object_store(self._bucket)
        config = js_api.StreamConfig(  # nats-py's own refuses new bodies when it is full; ours lets go of the oldest
            name=f"OBJ_{self._bucket}",
            subjects=[f"$O.{self._bucket}.C.>", f"$O.{self._bucket}.M.>"],
            max_age=max_age_s,
            max_bytes=max_bytes,
            storage=js_api.StorageType.FILE,
            discard=js_api.DiscardPolicy.OLD,
            allow_direct=True,
            allow_rollup_hdrs=True,
        )
        await self._js.add_stream(config)
        return await self._js.object_store(self._bucket)

    async def history(self, subject_filter: str, first_seq: int = 1, limit: int = 512) -> list[Captured]:
        ask = {"seq": first_seq, "next_by_subj": subject_filter, "batch": limit}
        return await self._direct_get(ask, limit)

    async def _direct_get(self, ask: dict[str, Any], limit: int) -> list[Captured]:
        inbox = self._nc.new_inbox()
        subscription = await self._nc.subscribe(inbox)
        found: list[Captured] = []
        try:
            await self._nc.publish(f"$JS.API.DIRECT.GET.{self._stream}", json.dumps(ask).encode(), reply=inbox)
            while len(found) < limit:
                message = await _cancellable(subscription.next_msg(timeout=HISTORY_TIMEOUT_S))
                if "Nats-Sequence" not in (message.headers or {}):
                    break  # 204: the end of the batch, 404: nothing at all
                found.append(_direct(message))
        except nats.errors.Error as error:
            raise BusUnavailable(f"the capture stream doesn't answer: {named(error)}") from error
        finally:
            with suppress(nats.errors.Error):
                await subscription.unsubscribe()
        return found

    async def follow(self, subject_filter: str) -> AsyncIterator[Captured]:
        seq = 0
        while True:  # once for each connection: the server forgets an ordered consumer when it restarts
            connection = self._connections
            subscription = await self._ordered(subject_filter, seq + 1)
            try:
                while connection == self._connections:
                    with suppress(TimeoutError):
                        message = captured(await subscription.next_msg(timeout=1.0))
                        if message.seq > seq:
                            seq = message.seq
                            yield message
            finally:
                with suppress(nats.errors.Error):
                    await subscription.unsubscribe()

    async def _ordered(self, subject_filter: str, first_seq: int) -> NatsSubscription:
        policy = js_api.DeliverPolicy.BY_START_SEQUENCE
        config = js_api.ConsumerConfig(deliver_policy=policy, opt_start_seq=first_seq)
        why = ""
        for attempt in range(FOLLOW_ATTEMPTS):
            if attempt:
                await anyio.sleep(FOLLOW_PAUSE_S)
            try:
                return await self._js.subscribe(
                    subject_filter, stream=self._stream, ordered_consumer=True, config=config
                )
            except (nats.errors.Error, APIError) as error:  # JetStream is up a moment after its server
                why = named(error)
        raise BusUnavailable(f"the capture stream can't be followed: {why}")

    async def feed(self, name: str, subject_filter: str | None = None) -> NatsFeed:
        config = js_api.ConsumerConfig(
            durable_name=name,
            ack_policy=js_api.AckPolicy.EXPLICIT if subject_filter else js_api.AckPolicy.ALL,
            ack_wait=FEED_ACK_WAIT_S,
            max_ack_pending=FEED_ACK_PENDING,
            filter_subject=subject_filter or self._subjects.captured,
        )
        try:
            await self._ensure_consumer(name, config)
            feed = NatsFeed(self._nc, self._js, self._stream, name)
            await feed.listen()
        except (nats.errors.Error, APIError) as error:
            raise BusUnavailable(f"the feed {name} can't be made: {named(error)}") from error
        self.on_reconnect(feed.ask_again)
        return feed

    async def _ensure_consumer(self, name: str, config: js_api.ConsumerConfig) -> None:
        """Makes the feed's consumer where there is none. One that is there is left alone: somebody may be reading from
        it. What a reader that died still held comes again after FEED_ACK_WAIT_S, which nobody has to wait for: it is
        in the stream, and every reader knows what it has."""
        try:
            await self._js.consumer_info(self._stream, name)
        except NotFoundError:
            await self._js.add_consumer(self._stream, config)

    async def put_claim(self, name: str, data: bytes) -> None:
        options = js_api.ObjectMetaOptions(max_chunk_size=CLAIM_CHUNK_BYTES)
        try:
            store = await self._object_store()
            await store.put(name, data, js_api.ObjectMeta(name=name, options=options))
        except (nats.errors.Error, APIError) as error:
            raise BusUnavailable(f"a body could not be stored: {named(error)}") from error

    async def get_claim(self, name: str) -> bytes:
        into = io.BytesIO()
        try:
            store = await self._object_store()
            await store.get(name, writeinto=into)
        except NotFoundError as error:
            raise NoSuchClaim(name) from error
        except (nats.errors.Error, APIError) as error:
            raise BusUnavailable(f"the body {name} could not be fetched: {named(error)}") from error
        return into.getvalue()

    async def _object_store(self) -> Any:
        if self._store is None:
            self._store = await self._js.object_store(self._bucket)
        return self._store

    async def state(self, bucket: str, max_age_s: float = 0.0, max_bytes: int = STATE_BYTES) -> NatsState:
        return NatsState(await ensure_bucket(self._js, f"{self._stream}_{bucket}", max_age_s, max_bytes))

    async def close(self) -> None:
        self._closing = True
        # wait_for of Python 3.11 may lose the cancellation of an attempt to connect that fails in the same moment, and
        # nats-py would go on trying for ever: so it gives up by itself too
        self._nc.options["max_reconnect_attempts"] = 1
        # with the server gone nats-py raises TypeError, or RuntimeError where uvloop has closed its socket
        # and may wait for ever for a socket that has closed itself
        with suppress(nats.errors.Error, TypeError, RuntimeError, OSError), anyio.move_on_after(CLOSE_WITHIN_S):
            await self._nc.close()


class _Leavable:
    def __init__(self, subscription: NatsSubscription) -> None:
        self._subscription = subscription

    async def leave(self) -> None:
        with suppress(nats.errors.Error), anyio.CancelScope(shield=True):  # it flushes, see `flush`
            await self._subscription.drain()  # type: ignore[no-untyped-call]


async def _connect(client: Client, options: dict[str, Any], url: str, patience_s: float) -> None:
    why = "no answer"
    with anyio.move_on_after(patience_s):
        while True:
            try:
                # with reconnection allowed, a first connect would try for ever
                await client.connect(**{**options, "allow_reconnect": True, "max_reconnect_attempts": 1})
            except (nats.errors.Error, OSError) as error:
                why = named(error)
                if "uthorization" in why:
                    break
                await anyio.sleep(0.1)
            else:
                client.options["max_reconnect_attempts"] = -1
                return
    raise BusUnavailable(f"no NATS server at {scrub(url)}: {why}")


async def _cancellable(waiting: Awaitable[Msg]) -> Msg:
    """nats-py waits with `wait_for`, which before Python 3.12 loses a cancellation that comes with a result."""
    task = asyncio.current_task()
    assert task is not None  # noqa: S101 - for mypy
    before = task.cancelling()
    try:
        return await waiting
    finally:
        if task.cancelling() > before and not isinstance(sys.exception(), asyncio.CancelledError):
            await anyio.lowlevel.checkpoint_if_cancelled()  # an anyio scope raises here
            raise asyncio.CancelledError


def _direct(message: Msg) -> Captured:
    headers: Mapping[str, str] = message.headers or {}
    return Captured(
        seq=int(headers["Nats-Sequence"]),
        subject=headers["Nats-Subject"],
        data=message.data,
        at=datetime.fromisoformat(headers["Nats-Time-Stamp"]).timestamp(),
        headers=headers,
    )
