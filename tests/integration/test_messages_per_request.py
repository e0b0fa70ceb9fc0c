"""What a request costs on the bus, counted: a message more is a message more for every request."""

from __future__ import annotations

from collections import Counter

from services.provider_sim.main import serve
from shared.bus import Captured
from tests.fixtures.buses import Ear
from tests.fixtures.pipeline import Pipeline, pipeline, providers

BURST = "sim/text+batch?events=1&chunks=200"
KIB = 1024


async def asked(it: Pipeline, model: str, *, stream: bool) -> list[Captured]:
    answer = await it.ask(model, stream=stream)
    id = answer.headers["X-Moontide-Request-Id"]
    await it.exchange(id)
    return await it.bus.history(it.subjects.of_request(id))


def kinds(messages: list[Captured]) -> Counter[str]:
    """How many of each kind there are: `c1.raw.data`."""
    found: Counter[str] = Counter()
    for one in messages:
        parts = one.subject.split(".")
        at = parts.index("req") + 2
        found[".".join([*parts[at : at + 2], *parts[at + 3 :]])] += 1
    return found


def data_of(messages: list[Captured], leg: str) -> list[int]:
    return [len(one.data) for one in messages if f".{leg}." in one.subject and one.subject.endswith(".data")]


async def test_a_plain_request_is_two_offers_and_nine_messages(nats_url: str, bus_root: str) -> None:
    async with await serve(seed=1) as simulated:
        config = {"providers": providers([simulated]), "models": {"*": {"targets": [{"provider": "p1"}]}}}
        async with pipeline(nats_url, bus_root, config) as it:
            offers = Ear()
            await it.bus.subscribe(f"{it.subjects.root}.work.*", offers)
            await it.bus.flush()
            messages = await asked(it, "sim/text", stream=False)
            await offers.until(2)

    legs = [f"c1.{leg}.{kind}" for leg in ("raw", "normal") for kind in ("head", "data", "end")]
    assert kinds(messages) == Counter(["request", "c1.request", "done", *legs])
    assert sorted(one.subject.rpartition(".")[2] for one in offers.heard) == ["normalize", "upstream"]


async def test_the_first_frame_of_a_burst_is_small_and_the_others_are_few(nats_url: str, bus_root: str) -> None:
    async with await serve(seed=1) as simulated:
        config = {"providers": providers([simulated]), "models": {"*": {"targets": [{"provider": "p1"}]}}}
        async with pipeline(nats_url, bus_root, config) as it:
            messages = await asked(it, BURST, stream=True)

    for leg in ("raw", "normal"):
        first, *others = data_of(messages, leg)
        assert first <= 2 * KIB
        assert sum(others) > 20 * KIB
        assert len(others) < 20


async def test_nothing_of_a_burst_is_lost_where_the_connection_breaks_in_it(nats_url: str, bus_root: str) -> None:
    async with await serve(seed=1) as simulated:
        config = {"providers": providers([simulated]), "models": {"*": {"targets": [{"provider": "p1"}]}}}
        async with pipeline(nats_url, bus_root, config) as it:
            messages = await asked(it, "sim/text+batch+cut?events=1&chunks=200&after=150", stream=True)

    raw = b"".join(one.data for one in messages if ".c1.raw." in one.subject and one.subject.endswith(".data"))
    assert raw.count(b"data: {") == 150
