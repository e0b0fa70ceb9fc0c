"""Finished exchanges posted to a webhook, from a real NATS."""

from __future__ import annotations

import hmac
import json
from base64 import b64encode
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest_asyncio
from aiohttp import web
from structlog.testing import capture_logs

from services.recorder.main import recording
from services.recorder.poster import Receiver
from services.recorder.rules.redaction import Redaction
from services.recorder.webhook import Webhook
from services.recorder.worker import Rhythm
from shared.bus.nats import NatsBus
from shared.subjects import RECORDER_BUCKET, Subjects
from shared.worker import Identity, Worker
from tests.fixtures.exchanges import PLAIN, Script, plain, streamed

QUICK = Rhythm(wait_s=0.05, settle_s=0.0, sweep_every_s=0.05, abandoned_after_s=0.6)
SECRET = "a secret of the receiver's"


class Hook:
    """A receiver that answers as it is told, and keeps what it took."""

    def __init__(self) -> None:
        self.url = ""
        self.posts: list[tuple[dict[str, str], bytes]] = []
        self.attempts = 0
        self.answer: Callable[[bytes], int] = lambda _: 204

    async def take(self, request: web.Request) -> web.Response:
        self.attempts += 1
        body = await request.read()
        status = self.answer(body)
        if status < 300:
            self.posts.append((dict(request.headers), body))
        return web.Response(status=status)

    def exchanges(self) -> list[dict[str, Any]]:
        return [one for _, body in self.posts for one in json.loads(body)["exchanges"]]

    def ids(self) -> list[str]:
        return [one["id"] for one in self.exchanges()]


@pytest_asyncio.fixture
async def bus(nats_url: str, bus_root: str) -> AsyncIterator[NatsBus]:
    connected = await NatsBus.connect(nats_url, Subjects(bus_root), "test")
    await connected.ensure_capture(3600, 256 * 1024 * 1024)
    yield connected
    await connected.close()


@pytest_asyncio.fixture
async def hook() -> AsyncIterator[Hook]:
    hook, app = Hook(), web.Application(client_max_size=64 * 1024 * 1024)
    app.router.add_post("/hook", hook.take)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    hook.url = f"http://127.0.0.1:{runner.addresses[0][1]}/hook"
    yield hook
    await runner.cleanup()


@asynccontextmanager
async def posting(bus: NatsBus, root: str, hook: Hook, **options: Any) -> AsyncIterator[Webhook]:
    redaction, is_first = options.pop("redaction", None), options.pop("is_first", lambda: True)
    receiver = Receiver(url=hook.url, place="webhook 127.0.0.1", **options)
    sink = Webhook(bus, Subjects(root), receiver, "recorder-hook", QUICK, redaction, is_first)
    worker = Worker(bus, Subjects(root), Identity(service="recorder", instance="recorder-1", capacity=1))
    async with recording(worker, [sink], 5.0):
        yield sink


async def publish(bus: NatsBus, *scripts: Script) -> None:
    for subject, data, headers in (message for script in scripts for message in script.messages):
        await bus.publish(subject, data, headers or None)
    await bus.flush()


async def eventually(holds: Callable[[], bool | Awaitable[bool]]) -> None:
    with anyio.fail_after(20):
        while not await holding(holds):  # noqa: ASYNC110 - the sink decides when
            await anyio.sleep(0.01)


async def holding(holds: Callable[[], bool | Awaitable[bool]]) -> bool:
    found = holds()
    return found if isinstance(found, bool) else await found


async def test_each_finished_exchange_is_posted_once_in_batches(bus: NatsBus, bus_root: str, hook: Hook) -> None:
    scripts = [plain(f"ID{number:03}", PLAIN, bus_root) for number in range(120)]
    await publish(bus, *scripts)
    async with posting(bus, bus_root, hook):
        await eventually(lambda: len(hook.ids()) >= 120)

    assert hook.ids() == [script.id for script in scripts]
    assert len(hook.posts) == 3
    one = hook.exchanges()[0]
    assert (one["model"], one["status"], one["call_rows"][0]["call"]) == ("kimi-k2", 200, "c1")
    assert "bodies" not in one


async def test_a_post_is_signed_and_names_itself_the_same_each_time(bus: NatsBus, bus_root: str, hook: Hook) -> None:
    statuses = iter([503, 204])
    hook.answer = lambda _: next(statuses)
    await publish(bus, plain("A", PLAIN, bus_root))
    async with posting(bus, bus_root, hook, secret=SECRET):
        await eventually(lambda: len(hook.posts) == 1)

    ((headers, body),) = hook.posts
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    expected = b64encode(hmac.digest(SECRET.encode(), signed, "sha256")).decode()
    assert headers["webhook-signature"] == f"v1,{expected}"
    assert headers["idempotency-key"] == headers["webhook-id"]
    assert hook.attempts == 2


async def test_what_was_sent_goes_along_where_it_is_asked_for(bus: NatsBus, bus_root: str, hook: Hook) -> None:
    await publish(bus, streamed("A", 2, bus_root))
    async with posting(bus, bus_root, hook, with_bodies=True):
        await eventually(lambda: len(hook.posts) == 1)

    (one,) = hook.exchanges()
    assert one["bodies"]["c1.raw"]["text"] == "data: {raw 0 A}\n\ndata: {raw 1 A}\n\n"
    assert one["bodies"]["client.request"]["side"] == "client"


async def test_patterns_are_taken_out_before_anything_leaves(bus: NatsBus, bus_root: str, hook: Hook) -> None:
    await publish(bus, plain("A", b'{"card": "4111-1111"}', bus_root))
    async with posting(bus, bus_root, hook, with_bodies=True, redaction=Redaction([r"\d{4}-\d{4}"])):
        await eventually(lambda: len(hook.posts) == 1)

    assert b"4111" not in hook.posts[0][1]
    assert b"[redacted]" in hook.posts[0][1]


async def test_a_receiver_that_is_down_gets_everything_when_it_is_back(bus: NatsBus, bus_root: str, hook: Hook) -> None:
    up: list[bool] = []
    hook.answer = lambda _: 204 if up else 500
    with capture_logs() as told:
        async with posting(bus, bus_root, hook) as sink:
            await publish(bus, *(plain(f"ID{number}", PLAIN, bus_root) for number in range(60)))
            await eventually(lambda: hook.attempts >= 3)
            lag = await sink.lag()
            up.append(True)
            await eventually(lambda: len(hook.ids()) >= 60)

    assert lag is not None
    assert lag.messages == 60
    assert lag.behind_s > 0
    assert sorted(hook.ids()) == sorted(f"ID{number}" for number in range(60))
    assert [entry["event"] for entry in told if entry["event"] in ("recorder.waiting", "recorder.goes_on")] == [
        "recorder.waiting",
        "recorder.goes_on",
    ]


async def test_an_exchange_that_the_receiver_never_takes_holds_no_other(
    bus: NatsBus, bus_root: str, hook: Hook
) -> None:
    hook.answer = lambda body: 422 if b'"id":"BAD"' in body else 204
    await publish(bus, *(plain(id, PLAIN, bus_root) for id in ("A", "BAD", "B")))
    with capture_logs() as told:
        async with posting(bus, bus_root, hook):
            await eventually(lambda: len(hook.ids()) == 2)

    assert hook.ids() == ["A", "B"]
    assert [entry["exchange"] for entry in told if entry["event"] == "recorder.webhook_refused"] == ["BAD"]


async def test_what_was_accepted_is_not_posted_again_after_a_restart(bus: NatsBus, bus_root: str, hook: Hook) -> None:
    await publish(bus, plain("A", PLAIN, bus_root))
    async with posting(bus, bus_root, hook):
        await eventually(lambda: len(hook.posts) == 1)
    await publish(bus, plain("B", PLAIN, bus_root))
    async with posting(bus, bus_root, hook):
        await eventually(lambda: len(hook.posts) == 2)

    assert hook.ids() == ["A", "B"]


async def test_a_receiver_that_does_not_exist_is_waited_for(bus: NatsBus, bus_root: str, hook: Hook) -> None:
    there, hook.url = hook.url, "http://127.0.0.1:1/hook"
    await publish(bus, plain("A", PLAIN, bus_root))
    with capture_logs() as told:
        async with posting(bus, bus_root, hook):
            await eventually(lambda: any(entry["event"] == "recorder.waiting" for entry in told))

    assert there not in str(told)
    assert hook.posts == []


class TestExchangesWhoseIngressDied:
    """Nobody says that they are over."""

    async def test_one_is_posted_once_with_its_outcome_when_it_has_been_silent_for_long(
        self, bus: NatsBus, bus_root: str, hook: Hook
    ) -> None:
        await publish(bus, Script("LOST", bus_root).request().sent().head(), plain("A", PLAIN, bus_root))
        async with posting(bus, bus_root, hook):
            await eventually(lambda: len(hook.ids()) == 2)
            await publish(bus, Script("LOST2", bus_root).request())
            await eventually(lambda: len(hook.ids()) == 3)

        lost = hook.exchanges()[1]
        assert hook.ids() == ["A", "LOST", "LOST2"]
        assert (lost["state"], lost["outcome"], lost["error_code"]) == ("abandoned", "lost", "abandoned")
        assert (lost["model"], lost["call_rows"][0]["status"]) == ("kimi-k2", 200)

    async def test_it_is_not_posted_again_after_a_restart(self, bus: NatsBus, bus_root: str, hook: Hook) -> None:
        await publish(bus, Script("LOST", bus_root).request())
        async with posting(bus, bus_root, hook):
            await eventually(lambda: hook.ids() == ["LOST"])
            await eventually(lambda: is_noted(bus))
        await publish(bus, Script("LOST2", bus_root).request())
        async with posting(bus, bus_root, hook):
            await eventually(lambda: len(hook.ids()) == 2)

        assert hook.ids() == ["LOST", "LOST2"]

    async def test_one_that_still_speaks_is_left_alone_until_its_account_comes(
        self, bus: NatsBus, bus_root: str, hook: Hook
    ) -> None:
        script = Script("LONG", bus_root).request().sent().head()
        async with posting(bus, bus_root, hook):
            for _ in range(10):
                await publish(bus, script)
                script.messages.clear()
                script.data(b"more")
                await anyio.sleep(QUICK.abandoned_after_s / 5)  # it goes on for twice as long as silence may last
            await publish(bus, script.end().done())
            await eventually(lambda: len(hook.ids()) == 1)

        assert [one["state"] for one in hook.exchanges()] == ["done"]

    async def test_a_receiver_that_is_down_gets_it_when_it_is_back(
        self, bus: NatsBus, bus_root: str, hook: Hook
    ) -> None:
        up: list[bool] = []
        hook.answer = lambda _: 204 if up else 503
        await publish(bus, Script("LOST", bus_root).request())
        async with posting(bus, bus_root, hook):
            await eventually(lambda: hook.attempts >= 7)
            up.append(True)
            await eventually(lambda: hook.ids() == ["LOST"])

    async def test_one_that_the_receiver_never_takes_holds_no_other(
        self, bus: NatsBus, bus_root: str, hook: Hook
    ) -> None:
        hook.answer = lambda body: 422 if b'"id":"BAD"' in body else 204
        await publish(bus, *(Script(id, bus_root).request() for id in ("BAD", "LOST")))
        with capture_logs() as told:
            async with posting(bus, bus_root, hook):
                await eventually(lambda: any(entry["event"] == "recorder.webhook_refused" for entry in told))

        assert hook.ids() == ["LOST"]
        assert [entry["exchange"] for entry in told if entry["event"] == "recorder.webhook_refused"] == ["BAD"]

    async def test_of_several_recorders_one_looks(self, bus: NatsBus, bus_root: str, hook: Hook) -> None:
        await publish(bus, Script("LOST", bus_root).request())
        async with posting(bus, bus_root, hook, is_first=lambda: False):
            await anyio.sleep(QUICK.abandoned_after_s + 4 * QUICK.sweep_every_s)
            assert hook.ids() == []
            async with posting(bus, bus_root, hook):
                await eventually(lambda: hook.ids() == ["LOST"])

    async def test_patterns_are_taken_out_of_it_as_well(self, bus: NatsBus, bus_root: str, hook: Hook) -> None:
        script = Script("LOST", bus_root).request().sent().head().data(b'{"card": "4111-1111"}')
        await publish(bus, script)
        async with posting(bus, bus_root, hook, with_bodies=True, redaction=Redaction([r"\d{4}-\d{4}"])):
            await eventually(lambda: len(hook.posts) == 1)

        assert hook.exchanges()[0]["bodies"]["c1.raw"]["text"] == '{"card": "[redacted]"}'


async def is_noted(bus: NatsBus) -> bool:
    """Whether nothing is left to be posted, as the next recorder will read it."""
    noted = await (await bus.state(RECORDER_BUCKET)).get("recorder-hook.walk")
    return noted is not None and json.loads(noted)["open"] == []
