"""How many exchanges a second the recorder folds and writes.

    python benchmarks/recorder.py [--exchanges 20000] [--kind plain|streamed] [--pieces 50] [--bytes 200] [--nats URL]
                                  [--postgres URL] [--recorders 2]

Without `--nats`, batches come from memory: folding and writing alone. With it, they are published to that server
first and then read back through a feed, as in production; with `--recorders`, by that many processes that share the
work (Postgres only). Prints one line per measurement; an SQLite database is thrown away, a Postgres one is emptied.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import anyio

sys.path.insert(0, str(Path(__file__).parent.parent))

from services.recorder.main import feed_name
from services.recorder.rules.messages import read
from services.recorder.rules.position import Position
from services.recorder.store import Batch, Store
from services.recorder.worker import BATCH_MESSAGES, Rhythm, Sink
from shared.bus import Captured
from shared.bus.nats import NatsBus, stream_name
from shared.ids import new_id
from shared.subjects import Subjects
from tests.fixtures.exchanges import Script, captured, plain, streamed

ROOT = "benchmark"
AT_ONCE = 64  # exchanges that run side by side


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
        running += [iter(script.messages) for _, script in zip(range(AT_ONCE - len(running)), coming, strict=False)]
        if not running:
            return captured([Script("mixed", messages=messages)])
        for one in list(running):
            message = next(one, None)
            if message is None:
                running.remove(one)
            else:
                messages.append(message)


def report(what: str, options: argparse.Namespace, messages: int, took_s: float, cpu_s: float, path: Path) -> None:
    size = sum(file.stat().st_size for file in path.parent.iterdir() if file.name.startswith(path.name))
    rates = f"{options.exchanges / took_s:8,.0f} exchanges/s  {messages / took_s:9,.0f} messages/s"
    costs = f"{cpu_s / messages * 1e6:6.1f} us CPU/message  {size / options.exchanges:8,.0f} bytes/exchange"
    print(f"{what:8} {options.kind:9} {rates}  {costs}")


def write_from_memory(options: argparse.Namespace, folder: Path) -> None:
    messages, url = mixed(options), f"sqlite:///{folder}/records.db"
    store, position = Store.open(url, "benchmark"), Position()
    began, cpu = time.perf_counter(), time.process_time()
    for start in range(0, len(messages), options.batch):
        some = messages[start : start + options.batch]
        after = position.after(some)
        store.write(Batch(messages=[read(one, ROOT) for one in some], poison=[], before=position, after=after))
        position = after
    took_s, cpu_s = time.perf_counter() - began, time.process_time() - cpu
    store.close()
    report("memory", options, len(messages), took_s, cpu_s, folder / "records.db")


async def write_from_nats(options: argparse.Namespace, folder: Path) -> None:
    messages, url = mixed(options), f"sqlite:///{folder}/records.db"
    bus = await NatsBus.connect(options.nats, Subjects(ROOT), "benchmark")
    await bus.ensure_capture(3600, 4 * 1024**3)
    for message in messages:
        await bus.publish(message.subject, message.data, dict(message.headers) or None)
    await bus.flush()
    sink = Sink(bus, Subjects(ROOT), url, feed_name(url), Rhythm())
    sink.stop()  # ends when nothing is left
    began, cpu = time.perf_counter(), time.process_time()
    await sink.run()
    took_s, cpu_s = time.perf_counter() - began, time.process_time() - cpu
    await bus._js.delete_stream(stream_name(ROOT))
    await bus.close()
    report("nats", options, len(messages), took_s, cpu_s, folder / "records.db")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--exchanges", type=int, default=20_000)
    parser.add_argument("--kind", choices=["plain", "streamed"], default="plain")
    parser.add_argument("--pieces", type=int, default=50, help="chunks of a stream")
    parser.add_argument("--bytes", type=int, default=200, help="of a plain answer")
    parser.add_argument("--batch", type=int, default=BATCH_MESSAGES, help="messages a transaction (from memory)")
    parser.add_argument("--nats", help="a server with JetStream")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        write_from_memory(options, Path(folder))
    if options.nats:
        with tempfile.TemporaryDirectory() as folder:
            anyio.run(write_from_nats, options, Path(folder), backend_options={"use_uvloop": sys.platform != "win32"})


if __name__ == "__main__":
    main()
