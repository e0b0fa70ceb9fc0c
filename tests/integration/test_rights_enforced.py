"""What a user has no right to, the server doesn't do: the users of `moontide nats-config` on a real server."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import anyio
import pytest

from shared.bus import Delivery, NoReply
from shared.bus.nats import NatsBus
from shared.rights import inbox_of
from shared.subjects import Subjects
from tests.fixtures.apart import guarded_nats, url_of, violations
from tests.fixtures.embedded import NatsServer
from tests.fixtures.granted import RIGHTS, every_subject, may_say

SUBJECTS = Subjects()
PURGE = "$JS.API.STREAM.PURGE.MOONTIDE"
LIMIT_S = 10.0
LAST = "nobody.may.say.this"


@pytest.fixture(scope="module")
def server() -> Iterator[NatsServer]:
    with guarded_nats() as guarded:
        yield guarded


@asynccontextmanager
async def connected(server: NatsServer, user: str) -> AsyncIterator[NatsBus]:
    bus = await NatsBus.connect(url_of(server, user), SUBJECTS, user, inbox=inbox_of(user))
    try:
        yield bus
    finally:
        await bus.close()


async def hear_nothing(message: Delivery) -> None:
    raise AssertionError(message.subject)


async def until_refused(server: NatsServer, before: int, kind: str, subject: str) -> None:
    with anyio.fail_after(LIMIT_S):
        while not any(kind in line and subject in line for line in violations(server)[before:]):  # noqa: ASYNC110
            await anyio.sleep(0.01)


@pytest.mark.parametrize("user", RIGHTS)
async def test_a_user_is_refused_every_subject_that_the_table_does_not_give_it(server: NatsServer, user: str) -> None:
    before = len(violations(server))
    async with connected(server, user) as bus:
        for subject in every_subject():
            await bus.publish(subject, b"{}")
        await bus.flush()
        await bus.publish(LAST, b"")
        await until_refused(server, before, "Publish Violation", LAST)

    refused = {
        subject for subject in every_subject() if any(f'"{subject}"' in one for one in violations(server)[before:])
    }
    assert refused == {subject for subject in every_subject() if not may_say(user, subject)}


@pytest.mark.parametrize(
    ("user", "subject"),
    [
        ("normalizer", SUBJECTS.done("x")),
        ("normalizer", SUBJECTS.request("x")),
        ("normalizer", SUBJECTS.worker("ingress", "x")),
        ("normalizer", f"{SUBJECTS.leg('x', 'c1', 'raw', 'y')}.data"),
        ("sentinel", SUBJECTS.work("upstream")),
        ("recorder", SUBJECTS.cancel("x")),
        ("ingress", SUBJECTS.provider_state("x")),
        ("ingress", f"{inbox_of('recorder')}.x"),
        ("ingress", "$JS.API.CONSUMER.MSG.NEXT.MOONTIDE.recorder-1"),
        ("ingress", "$JS.API.CONSUMER.DURABLE.CREATE.MOONTIDE.recorder-1"),
        ("enforcer", f"{SUBJECTS.leg('x', 'c1', 'normal', 'y')}.data"),
        ("enforcer", "$JS.API.STREAM.UPDATE.OBJ_MOONTIDE_bodies"),
        ("upstream", "$JS.API.STREAM.UPDATE.KV_MOONTIDE_thoughts"),
        ("dashboard", SUBJECTS.done("x")),
        ("dashboard", SUBJECTS.event("x", "deleted")),
        ("dashboard", SUBJECTS.ask_records),
        ("dashboard", "$KV.MOONTIDE_providers.x"),
        ("dashboard", "$JS.API.CONSUMER.MSG.NEXT.MOONTIDE.recorder-1"),
        ("operator", "$KV.MOONTIDE_thoughts.x"),
        ("operator", "$JS.API.CONSUMER.DELETE.MOONTIDE.recorder-1"),
        ("operator", PURGE),
        ("tap", SUBJECTS.cancel("x")),
        ("tap", SUBJECTS.worker("tap", "x")),
        ("tap", "anything"),
        ("tap", "$JS.API.STREAM.DELETE.MOONTIDE"),
    ],
)
async def test_a_user_cannot_say_what_is_not_its_own(server: NatsServer, user: str, subject: str) -> None:
    before = len(violations(server))
    async with connected(server, user) as bus:
        await bus.publish(subject, b"{}")
        await bus.flush()
        await until_refused(server, before, "Publish Violation", f'"{subject}"')


@pytest.mark.parametrize(
    ("user", "subject", "queue"),
    [
        ("ingress", f"{inbox_of('recorder')}.>", ""),
        ("ingress", f"{inbox_of('upstream')}.>", ""),
        ("ingress", "_INBOX.>", ""),
        ("ingress", SUBJECTS.work("upstream"), "upstream"),
        ("normalizer", SUBJECTS.work("normalize"), ""),  # beside the queue group it would get every offer
        ("normalizer", SUBJECTS.captured, ""),
        ("recorder", SUBJECTS.ask_records, ""),
        ("ingress", SUBJECTS.ask_records, "records"),
        ("dashboard", SUBJECTS.work("upstream"), "upstream"),
        ("dashboard", SUBJECTS.held("upstream"), ""),
        ("tap", SUBJECTS.work("upstream"), "upstream"),
        ("tap", SUBJECTS.ping("*"), ""),
        ("tap", ">", ""),
    ],
)
async def test_a_user_cannot_hear_what_is_not_for_it(server: NatsServer, user: str, subject: str, queue: str) -> None:
    before = len(violations(server))
    async with connected(server, user) as bus:
        await bus.subscribe(subject, hear_nothing, queue)
        await bus.flush()
        await until_refused(server, before, "Subscription Violation", f'"{subject}"')


async def test_the_tap_cannot_purge_what_the_recorder_reads(server: NatsServer) -> None:
    async with connected(server, "recorder") as recorder, connected(server, "ingress") as ingress:
        await recorder.ensure_capture(600.0, 64 * 1024 * 1024)
        feed = await recorder.feed("recorder-1")
        await ingress.publish(SUBJECTS.done("x"), b"{}")
        async with connected(server, "tap") as tap:
            with pytest.raises(NoReply):
                await tap.request(PURGE, b"", 0.3)

        assert [one.subject for one in await feed.fetch(1, LIMIT_S)] == [SUBJECTS.done("x")]


async def test_a_consumer_of_the_ingress_cannot_take_the_recorders_name(server: NatsServer) -> None:
    """The only way to make one that the ingress has gives it a name of the server's."""
    config = b'{"stream_name": "MOONTIDE", "config": {"name": "recorder-2", "durable_name": "recorder-2"}}'
    async with connected(server, "recorder") as recorder, connected(server, "ingress") as ingress:
        await recorder.ensure_capture(600.0, 64 * 1024 * 1024)
        await recorder.feed("recorder-2")
        answer = await ingress.request("$JS.API.CONSUMER.CREATE.MOONTIDE", config, LIMIT_S)

    assert b'"error"' in answer
