"""Patterns that are taken out before anything is stored. RE2: its time grows with the text, whatever the pattern."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from hashlib import sha256
from typing import Any

from services.recorder.rules.exchange import Records
from services.recorder.rules.rows import Row
from shared.patterns import compiled
from shared.records.blobs import Chunks
from shared.secrets import REDACTED

INSTEAD = REDACTED.encode()
TEXTS_OF_EXCHANGE = ("path", "error_message")
TEXTS_OF_CALL = ("url", "error_message")
TEXTS_OF_TOOL_CALL = ("arguments", "problem")
TEXTS_OF_SAID = ("text",)

Span = tuple[int, int]


class Redaction:
    """All patterns as one. Without any it changes nothing."""

    def __init__(self, patterns: Sequence[str] = ()) -> None:
        self._pattern = compiled(patterns) if patterns else None

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
        spans = {row["part"]: self._spans(row["data"]) for row in rows if row["data"] is not None}
        whole = {row["part"]: self._taken_out(row["data"], spans[row["part"]]) for row in rows if row["part"] in spans}
        return [self._body(row, row["same_as"] or row["part"], spans, whole) for row in rows]

    def _body(self, row: Row, holder: str, spans: dict[str, list[Span]], whole: dict[str, bytes]) -> Row:
        found = spans.get(holder)
        if not found:
            return row
        data = whole[holder]
        told = {"size": len(data), "sha256": sha256(data).hexdigest(), "redacted": len(found)}
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
        return [match.span() for match in self._pattern.finditer(data) if match.end() > match.start()]

    def _taken_out(self, data: bytes, spans: Sequence[Span]) -> bytes:
        pieces, kept = [], 0
        for begin, end in spans:
            pieces += [data[kept:begin], INSTEAD]
            kept = end
        return b"".join([*pieces, data[kept:]])


def moved(chunks: Chunks, spans: Sequence[Span]) -> Chunks:
    """Where each piece begins once the spans are replaced; a piece that began inside of one begins with what stands
    there instead."""
    found: Chunks = []
    shift, at = 0, 0
    for offset, time in chunks:
        while at < len(spans) and spans[at][1] <= offset:
            shift += len(INSTEAD) - (spans[at][1] - spans[at][0])
            at += 1
        is_inside = at < len(spans) and spans[at][0] < offset
        found.append(((spans[at][0] if is_inside else offset) + shift, time))
    return found
