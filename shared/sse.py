"""Server-sent events without I/O: bytes in, the data of complete events out.

The rules, from the WHATWG specification's section on event streams:

* a line ends with LF, CRLF or CR; a blank line ends an event;
* a line that begins with a colon is a comment (providers send them to keep a connection alive);
* `data` lines of one event are joined with LF; one space after the colon is not part of the value;
* `event`, `id` and `retry` are read over: no chat API gives them a meaning that its data doesn't repeat.

One rule is our own: what a stream leaves behind without a last blank line is handed out by `finish`, because
providers do end a stream after `data: [DONE]` without one.

Bytes may be cut anywhere. Nothing is searched twice, so an event of many megabytes in tiny pieces costs
linear time.
"""

from __future__ import annotations

MAX_EVENT_BYTES = 32 * 1024 * 1024
"""The longest event that is kept: the size of the largest request body that Moontide accepts."""

_BOM = b"\xef\xbb\xbf"


class OversizedEvent(ValueError):
    """An event without an end grew past `max_event_bytes`; the stream can't be read any further."""


def event(data: bytes) -> bytes:
    """One event that carries `data`, which must not hold a line break."""
    return b"data: " + data + b"\n\n"


class SseParser:
    """Cuts a byte stream into the data of its events.

    >>> parser = SseParser()
    >>> parser.feed(b'data: {"a"'), parser.feed(b': 1}' + bytes([10, 10]))
    ([], [b'{"a": 1}'])
    """

    def __init__(self, max_event_bytes: int = MAX_EVENT_BYTES) -> None:
        self.comments = 0
        self._max = max_event_bytes
        self._buffer = bytearray()
        self._searched = 0  # bytes of the buffer that hold no blank line
        self._after_cr = False  # the last byte was CR: an LF that follows belongs to it
        self._begun = False

    def feed(self, data: bytes) -> list[bytes]:
        """The data of every event that `data` completes, in order; raises OversizedEvent."""
        if self._is_whole(data):
            return [found for block in data[:-2].split(b"\n\n") if (found := self._data(block)) is not None]
        if b"\r" in data or self._after_cr:
            data = self._lf_only(data)
        self._buffer += data
        if not self._begun and not self._begin():
            return []
        events = self._cut()
        if len(self._buffer) > self._max:
            raise OversizedEvent(f"an event is longer than {self._max} bytes")
        return events

    def finish(self) -> list[bytes]:
        """The data of a last event that no blank line ended."""
        block = bytes(self._buffer)
        self._buffer.clear()
        self._searched = 0
        found = self._data(block)
        return [] if found is None else [found]

    def _is_whole(self, data: bytes) -> bool:
        """Whether whole events arrived, and nothing waits for its end: the fast way of most reads."""
        idle = not self._buffer and not self._after_cr and (self._begun or data[:1] not in _BOM[:1])
        is_whole = idle and data.endswith(b"\n\n") and b"\r" not in data
        self._begun = self._begun or is_whole
        return is_whole

    def _begin(self) -> bool:
        """Skip a byte order mark; false while it may still be arriving."""
        if len(self._buffer) < len(_BOM) and _BOM.startswith(self._buffer):
            return False
        if self._buffer.startswith(_BOM):
            del self._buffer[: len(_BOM)]
        self._begun = True
        return True

    def _cut(self) -> list[bytes]:
        events: list[bytes] = []
        start = 0
        while (end := self._buffer.find(b"\n\n", max(start, self._searched))) >= 0:
            found = self._data(bytes(self._buffer[start:end]))
            if found is not None:
                events.append(found)
            start = end + 2
            self._searched = start
        if start:
            del self._buffer[:start]
        self._searched = max(len(self._buffer) - 1, 0)
        return events

    def _data(self, block: bytes) -> bytes | None:
        """The value of a block's data lines, or None where it has none."""
        if block.startswith(b"data: ") and b"\n" not in block:
            return block[6:]
        lines = [value for line in block.split(b"\n") if (value := self._value(line)) is not None]
        return b"\n".join(lines) if lines else None

    def _value(self, line: bytes) -> bytes | None:
        if line.startswith(b":"):
            self.comments += 1
            return None
        field, _, value = line.partition(b":")
        if field != b"data":
            return None
        return value[1:] if value.startswith(b" ") else value

    def _lf_only(self, data: bytes) -> bytes:
        """`data` with every CRLF and CR as LF, also where a CRLF is cut in the middle."""
        if self._after_cr and data.startswith(b"\n"):
            data = data[1:]
            self._after_cr = False
        if data:
            self._after_cr = data.endswith(b"\r")
        return data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
