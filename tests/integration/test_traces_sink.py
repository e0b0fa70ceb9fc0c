"""What the sink of traces does with its collector, from a real NATS: slow, away, refusing, or back again."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest
import pytest_asyncio
from structlog.testing import capture_logs

from services.recorder.collector import Collector, seconds
from services.recorder.main import recording
from services.recorder.otlp import Encoder
from services.recorder.rules.redaction import Redaction
from services.recorder.rules.spans import Span
from services.recorder.traces import FEED, SHORT_MESSAGES, Policy, Traces
from services.recorder.worker import Rhythm
from shared.bus.nats import NatsBus
from shared.contracts import HttpRequest
from shared.ids import new_id
from shared.secrets import Secret
from shared.subjects import Subjects
from shared.worker import Identity, Worker
from tests.fixtures.collectors import Collecting, Seen, collecting, partly
from tests.fixtures.exchanges import PLAIN, Script, plain, streamed

pytestmark = pytest.mark.backend

QUICK = Rhythm(wait_s=0.05, settle_s=0.0)
BAD = "bad-model"


@pytest_asyncio.fixture
async def bus(nats_url: str, bus_root: str) -> AsyncIterator[NatsBus]:
    connected = await NatsBus.connect(nats_url, Subjects(bus_root), "test")
    await connected.ensure_capture(3600, 256 * 1024 * 1024)
    yield connected
    await connected.close()


@pytest_asyncio.fixture
async def collector() -> AsyncIterator[Collecting]:
    async with collecting() as found:
        yield found


@asynccontextmanager
async def sending(
    bus: NatsBus, root: str, url: str, rhythm: Rhythm = QUICK, drain_s: float = 5.0, **policy: Any
) -> AsyncIterator[Worker]:
    encoder = policy.pop("encoder", None) or Encoder()
    worker = Worker(bus, Subjects(root), Identity(service="recorder", instance="recorder-1", capacity=1))
    to = Collector(
        url=f"{url}/v1/traces",
        place="traces 127.0.0.1",
        headers={"x-honeycomb-team": Secret("the-teams-key")},
        encoder=encoder,
        metrics=worker.metrics,
    )
    async with recording(worker, [Traces(bus, Subjects(root), to, Policy(**policy), rhythm)], drain_s):
        yield worker


async def publish(bus: NatsBus, *scripts: Script) -> None:
    for subject, data, headers in (message for script in scripts for message in script.messages):
        await bus.publish(subject, data, headers or None)
    await bus.flush()


async def eventually(holds: Callable[[], bool | Awaitable[bool]]) -> None:
    with anyio.fail_after(20):
        while not holds():  # noqa: ASYNC110 - the sink decides when
            await anyio.sleep(0.01)


def figures(worker: Worker) -> dict[str, float]:
    """`exported` traces, `spans.exported` …"""
    found = {}
    for sample in worker.metrics.samples():
        if sample.name in ("traces", "spans"):
            prefix = "" if sample.name == "traces" else "spans."
            found[prefix + sample.labels["result"]] = sample.value
    return found


def requests(spans: list[Seen]) -> list[str]:
    """The ids of the requests that are told, in order."""
    ids = (span.attributes.get("moontide.request.id") for span in spans)
    return [id for id in ids if id is not None]


async def test_each_finished_exchange_is_told_once_in_batches(
    bus: NatsBus, bus_root: str, collector: Collecting
) -> None:
    scripts = [plain(new_id(), PLAIN, bus_root) for _ in range(250)]
    await publish(bus, *scripts, Script(new_id(), bus_root).request())
    async with sending(bus, bus_root, collector.url) as worker:
        await eventually(lambda: len(requests(collector.spans)) >= 250)

    assert requests(collector.spans) == [script.id for script in scripts]
    assert len(collector.bodies) == 3
    assert figures(worker) == {"exported": 250, "spans.exported": 500}


async def test_the_collector_gets_its_headers(bus: NatsBus, bus_root: str, collector: Collecting) -> None:
    await publish(bus, plain(new_id(), PLAIN, bus_root))
    async with sending(bus, bus_root, collector.url):
        await eventually(lambda: bool(collector.bodies))

    (headers,) = collector.headers
    assert headers["x-honeycomb-team"] == "the-teams-key"
    assert headers["content-type"] == "application/x-protobuf"


async def test_what_is_there_is_told_on_the_way_out(bus: NatsBus, bus_root: str, collector: Collecting) -> None:
    async with sending(bus, bus_root, collector.url):
        await publish(bus, *(plain(new_id(), PLAIN, bus_root) for _ in range(150)))

    assert len(requests(collector.spans)) == 150


async def test_a_collector_that_is_away_gets_everything_when_it_is_back(
    bus: NatsBus, bus_root: str, collector: Collecting
) -> None:
    up: list[bool] = []
    collector.answer = lambda _: 200 if up else 503
    with capture_logs() as told:
        async with sending(bus, bus_root, collector.url) as worker:
            await publish(bus, *(plain(new_id(), PLAIN, bus_root) for _ in range(60)))
            await eventually(lambda: collector.attempts >= 3)
            up.append(True)
            await eventually(lambda: len(requests(collector.spans)) == 60)

    assert figures(worker) == {"exported": 60, "spans.exported": 120}
    waiting = [one for one in told if one["event"] == "recorder.waiting"]
    assert [(one["sink"], one["why"]) for one in waiting] == [("traces 127.0.0.1", "it answered 503")]


async def test_one_that_nobody_answers_for_holds_no_shutdown_up_and_its_traces_wait(
    bus: NatsBus, bus_root: str
) -> None:
    async with sending(bus, bus_root, "http://127.0.0.1:1"):
        await publish(bus, plain(new_id(), PLAIN, bus_root))
        began = time.monotonic()
    stopped_s = time.monotonic() - began
    feed = await bus.feed(FEED, Subjects(bus_root).dones)
    left = await feed.lag()
    await feed.close()

    assert (stopped_s < 3, left) == (True, 1)


async def test_the_drains_deadline_holds_for_a_collector_that_says_nothing(bus: NatsBus, bus_root: str) -> None:
    async def silent(stream: Any) -> None:
        async with stream:
            await anyio.sleep_forever()

    async with await anyio.create_tcp_listener(local_host="127.0.0.1") as listener, anyio.create_task_group() as tasks:
        tasks.start_soon(listener.serve, silent)
        url = f"http://127.0.0.1:{listener.extra(anyio.abc.SocketAttribute.local_port)}"
        async with sending(bus, bus_root, url, drain_s=0.3):
            await publish(bus, plain(new_id(), PLAIN, bus_root))
            await anyio.sleep(0.2)
            began = time.monotonic()
        took_s = time.monotonic() - began
        tasks.cancel_scope.cancel()

    assert took_s < 3


async def test_it_goes_on_after_a_restart_where_it_stood(bus: NatsBus, bus_root: str, collector: Collecting) -> None:
    for _ in range(3):
        await publish(bus, *(plain(new_id(), PLAIN, bus_root) for _ in range(5)))
        async with sending(bus, bus_root, collector.url):
            pass

    assert len(requests(collector.spans)) == len(set(requests(collector.spans))) == 15


async def test_a_trace_that_is_never_taken_is_dropped_alone_and_counted(
    bus: NatsBus, bus_root: str, collector: Collecting
) -> None:
    collector.answer = lambda spans: 400 if any(BAD in str(one.attributes) for one in spans) else 200
    bad = Script(new_id(), bus_root).request(model=BAD).sent().head().end().done()
    good = [plain(new_id(), PLAIN, bus_root) for _ in range(9)]
    with capture_logs() as told:
        await publish(bus, *good[:5], bad, *good[5:])
        async with sending(bus, bus_root, collector.url) as worker:
            await eventually(lambda: figures(worker).get("refused") == 1 and len(requests(collector.spans)) == 9)

    assert requests(collector.spans) == [script.id for script in good]
    assert figures(worker) == {"exported": 9, "refused": 1, "spans.exported": 18, "spans.refused": 2}
    assert [one["exchange"] for one in told if one["event"] == "recorder.trace_refused"] == [bad.id]


async def test_spans_that_were_not_kept_of_a_post_are_counted(
    bus: NatsBus, bus_root: str, collector: Collecting
) -> None:
    collector.answer = lambda _: partly(3, "too many attributes")
    await publish(bus, *(plain(new_id(), PLAIN, bus_root) for _ in range(4)))
    with capture_logs() as told:
        async with sending(bus, bus_root, collector.url) as worker:
            await eventually(lambda: bool(collector.bodies))

    assert figures(worker) == {"exported": 4, "spans.exported": 5, "spans.rejected": 3}
    assert [one["why"] for one in told if one["event"] == "recorder.spans_rejected"] == ["too many attributes"]


async def test_an_answer_in_other_words_is_one_of_a_collector_that_took_all(
    bus: NatsBus, bus_root: str, collector: Collecting
) -> None:
    collector.answer = lambda _: b"<html>thank you</html>"
    await publish(bus, plain(new_id(), PLAIN, bus_root))
    async with sending(bus, bus_root, collector.url) as worker:
        await eventually(lambda: bool(collector.bodies))

    assert figures(worker) == {"exported": 1, "spans.exported": 2}


async def test_what_waits_too_long_is_dropped_and_counted(bus: NatsBus, bus_root: str, collector: Collecting) -> None:
    late = Rhythm(wait_s=0.05, settle_s=0.0, clock=lambda: time.time() + 100)
    await publish(bus, plain(new_id(), PLAIN, bus_root))
    async with sending(bus, bus_root, collector.url, late, max_wait_s=99.0) as worker:
        await eventually(lambda: "late" in figures(worker))
    await publish(bus, plain(new_id(), PLAIN, bus_root))
    async with sending(bus, bus_root, collector.url, late, max_wait_s=1000.0):
        await eventually(lambda: bool(collector.bodies))

    assert figures(worker) == {"late": 1}
    assert len(requests(collector.spans)) == 1


async def test_of_too_many_that_wait_the_oldest_are_dropped_and_counted(
    bus: NatsBus, bus_root: str, collector: Collecting
) -> None:
    scripts = [plain(new_id(), PLAIN, bus_root) for _ in range(300)]
    await publish(bus, *scripts)
    async with sending(bus, bus_root, collector.url, max_waiting=150) as worker:
        await eventually(lambda: sum(figures(worker).get(name, 0) for name in ("crowded", "exported")) == 300)

    assert figures(worker)["crowded"] == 150
    assert requests(collector.spans) == [script.id for script in scripts[150:]]


async def test_an_account_without_its_request_is_dropped_and_counted(
    bus: NatsBus, bus_root: str, collector: Collecting
) -> None:
    await publish(bus, Script(new_id(), bus_root).done())
    await bus.publish(Subjects(bus_root).done(new_id()), b"no account")
    with capture_logs():
        async with sending(bus, bus_root, collector.url) as worker:
            await eventually(lambda: figures(worker).get("lost") == 2)

    assert not collector.attempts


async def test_what_no_pipeline_says_is_told_as_far_as_it_can_be(
    bus: NatsBus, bus_root: str, collector: Collecting
) -> None:
    strange = Script(new_id(), bus_root).request()
    strange.say(
        f"{bus_root}.req.{strange.id}.c1.request", HttpRequest(id="x", at=1e300, method="POST", path="http://[")
    )
    strange.event("loop-found", "c1", start=2**80, kind={"a": 1}, choice=[1])
    await publish(bus, strange.done(), plain(new_id(), PLAIN, bus_root))
    async with sending(bus, bus_root, collector.url) as worker:
        await eventually(lambda: len(requests(collector.spans)) == 2)

    assert figures(worker)["exported"] == 2
    (call,) = (span for span in collector.of(strange.id) if "moontide.loop-found" in span.names())
    assert call.event("moontide.loop-found").attributes == {}


class Failing(Encoder):
    """Has an error of its own."""

    def encoded(self, spans: Sequence[Span]) -> bytes:
        if spans[0].attributes["gen_ai.request.model"] == BAD:
            raise RuntimeError("an error in the program")
        return super().encoded(spans)


async def test_an_error_of_ours_costs_one_trace_and_is_told(bus: NatsBus, bus_root: str, collector: Collecting) -> None:
    bad = Script(new_id(), bus_root).request(model=BAD).done()
    await publish(bus, bad, plain(new_id(), PLAIN, bus_root))
    with capture_logs() as told:
        async with sending(bus, bus_root, collector.url, encoder=Failing()) as worker:
            await eventually(lambda: bool(collector.bodies))

    assert figures(worker) == {"failed": 1, "exported": 1, "spans.exported": 2}
    assert [one["exchange"] for one in told if one["event"] == "recorder.trace_failed"] == [bad.id]


async def test_patterns_are_taken_out_of_names_too(bus: NatsBus, bus_root: str, collector: Collecting) -> None:
    await publish(bus, Script(new_id(), bus_root).request(model="of-4111-1111").sent().head().end().done())
    async with sending(bus, bus_root, collector.url, redaction=Redaction([r"\d{4}-\d{4}"])):
        await eventually(lambda: bool(collector.bodies))

    assert collector.spans[0].attributes["gen_ai.request.model"] == "of-[redacted]"


async def test_only_the_share_that_is_asked_for_is_told(bus: NatsBus, bus_root: str, collector: Collecting) -> None:
    await publish(bus, *(plain(new_id(), PLAIN, bus_root) for _ in range(200)))
    async with sending(bus, bus_root, collector.url, ratio=0.5):
        pass

    assert 60 < len(requests(collector.spans)) < 140


async def test_how_far_it_is_behind_can_be_seen(bus: NatsBus, bus_root: str, collector: Collecting) -> None:
    collector.answer = lambda _: 503
    await publish(bus, *(plain(new_id(), PLAIN, bus_root) for _ in range(20)))
    async with sending(bus, bus_root, collector.url) as worker:
        await eventually(lambda: collector.attempts >= 1)
        watched = lambda: [(lag.sink, lag.messages) for lag in worker.lags]  # noqa: E731
        await eventually(lambda: watched() == [("traces 127.0.0.1", 20)])


async def test_pieces_of_answers_are_not_read(bus: NatsBus, bus_root: str, collector: Collecting) -> None:
    await publish(bus, streamed(new_id(), 2000, bus_root))
    read: list[int] = []
    history = bus.history

    async def counting(*parts: Any) -> list[Any]:
        found = await history(*parts)
        read.append(len(found))
        return found

    bus.history = counting  # type: ignore[method-assign]
    async with sending(bus, bus_root, collector.url):
        await eventually(lambda: bool(collector.bodies))

    assert sum(read) < SHORT_MESSAGES + 20


@pytest.mark.parametrize(
    ("text", "pause_s"), [("7", 7.0), ("", 0.0), ("99999", 30.0), ("Sat, 21 Nov 2026", 0.0), ("-1", 0.0)]
)
def test_a_collector_may_ask_to_be_left_alone_for_a_while(text: str, pause_s: float) -> None:
    assert seconds(text) == pause_s


async def test_a_collector_that_asks_for_it_is_left_alone(bus: NatsBus, bus_root: str, collector: Collecting) -> None:
    answers = iter([(429, {"Retry-After": "1"}), (200, {})])
    times: list[float] = []

    def answer(_: list[Seen]) -> tuple[int, dict[str, str]]:
        times.append(time.monotonic())
        return next(answers)

    collector.answer = answer
    await publish(bus, plain(new_id(), PLAIN, bus_root))
    async with sending(bus, bus_root, collector.url):
        await eventually(lambda: bool(collector.bodies))

    assert times[1] - times[0] >= 1
