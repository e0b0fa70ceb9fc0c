"""An answer that comes all at once, in slices: its beginning goes ahead, and nobody else waits for all of the rest.

A small frame is on the other side of the bus after a third of the time that one of 64 KiB takes, and repairing an event
takes 10 to 20 microseconds, so that such a frame would hold up its own first byte, and every other stream of the
process, for some milliseconds. Slices are made of whole events, which are read fastest.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

BEGINNING_BYTES = 1024  # of an answer: a few events
SLICE_BYTES = 8192  # about 40 events, half a millisecond; what is not longer is one slice

_EVENT_END = re.compile(rb"\r?\n\r?\n|\r\r")


def slices(data: bytes, *, is_beginning: bool) -> Iterator[bytes]:
    """`data` in slices of at least SLICE_BYTES, but for the last one, and the first one of an answer."""
    start, size = 0, BEGINNING_BYTES if is_beginning else SLICE_BYTES
    while len(data) - start > SLICE_BYTES and (end := _EVENT_END.search(data, start + size)) is not None:
        yield data[start : end.end()]
        start, size = end.end(), SLICE_BYTES
    if start < len(data):
        yield data[start:]


def beginning(data: bytes) -> tuple[bytes, bytes]:
    """The first slice of an answer, and the rest of what came with it."""
    first = next(slices(data, is_beginning=True), b"")
    return first, data[len(first) :]
