"""What goes on right now, out of messages as they pass: a row per running request, as a list shows it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from shared.contracts import Done, Head, HttpRequest, decode
from shared.ids import made_at

MOST = 2000  # requests that are followed at a time; the oldest is let go first

Row = dict[str, Any]


class Growth:
    """Rows by request id. One that is done stays until it is taken away with `sweep`."""

    def __init__(self) -> None:
        self._rows: dict[str, Row] = {}

    def row(self, id: str) -> Row | None:
        return self._rows.get(id)

    def running(self) -> list[str]:
        return [id for id, row in self._rows.items() if row["state"] == "live"]

    def take(self, tokens: Sequence[str], data: bytes, now: float) -> str | None:
        """The request that a message changed. `tokens` stand behind `req.` in its subject."""
        id, *rest = tokens
        try:
            match rest:
                case ["request"]:
                    self._asked(id, decode(HttpRequest, data))
                case ["done"]:
                    self._done(id, decode(Done, data))
                case [_, "raw", _, "head"]:
                    self._head(id, decode(Head, data), now)
                case [_, "raw", _, "data"]:
                    self._data(id, data, now)
                case _:
                    return None
        except (msgspec.DecodeError, ValueError):
            return None
        return id

    def sweep(self, ids: Sequence[str]) -> None:
        """Lets go of those that are done."""
        for id in ids:
            if id in self._rows and self._rows[id]["state"] != "live":
                del self._rows[id]

    def _of(self, id: str) -> Row:
        row = self._rows.get(id)
        if row is None:
            while len(self._rows) >= MOST:
                del self._rows[next(iter(self._rows))]
            row = self._rows[id] = {"id": id, "state": "live", "at": made_at(id), "chunks": 0, "body_bytes": 0}
        return row

    def _asked(self, id: str, request: HttpRequest) -> None:
        facts = {"model": request.model, "client": request.client, "path": request.path, "method": request.method}
        self._of(id).update(facts, at=request.at, dialect=request.dialect)

    def _head(self, id: str, head: Head, now: float) -> None:
        row = self._of(id)
        row.update(status=head.status, provider=head.provider, provider_model=head.model)
        row.pop("first_byte_s", None)  # of an earlier call, which was not the answer

    def _data(self, id: str, data: bytes, now: float) -> None:
        row = self._of(id)
        row.setdefault("first_byte_s", max(0.0, now - row["at"]))
        row["chunks"] += data.count(b"data:")
        row["body_bytes"] += len(data)

    def _done(self, id: str, done: Done) -> None:
        row = self._of(id)
        row.update(state="done", status=done.status, outcome=done.outcome, latency_s=done.total_s, calls=done.calls)
        row.update(finish_reason=done.finish_reason, repairs=done.repairs or None, streamed=done.streamed)
        if done.first_byte_s is not None:
            row["first_byte_s"] = done.first_byte_s
        if done.usage is not None:
            row.update(prompt_tokens=done.usage.prompt_tokens, completion_tokens=done.usage.completion_tokens)
        if done.fault is not None:
            row.update(error_code=done.fault.code, error_message=done.fault.message)
