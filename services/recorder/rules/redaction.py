"""Patterns that are taken out before anything is stored. RE2: its time grows with the text, whatever the pattern.

A body is matched as it is written. Of an event stream the texts that are told in pieces are matched as a whole too:
what stands for a place is written into the first of its pieces, and the others lose their share of it."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from hashlib import sha256
from itertools import accumulate
from typing import Any, NamedTuple

from services.recorder.rules.exchange import Records
from services.recorder.rules.pieces import Place, pieces_of
from services.recorder.rules.rows import Row
from shared.patterns import compiled
from shared.records.blobs import Chunks
from shared.secrets import REDACTED

INSTEAD = REDACTED.encode()
TEXTS_OF_EXCHANGE = (
    "path",
    "model",
    "peer",
    "request_headers",
    "response_headers",
    "error_param",
    "error_message",
)
TEXTS_OF_CALL = ("url", "model", "changes", "request_headers", "response_headers", "error_param", "error_message")
TEXTS_OF_TOOL_CALL = ("tool_call_id", "name", "arguments", "problem")
TEXTS_OF_SAID = ("text",)


class Span(NamedTuple):
    """A place that is taken out, or a piece of one."""

    begin: int
    end: int
    instead: bytes = INSTEAD  # nothing, in the further pieces of a place


class Redaction:
    """All patterns as one. Without any it changes nothing."""

    def __init__(self, patterns: Sequence[str] = ()) -> None:
        self._pattern = compiled(patterns) if patterns else None

    @property
    def is_on(self) -> bool:
        return self._pattern is not None

    def records(self, records: Records) -> Records:
        if self._pattern is None:
            return records
        return replace(
            records,
            exchange=self.row(records.exchange, TEXTS_OF_EXCHANGE),
            calls=[self.row(row, TEXTS_OF_CALL) for row in records.calls],
            events=self.events(records.events),
            bodies=self._bodies(records.bodies),
            tool_calls=[self.row(row, TEXTS_OF_TOOL_CALL) for row in records.tool_calls],
            said=[self.row(row, TEXTS_OF_SAID) for row in records.said],
        )

    def row(self, row: Row, names: Sequence[str]) -> Row:
        return row | {name: self._value(row[name]) for name in names} if self._pattern is not None else row

    def events(self, rows: Sequence[Row]) -> list[Row]:
        return [self.row(row, ("facts",)) for row in rows]

    def data(self, data: bytes) -> bytes:
        return self._taken_out(data, self._spans(data))

    def _bodies(self, rows: Sequence[Row]) -> list[Row]:
        """Bodies that are the same stay the same: only the one that holds the bytes is looked through."""
        spans = {row["part"]: self._spans_of_body(row["data"]) for row in rows if row["data"] is not None}
        whole = {row["part"]: self._taken_out(row["data"], spans[row["part"]]) for row in rows if row["part"] in spans}
        return [self._body(row, row["same_as"] or row["part"], spans, whole) for row in rows]

    def _body(self, row: Row, holder: str, spans: dict[str, list[Span]], whole: dict[str, bytes]) -> Row:
        found = spans.get(holder)
        if not found:
            return row
        data = whole[holder]
        told = {
            "size": len(data),
            "sha256": sha256(data).hexdigest(),
            "redacted": sum(bool(span.instead) for span in found),
        }
        return row | told | {"data": data if row["data"] is not None else None, "chunks": moved(row["chunks"], found)}

    def _value(self, value: Any) -> Any:
        """A text, or whatever holds texts."""
        if isinstance(value, str):
            return self.data(value.encode("utf-8", "replace")).decode("utf-8", "replace")
        if isinstance(value, dict):
            return {name: self._value(one) for name, one in value.items()}
        return [self._value(one) for one in value] if isinstance(value, list) else value

    def _spans(self, data: bytes) -> list[Span]:
        if self._pattern is None:
            return []
        return [Span(*match.span()) for match in self._pattern.finditer(data) if match.end() > match.start()]

    def _spans_of_body(self, data: bytes) -> list[Span]:
        """Those of the bytes as they are, and those of texts in pieces."""
        split = (span for places in pieces_of(data) for span in self._split(data, places))
        return united([*self._spans(data), *split])

    def _split(self, data: bytes, places: Sequence[Place]) -> Iterator[Span]:
        ends = list(accumulate(end - begin for begin, end in places))
        for span in self._spans(b"".join(data[begin:end] for begin, end in places)):
            yield from _pieces(span, places, ends)

    def _taken_out(self, data: bytes, spans: Sequence[Span]) -> bytes:
        pieces, kept = [], 0
        for begin, end, instead in spans:
            pieces += [data[kept:begin], instead]
            kept = end
        return b"".join([*pieces, data[kept:]])


def _pieces(span: Span, places: Sequence[Place], ends: Sequence[int]) -> Iterator[Span]:
    """A place in the merged text, as the pieces that it lies in; `ends` are theirs in that text."""
    at, instead = bisect_right(ends, span.begin), INSTEAD
    while at < len(places) and (first := ends[at] - (places[at][1] - places[at][0])) < span.end:
        begin = places[at][0] + max(0, span.begin - first)
        end = places[at][0] + min(span.end, ends[at]) - first
        if end > begin:
            yield Span(begin, end, instead)
            instead = b""
        at += 1


def united(spans: Iterable[Span]) -> list[Span]:
    """In order, none within another; where two overlap they are one place."""
    found: list[Span] = []
    for span in sorted(spans):
        last = found[-1] if found else None
        if last is None or span.begin >= last.end:
            found.append(span)
        else:
            found[-1] = Span(last.begin, max(last.end, span.end), last.instead or span.instead)
    return found


def moved(chunks: Chunks, spans: Sequence[Span]) -> Chunks:
    """Where each piece begins once the spans are replaced; a piece that began inside of one begins with what stands
    there instead."""
    found: Chunks = []
    shift, at = 0, 0
    for offset, time in chunks:
        while at < len(spans) and spans[at].end <= offset:
            shift += len(spans[at].instead) - (spans[at].end - spans[at].begin)
            at += 1
        is_inside = at < len(spans) and spans[at].begin < offset
        found.append(((spans[at].begin if is_inside else offset) + shift, time))
    return found
