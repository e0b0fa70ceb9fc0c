"""How many exchanges a second the recorder folds and writes.

    python benchmarks/recorder.py [--exchanges 20000] [--kind plain|streamed] [--pieces 50] [--bytes 200] [--nats URL]
                                  [--postgres URL] [--recorders 2]

Without `--nats`, batches come from memory: folding and writing alone. With it, they are published to that server
first and then read back through a feed, as in production; with `--recorders`, by that many processes that share the
work (Postgres only). Prints one line per measurement; an SQLite database is thrown away, a Postgres one is emptied.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import Any

import anyio
import psutil
from sqlalchemy import Engine, text

sys.path.insert(0, str(Path(__file__).parent.parent))

from services.recorder.main import feed_name
from services.recorder.rules.messages import read
from services.recorder.rules.position import Position
from services.recorder.store import Batch, Store
from services.recorder.worker import BATCH_MESSAGES, Rhythm, Sink
from shared.bus import Captured
from shared.bus.nats import NatsBus
from shared.ids import new_id
from shared.records.database import open_reader, open_writer
from shared.records.space import used_bytes
from shared.records.tables import Table
from shared.subjects import Subjects
from tests.fixtures.exchanges import Script, captured, plain, streamed

ROOT = "benchmark"
AHEAD = 4000  # messages published and not seen in the stream yet


def scripts(options: argparse.Namespace) -> Iterator[Script]:
    answer = b'{"choices":[{"message":{"content":"' + b"word " * (options.bytes // 5) + b'"}}]}'
    for _ in range(options.exchanges):
        if options.kind == "plain":
            yield plain(new_id(), answer, ROOT)
        else:
            yield streamed(new_id(), options.pieces, ROOT)


def mixed(options: argparse.Namespace) -> list[Captured]:
    """The messages of exchanges that run side by side, in turns."""
    messages, running, coming = [], [], scripts(options)
    while True:
        running += [iter(one.messages) for one in islice(coming, options.at_once - len(running))]
        if not running:
            return captured([Script("mixed", messages=messages)])
        for one in list(running):
            message = next(one, None)
            if message is None:
                running.remove(one)
            else:
                messages.append(message)


def report(
    what: str, options: argparse.Namespace, messages: int, took_s: float, cpu_s: float | None, share: float = 1.0
) -> None:
    rates = f"{options.exchanges * share / took_s:8,.0f} exchanges/s  {messages / took_s:9,.0f} messages/s"
    cost = f"  {cpu_s / messages * 1e6:6.1f} us CPU/message" if cpu_s is not None else ""
    print(f"{what:28} {options.kind:9} {rates}{cost}  {used(options.url) / options.exchanges:8,.0f} bytes/exchange")


def used(url: str) -> int:
    engine = open_writer(url)
    with engine.connect() as connection:
        found = used_bytes(connection)
    engine.dispose()
    return found


def empty(url: str) -> None:
    engine = open_writer(url)
    with engine.begin() as connection:
        for table in Table.metadata.tables.values():
            connection.execute(table.delete())
    engine.dispose()


def write_from_memory(options: argparse.Namespace) -> None:
    messages = mixed(options)
    store, position = Store.open(options.url, "benchmark"), Position()
    store.position()  # makes the feed
    began, cpu = time.perf_counter(), time.process_time()
    for start in range(0, len(messages), options.batch):
        some = messages[start : start + options.batch]
        after = position.after(some)
        store.write(Batch(messages=[read(one, ROOT) for one in some], poison=[], before=position, after=after))
        position = after
    took_s, cpu_s = time.perf_counter() - began, time.process_time() - cpu
    store.close()
    report(f"{options.database}, from memory", options, len(messages), took_s, cpu_s)


async def publish(options: argparse.Namespace) -> int:
    """Everything into the capture stream; how many messages."""
    messages = mixed(options)
    bus = await NatsBus.connect(options.nats, Subjects(ROOT), "benchmark")
    with suppress(Exception):
        await bus._js.delete_stream(Subjects(ROOT).stream)
    await bus.ensure_capture(3600, 4 * 1024**3)
    for number, message in enumerate(messages, 1):
        await bus.publish(message.subject, message.data, dict(message.headers) or None)
        if number % AHEAD == 0 or number == len(messages):
            await captured_all(bus, number)
    await bus.close()
    return len(messages)


async def captured_all(bus: NatsBus, count: int) -> None:
    """A stream drops what it is sent faster than it stores."""
    while (await bus._js.stream_info(Subjects(ROOT).stream)).state.messages < count:  # noqa: ASYNC110
        await anyio.sleep(0.01)


async def record(nats: str, url: str) -> None:
    bus = await NatsBus.connect(nats, Subjects(ROOT), "benchmark")
    await Sink(bus, Subjects(ROOT), url, feed_name(url), Rhythm()).run()


def record_for_ever(nats: str, url: str) -> None:
    anyio.run(record, nats, url, backend_options={"use_uvloop": sys.platform != "win32"})


def write_from_nats(options: argparse.Namespace) -> None:
    """From the first message that is written until the last one is."""
    messages = anyio.run(publish, options)
    makes = multiprocessing.get_context("spawn")
    settings = (options.nats, options.url)
    recorders = [makes.Process(target=record_for_ever, args=settings) for _ in range(options.recorders)]
    for process in recorders:
        process.start()
    engine = open_reader(options.url)
    began, busy = 0.0, 0.0
    cpu, waits = Cpu([process.pid for process in recorders]), Counter[str]()
    while (reached := finished(engine)) < options.exchanges:
        if reached and not began:
            cpu.look(engine)
            began, busy, before, begun_cpu = time.perf_counter(), busy_s(), reached, cpu.spent()
        if began:
            cpu.look(engine)
            waits.update(waiting(engine))
        time.sleep(0.1)
    took_s, cores = time.perf_counter() - began, (busy_s() - busy) / (time.perf_counter() - began)
    spent = [
        (now - then) / (messages * (1 - before / options.exchanges)) * 1e6
        for now, then in zip(cpu.spent(), begun_cpu, strict=True)
    ]
    engine.dispose()
    for process in recorders:
        process.kill()
        process.join()
    share = 1 - before / options.exchanges  # what was written while the clock ran
    report(f"{options.database}, {options.recorders} from NATS", options, int(messages * share), took_s, None, share)
    print(f"    {cores:.2f} of {os.cpu_count()} cores were busy, with everything that runs here")
    print(f"    us of CPU per message: recorders {spent[0]:.1f}, their server processes {spent[1]:.1f}")
    print(f"    what the database's connections did: {dict(waits.most_common(5))}")


class Cpu:
    """What the recorders have used, and the processes of a Postgres on this machine that serve them."""

    def __init__(self, pids: Sequence[int]) -> None:
        self._recorders = [psutil.Process(pid) for pid in pids]
        self._servers: dict[int, psutil.Process] = {}
        self._seen: dict[int, float] = {}  # the last look at each: a process that is gone has used what it had

    def look(self, engine: Engine) -> None:
        for pid in serving(engine):
            with suppress(psutil.NoSuchProcess):
                self._servers.setdefault(pid, psutil.Process(pid))
        for pid, process in self._servers.items():
            with suppress(psutil.NoSuchProcess):
                self._seen[pid] = cpu_of(process)

    def spent(self) -> tuple[float, float]:
        return sum(map(cpu_of, self._recorders)), sum(self._seen.values())


def cpu_of(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


RECORDERS = "FROM pg_stat_activity WHERE application_name = 'moontide recorder'"


def serving(engine: Engine) -> list[int]:
    return asked(engine, f"SELECT pid {RECORDERS}")


def waiting(engine: Engine) -> list[str]:
    """What each of the recorders' connections is at: a lock, its client, or work."""
    return asked(engine, f"SELECT coalesce(wait_event_type || ':' || wait_event, 'works') {RECORDERS}")


def asked(engine: Engine, question: str) -> list[Any]:
    if engine.dialect.name != "postgresql":
        return []
    with engine.connect() as connection:
        return list(connection.scalars(text(question)))


def finished(engine: Engine) -> int:
    with engine.connect() as connection:
        return int(connection.scalar(text("SELECT count(*) FROM exchanges WHERE state = 'done'")) or 0)


def busy_s() -> float:
    """Seconds that the machine's cores have worked."""
    times = psutil.cpu_times()
    return sum(times) - times.idle - getattr(times, "iowait", 0.0)


def measure(options: argparse.Namespace, database: str, url: str) -> None:
    options.database, options.url = database, url
    empty(url)
    write_from_memory(options)
    if options.nats:
        for count in range(1, options.at_most + 1 if database == "postgres" else 2):
            options.recorders = count
            empty(url)
            write_from_nats(options)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--exchanges", type=int, default=20_000)
    parser.add_argument("--kind", choices=["plain", "streamed"], default="plain")
    parser.add_argument("--pieces", type=int, default=50, help="chunks of a stream")
    parser.add_argument("--bytes", type=int, default=200, help="of a plain answer")
    parser.add_argument("--batch", type=int, default=BATCH_MESSAGES, help="messages a transaction (from memory)")
    parser.add_argument("--at-once", type=int, default=64, help="exchanges that run side by side")
    parser.add_argument("--nats", help="a server with JetStream")
    parser.add_argument("--postgres", help="a database that is emptied: postgresql://user@host/database")
    parser.add_argument("--recorders", type=int, default=1, dest="at_most", help="that share the work, on Postgres")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        measure(options, "sqlite", f"sqlite:///{folder}/records.db")
    if options.postgres:
        measure(options, "postgres", options.postgres)


if __name__ == "__main__":
    main()
