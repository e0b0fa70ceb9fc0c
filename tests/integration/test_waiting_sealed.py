"""Where patterns are to be taken out, messages wait unreadable: nothing of a secret is in any file of the records."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import msgspec
import pytest
import pytest_asyncio
from sqlalchemy import select
from structlog.testing import capture_logs

from services.recorder.main import recorder
from services.recorder.rules.redaction import Redaction
from services.recorder.sealing import KEY_NAME, Sealing
from services.recorder.store import Store
from shared.bodies import put_body
from shared.bus.nats import NatsBus
from shared.config import Recorder, Settings, Sink
from shared.config.settings import Bus as BusSettings
from shared.contracts import Body
from shared.records.blobs import unpack
from shared.records.database import open_reader
from shared.records.queries import reading
from shared.records.tables import Table
from shared.subjects import RECORDER_BUCKET, Subjects
from tests.fixtures.exchanges import Script, captured
from tests.fixtures.recording import FEED, record, rows, url_in

SECRET = "4929-1111-2222-3333"
PATTERN = r"\d{4}-\d{4}-\d{4}-\d{4}"
PIECES = ("4929-1111", "2222-3333")  # of it, as a provider may cut it
SPOKEN = b"data: [DONE]\n\n"


def asked(text: str) -> Body:
    data = json.dumps({"model": "k", "messages": [{"role": "user", "content": text}]}).encode()
    return Body(json=msgspec.Raw(data), size=len(data))


def chunk(text: str) -> bytes:
    return b"data: " + json.dumps({"choices": [{"index": 0, "delta": {"content": text}}]}).encode() + b"\n\n"


def with_secret(id: str, root: str = "moontide") -> Script:
    headers = {"content-type": "application/json", "x-card": SECRET}
    script = Script(id, root).request(asked(f"my card is {SECRET}"), stream=True, headers=headers, model=f"k {SECRET}")
    script.sent(stream=True, changes={"added": [SECRET]}).head(content_type="text/event-stream")
    script.data(chunk(PIECES[0])).data(chunk(f"-{PIECES[1]} it is")).event("noted", what=SECRET)
    return script.data(SPOKEN).end().done(leg="c1.raw", streamed=True)


def holds_secret(url: str) -> bool:
    """Whether any value of any table does, unpacked or as it is; or any file that SQLite keeps."""
    engine = open_reader(url)
    with engine.connect() as connection:
        kept = [
            value
            for table in Table.metadata.tables.values()
            for row in connection.execute(select(table))
            for value in row
        ]
    engine.dispose()
    files = Path(url.removeprefix("sqlite:///")).parent.iterdir() if url.startswith("sqlite") else ()
    everything = [read for value in kept for read in readings(value)] + [file.read_bytes() for file in files]
    return any(piece.encode() in data for data in everything for piece in (SECRET, *PIECES))


def readings(value: object) -> Iterator[bytes]:
    if not isinstance(value, bytes):
        yield str(value).encode()
        return
    yield value
    if value.startswith(b"\x28\xb5\x2f\xfd"):  # zstd
        yield unpack(value)


def pending(url: str) -> list[bytes]:
    return [row["messages"] for row in rows(url, ["pending"])["pending"]]


def test_no_byte_of_a_secret_is_kept_while_an_exchange_runs_nor_after(records_url: str) -> None:
    stream = captured([with_secret("A")])
    store = Store.open(records_url, FEED, redaction=Redaction([PATTERN]))
    for number, message in enumerate(stream):
        record(store, [message])
        assert number % 3 or not holds_secret(records_url)
    assert not pending(records_url)
    store.close()

    assert not holds_secret(records_url)
    with reading(records_url) as records:
        assert records.parts("A")["c1.raw"].data == chunk("[redacted]") + chunk(" it is") + SPOKEN


def test_without_patterns_messages_wait_as_they_came(records_url: str) -> None:
    """And so the test above can fail."""
    store = Store.open(records_url, FEED)
    record(store, captured([with_secret("A")])[:4])
    store.close()

    assert holds_secret(records_url)


def test_what_waited_before_there_were_patterns_is_read_as_well(records_url: str) -> None:
    stream = captured([with_secret("A")])
    store = Store.open(records_url, FEED)
    record(store, stream[:5])
    store.close()
    store = Store.open(records_url, FEED, redaction=Redaction([PATTERN]))
    record(store, stream[5:])
    store.close()

    assert SECRET not in str(rows(records_url))
    assert [row["state"] for row in rows(records_url)["exchanges"]] == ["done"]


class TestWithoutTheKey:
    """Whoever deletes what NATS stored takes the key with it."""

    @pytest.fixture
    def begun(self, records_url: str) -> Iterator[Store]:
        store = Store.open(records_url, FEED, redaction=Redaction([PATTERN]))
        record(store, captured([with_secret("A")])[:4])
        store.close()
        other = Store.open(records_url, FEED, redaction=Redaction([PATTERN]))
        yield other
        other.close()

    def test_an_exchange_is_abandoned_with_what_its_row_knew(self, records_url: str, begun: Store) -> None:
        with capture_logs() as told:
            begun.sweep(2e9, 60, 900)

        (row,) = rows(records_url)["exchanges"]
        assert (row["state"], row["outcome"], row["error_code"]) == ("abandoned", "lost", "abandoned")
        assert (row["method"], row["provider"]) == ("POST", "moonshot")
        assert not pending(records_url)
        assert [entry["event"] for entry in told] == ["recorder.unreadable_messages"]

    def test_what_comes_late_for_a_finished_one_leaves_its_row_alone(self, records_url: str) -> None:
        stream = captured([with_secret("A").cancel(), Script("A").event("late")])
        store = Store.open(records_url, FEED, redaction=Redaction([PATTERN]))
        without_end = [message for message in stream if not message.subject.endswith(".end")]
        record(store, without_end[:-1])
        store.close()
        other = Store.open(records_url, FEED, redaction=Redaction([PATTERN]))
        record(other, without_end[-1:])
        other.close()

        (row,) = rows(records_url)["exchanges"]
        assert (row["state"], row["method"]) == ("done", "POST")
        assert "late" in [event["name"] for event in rows(records_url)["events"]]


def test_what_is_put_aside_holds_no_piece_of_a_secret(records_url: str) -> None:
    """The database refuses its rows: a number that no column takes."""
    store = Store.open(records_url, FEED, redaction=Redaction([PATTERN]))
    stream = captured([with_secret("A").done(status=2**70)])
    bad = [message for message in stream if not message.subject.endswith(".done")] + stream[-1:]
    record(store, bad[:5])
    record(store, bad[5:])
    store.close()

    assert len(rows(records_url, ["poison"])["poison"]) == len(bad)
    assert not holds_secret(records_url)


@pytest_asyncio.fixture
async def bus(nats_url: str, bus_root: str) -> AsyncIterator[NatsBus]:
    connected = await NatsBus.connect(nats_url, Subjects(bus_root), "test")
    await connected.ensure_capture(3600, 256 * 1024 * 1024)
    yield connected
    await connected.close()


async def test_another_recorder_reads_what_the_first_one_left_waiting(
    bus: NatsBus, bus_root: str, tmp_path: Path
) -> None:
    """Bodies out of the object store included."""
    url = url_in(tmp_path)
    settings = Settings(bus=BusSettings(root=bus_root), records=(Sink(url=url),), recorder=Recorder(redact=(PATTERN,)))
    large = Script("LARGE", bus_root)
    body = json.dumps({"x": f"{SECRET} " * 100_000}).encode()
    large.request(await put_body(bus, "LARGE", body, is_json=True))
    scripts = [with_secret("A", bus_root), large]
    for message in [*scripts[0].messages[:5], *large.messages]:
        await bus.publish(message[0], message[1], message[2] or None)
    async with recorder(bus, settings):
        pass
    assert len(pending(url)) == 2
    assert not holds_secret(url)

    large.messages.clear()
    for message in [*scripts[0].messages[5:], *large.sent().head().data(b"{}").end().done().messages]:
        await bus.publish(message[0], message[1], message[2] or None)
    async with recorder(bus, settings):
        pass

    assert not holds_secret(url)
    assert {row["id"]: row["state"] for row in rows(url)["exchanges"]} == {"A": "done", "LARGE": "done"}
    with reading(url) as records:
        assert (records.parts("LARGE")["client.request"].data or b"").count(b"[redacted]") == 100_000


async def test_a_bus_that_has_lost_the_key_gets_it_back_from_a_recorder_that_runs(bus: NatsBus) -> None:
    sealing = Sealing(seals=True)
    await sealing.agree(bus)
    sealed = sealing.sealed(b"waits")
    await (await bus.state(RECORDER_BUCKET)).put(KEY_NAME, b"k" * 32)  # as if another one had been made since
    await sealing.agree(bus)

    assert sealing.opened(sealed) == b"waits"
    assert sealing.opened(sealing.sealed(b"new")) == b"new"
    assert not sealing.sealed(b"waits").startswith(b"waits")
