"""What was said, out of the recorded bytes: an event stream merged into the completion that it spells.

A reader of records meets whatever a provider sent: what can't be understood is left out, never a reason to fail.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from shared.assembly import Assembly
from shared.records.dialects import message_of, response_of
from shared.sse import OversizedEvent, SseParser

EVENT_STREAM = "text/event-stream"

Json = dict[str, Any]


def is_stream(content_type: str | None) -> bool:
    return (content_type or "").startswith(EVENT_STREAM)


def understood(data: bytes | None, content_type: str | None) -> Any:
    """A body as JSON, an event stream merged first; None where it is neither."""
    if not data:
        return None
    return merged(data) if is_stream(content_type) else json_of(data)


def merged(stream: bytes) -> Json | None:
    """The answer that a stream's events make, whatever its dialect; None where it holds no event that is an object."""
    return merged_events([event for text in events_of(stream) if isinstance(event := json_of(text), dict)])


def merged_events(events: Sequence[Json]) -> Json | None:
    if not events:
        return None
    if "type" in events[0]:
        other = message_of(events) or response_of(events)
        if other is not None:
            return other
    return _completion(events)


def _completion(chunks: Sequence[Json]) -> Json:
    assembly = Assembly()
    for chunk in chunks:
        assembly.take(chunk)
    whole = assembly.whole()
    if not any("choices" in chunk for chunk in chunks):
        del whole["object"], whole["choices"]
    return whole


def events_of(stream: bytes) -> list[bytes]:
    """The data of each event; none at all where one is too long to be one."""
    parser = SseParser()
    try:
        return [*parser.feed(stream), *parser.finish()]
    except OversizedEvent:
        return []


def json_of(text: bytes) -> Any:
    """A text as JSON; None where it is none."""
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
