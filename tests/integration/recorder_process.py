"""A recorder in a process of its own, to be killed: python recorder_process.py NATS_URL ROOT RECORDS_URL."""

from __future__ import annotations

import sys

import anyio

from services.recorder.main import feed_name
from services.recorder.worker import Rhythm, Sink
from shared.bus.nats import NatsBus
from shared.subjects import Subjects

SMALL = Rhythm(batch_messages=200)  # so that batches are often full, and several recorders take turns


async def main(nats_url: str, root: str, records_url: str) -> None:
    subjects = Subjects(root)
    bus = await NatsBus.connect(nats_url, subjects, "recorder under test")
    await Sink(bus, subjects, records_url, feed_name(records_url), SMALL).run()


if __name__ == "__main__":
    anyio.run(main, *sys.argv[1:])
