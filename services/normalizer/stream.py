"""Answers that come as an event stream: raw SSE bytes in, canonical SSE bytes out.

What goes out keeps Moonshot's own rules for its vendors: the role in the first frame; a call's first frame
with its id, type, name and empty arguments; call indexes from 0 by 1; content, reasoning and calls never in
one frame; a finish frame with an empty delta, then the usage, then `[DONE]`.
"""

from __future__ import annotations

import json
from typing import Any

import msgspec

from services.normalizer.facts import RequestFacts
from services.normalizer.rules.answer import Engine
from services.normalizer.rules.catalog import Repairs
from services.normalizer.rules.choice import ChoiceRepair, Deltas
from services.normalizer.rules.fields import Delta
from services.normalizer.rules.surrogates import encoded
from shared.contracts import RepairSettings
from shared.sse import SseParser, event

DEFAULTS = RepairSettings()
_DONE = b"[DONE]"
_KEEP_ALIVE = b": keep-alive\n\n"
_OBJECT = "chat.completion.chunk"
_FIELDS = Delta.__struct_fields__
CUT = "length"  # how a choice ends that was cut: what is not whole counts as unfinished


class _Choice(msgspec.Struct):
    index: Any = None
    delta: Delta | None = None
    finish_reason: Any = None


class _Chunk(msgspec.Struct):
    choices: list[_Choice] | None = None
    id: Any = None
    object: Any = None
    usage: Any = None
    error: Any = None


_DECODER = msgspec.json.Decoder(_Chunk)


class StreamRepair:
    """Repairs one streamed answer.

    `feed` bytes as they come and send what it gives; then call `finish` where the provider ended in an
    orderly way, `stop` where it was ended on purpose, or `break_off` where it broke down. The output depends
    on the bytes alone, not on how they were cut. With `settings.enabled` false the bytes pass through, and only
    the facts about them are read.
    """

    def __init__(self, facts: RequestFacts, settings: RepairSettings = DEFAULTS) -> None:
        self.finish_reason: str | None = None  # of the first choice, as it went out
        self.usage: dict[str, Any] | None = None  # the last that the provider sent
        self.completion_id: str | None = None
        self.error: Any = None  # the provider's own error, if it sent one
        self._facts = facts
        self._enabled = settings.enabled
        self._repairs = Repairs(settings.off, enabled=settings.enabled)
        self._engine = Engine(facts, settings, self._repairs)
        self._parser = SseParser()
        self._comments = 0
        self._envelope: dict[str, Any] = {}  # the fields of the last event besides its choices
        self._finishes: dict[int, tuple[bytes, dict[str, Any], dict[str, Any]]] = {}
        self._usage_event: bytes | None = None
        self._begun: set[int] = set()  # choices whose role went out
        self._passed: dict[int, str | None] = {}  # choices of bytes that pass, each with its finish reason
        self._usage_went_out = False  # among them
        self._closed = False

    @property
    def repairs(self) -> dict[str, int]:
        """How often each repair was made so far."""
        return self._repairs.made

    def feed(self, data: bytes) -> bytes:
        """The events that go out after some bytes."""
        payloads = self._parser.feed(data)
        if not self._enabled:
            self._watch(payloads)
            return data
        out = b"".join([self._event(payload) for payload in payloads])
        if not out and self._parser.comments > self._comments and not self._closed:
            out = _KEEP_ALIVE
        self._comments = self._parser.comments
        return out

    def finish(self) -> bytes:
        """Everything that was held back, and what an answer must end with."""
        payloads = self._parser.finish()
        if not self._enabled:
            self._watch(payloads)
            return b""
        out = b"".join([self._event(payload) for payload in payloads])
        if not self._closed and self.error is None:
            done = self._repairs.make("done_added")
            out += self._close() if done else self._close().removesuffix(event(_DONE))
        return out

    def stop(self, reason: str, usage: dict[str, Any] | None = None) -> bytes:
        """Everything that was held back but calls that are not whole, and an orderly end: each choice that has none
        yet gets `reason`, just as it is given. `usage` is what to tell where the provider has told none."""
        if self._closed or self.error is not None:
            return b""
        self._closed = True
        out = self._stopped(reason) if self._enabled else self._stopped_unread(reason)
        told = self._usage_event
        if told is None and usage is not None and not self._usage_went_out:
            told = encoded({**self._envelope, "choices": [], "usage": self.usage or usage})
        return out + (event(told) if told is not None else b"") + event(_DONE)

    def _stopped(self, reason: str) -> bytes:
        if not self._engine.choices:
            self._engine.choice(0)
        out = b""
        for index, state in sorted(self._engine.choices.items()):
            if state.finish_reason is not None:
                out += self._end(index, state)
                continue
            state.finish_reason = CUT
            deltas, _ = state.finish()
            out += self._frames(index, deltas) + self._finish_frame(index, reason)
        return out

    def _stopped_unread(self, reason: str) -> bytes:
        """The choices of bytes that passed as they were."""
        open_choices = [index for index, given in self._passed.items() if given is None]
        return b"".join([self._finish_frame(index, reason) for index in sorted(open_choices)])

    def _finish_frame(self, index: int, reason: str) -> bytes:
        self.finish_reason = self.finish_reason or reason
        return self._frame(self._envelope, {"index": index, "delta": {}, "finish_reason": reason})

    def break_off(self) -> bytes:
        """What is safe of what was held back. No finish frame and no `[DONE]`: the caller adds an error
        event."""
        if self._closed or not self._enabled:
            return b""
        last = b"".join(map(self._last_chunk, self._parser.finish()))
        self._closed = True
        return last + self._safe()

    def _last_chunk(self, payload: bytes) -> bytes:
        """An event that only the blank line is missing of; one that was cut is nothing."""
        try:
            chunk = msgspec.json.decode(payload)
        except (msgspec.MsgspecError, UnicodeError, RecursionError):
            return b""
        tells = isinstance(chunk, dict) and chunk.get("error") is None
        return self._chunk(payload, chunk) if tells else b""

    def _watch(self, payloads: list[bytes]) -> None:
        """Read the facts about events that pass through."""
        for payload in payloads:
            try:
                chunk = json.loads(payload.decode("utf-8", "replace"))
            except (ValueError, RecursionError):
                continue
            if isinstance(chunk, dict):
                self._note(chunk)
                self.error = chunk.get("error", self.error)
                self._usage_went_out = self._usage_went_out or isinstance(chunk.get("usage"), dict)
                self._watch_choices(chunk.get("choices"))

    def _watch_choices(self, choices: Any) -> None:
        choices = [c for c in choices if isinstance(c, dict)] if isinstance(choices, list) else []
        for choice in choices:
            index = self._index_of(choice)
            self._passed[index] = choice.get("finish_reason") or self._passed.get(index)
        if choices:
            self.finish_reason = choices[0].get("finish_reason") or self.finish_reason

    # events

    def _event(self, payload: bytes) -> bytes:
        if self._closed:
            return b""
        if payload == _DONE or payload.strip() == _DONE:
            return self._close() if self.error is None else b""
        try:
            chunk = _DECODER.decode(payload)
        except (msgspec.MsgspecError, UnicodeError, RecursionError):
            return self._lenient(payload)
        if (fast := self._fast(payload, chunk)) is not None:
            return fast
        return self._chunk(payload, msgspec.json.decode(payload))

    def _fast(self, payload: bytes, chunk: _Chunk) -> bytes | None:
        """The way of nearly all events, one piece of one choice: forward it as it came, or hold it back."""
        choices = chunk.choices
        if not choices or len(choices) > 1 or chunk.usage is not None or chunk.error is not None:
            return None
        choice = choices[0]
        delta, index = choice.delta, choice.index
        if delta is None or choice.finish_reason is not None or type(index) is not int:
            return None
        if index not in self._begun or chunk.object is None:
            return None
        state = self._engine.choices[index]
        if _is_one_text(delta) and state.passes(delta.content, delta.reasoning_content):
            return b"data: " + payload + b"\n\n"
        deltas = state.feed(delta)
        if not deltas:
            return b""
        self._note(msgspec.json.decode(payload))
        return self._frames(index, deltas)

    def _lenient(self, payload: bytes) -> bytes:
        """An event that is not quite JSON as it should be: odd types, invalid Unicode; or no JSON at all."""
        text = payload.decode("utf-8", "replace")
        try:
            value = json.loads(text)
        except (ValueError, RecursionError):
            value = None
        if not isinstance(value, dict):
            return self._unreadable(payload)
        if "\ufffd" in text and text.encode() != payload:
            self._repairs.make("lone_surrogate_replaced")
        return self._chunk(payload, value)

    def _chunk(self, payload: bytes, chunk: dict[str, Any]) -> bytes:
        """An event that has to be looked at."""
        if chunk.get("error") is not None:
            return self._fail(payload, chunk)
        self._note(chunk)
        choices = chunk.get("choices")
        choices = [c for c in choices if isinstance(c, dict)] if isinstance(choices, list) else []
        if not choices:
            return self._without_choices(payload, chunk)
        return b"".join([self._choice(payload, chunk, choice, len(choices)) for choice in choices])

    def _unreadable(self, payload: bytes) -> bytes:
        dropped = self._repairs.make("unreadable_event_dropped")
        return b"" if dropped else event(payload.replace(b"\n", b" "))

    def _note(self, chunk: dict[str, Any]) -> None:
        """Keep what the frames that are made here need: id, model and the like; and the usage."""
        self._envelope = {key: value for key, value in chunk.items() if key not in ("choices", "usage")}
        if "object" not in chunk and self._repairs.make("object_added"):
            self._envelope["object"] = _OBJECT
        if isinstance(chunk.get("id"), str):
            self.completion_id = chunk["id"]
        choices = chunk.get("choices")
        nested = [c.get("usage") for c in choices if isinstance(c, dict)] if isinstance(choices, list) else []
        self.usage = next((u for u in (chunk.get("usage"), *nested) if isinstance(u, dict)), self.usage)

    def _fail(self, payload: bytes, chunk: dict[str, Any]) -> bytes:
        """The provider's own error event, after what is safe to send."""
        out = self._safe()
        self.error = chunk["error"]
        self._closed = True
        return out + event(payload.replace(b"\n", b" "))

    def _without_choices(self, payload: bytes, chunk: dict[str, Any]) -> bytes:
        """Usage waits for the finish frame; anything else passes, its choices a list."""
        line = payload.replace(b"\n", b" ")
        if chunk.get("choices") != []:
            line = encoded({**self._envelope, "choices": [], "usage": chunk.get("usage")})
        if isinstance(chunk.get("usage"), dict):
            self._usage_event = line
            return b""
        return event(line)

    # choices

    def _choice(self, payload: bytes, chunk: dict[str, Any], choice: dict[str, Any], of: int) -> bytes:
        state = self._engine.choice(choice.get("index"))
        index = self._index_of(choice)
        given = choice.get("delta")
        given = given if isinstance(given, dict) else choice.get("message")
        given = given if isinstance(given, dict) else {}
        deltas = state.feed(Delta(**{field: given.get(field) for field in _FIELDS}))
        if of == 1 and not deltas and self._is_opening(index, given, choice):
            self._begun.add(index)
            return event(payload.replace(b"\n", b" "))
        if choice.get("finish_reason") is not None:
            self._note_finish(index, state, payload, chunk, choice, whole=of == 1 and _is_plain_finish(choice))
        return self._frames(index, deltas)

    @staticmethod
    def _index_of(choice: dict[str, Any]) -> int:
        index = choice.get("index")
        return index if isinstance(index, int) and not isinstance(index, bool) else 0

    def _is_opening(self, index: int, given: dict[str, Any], choice: dict[str, Any]) -> bool:
        """Whether an event is the customary first one: a role and nothing else."""
        return (
            index not in self._begun
            and choice.get("index") is index
            and given.get("role") == "assistant"
            and choice.get("finish_reason") is None
            and "object" in self._envelope
            and not any(given.get(field) for field in _FIELDS if field != "role")
            and self._envelope.get("object") == _OBJECT
        )

    def _note_finish(
        self,
        index: int,
        state: ChoiceRepair,
        payload: bytes,
        chunk: dict[str, Any],
        choice: dict[str, Any],
        *,
        whole: bool,
    ) -> None:
        """Keep a finish until everything else went out."""
        state.finish_reason = choice["finish_reason"]
        extra = {key: value for key, value in choice.items() if key not in ("index", "delta", "message")}
        envelope = dict(self._envelope)
        if chunk.get("usage") is not None:
            envelope["usage"] = chunk["usage"]
        self._finishes[index] = (payload if whole else b"", envelope, extra)

    def _frames(self, index: int, deltas: Deltas) -> bytes:
        """Deltas as events; the first one of a choice carries the role."""
        out = []
        for delta in deltas:
            if index not in self._begun:
                self._begun.add(index)
                if self._repairs.make("role_added"):
                    delta = {"role": "assistant", **delta}
            out.append(self._frame(self._envelope, {"index": index, "delta": delta, "finish_reason": None}))
        return b"".join(out)

    @staticmethod
    def _frame(envelope: dict[str, Any], choice: dict[str, Any]) -> bytes:
        return event(encoded({**envelope, "choices": [choice]}))

    # the end

    def _close(self) -> bytes:
        """Everything that is left, in order: text and calls, finish frames, usage, `[DONE]`."""
        self._closed = True
        out = [self._end(index, state) for index, state in sorted(self._engine.choices.items())]
        if self._usage_event is not None:
            out.append(event(self._usage_event))
        elif self._facts.include_usage and self.usage is not None:
            out.append(event(encoded({**self._envelope, "choices": [], "usage": self.usage})))
        return b"".join(out) + event(_DONE)

    def _end(self, index: int, state: ChoiceRepair) -> bytes:
        deltas, reason = state.finish()
        out = self._frames(index, deltas)
        if index not in self._begun:
            out += self._frames(index, [{"content": ""}])
        if self.finish_reason is None and isinstance(reason, str):
            self.finish_reason = reason
        if reason is None and index not in self._finishes:
            return out
        payload, envelope, extra = self._finishes.get(index, (b"", self._envelope, {}))
        if payload and extra.get("finish_reason") == reason and envelope.get("object") == _OBJECT:
            return out + event(payload.replace(b"\n", b" "))
        return out + self._frame(envelope, {"index": index, "delta": {}, **extra, "finish_reason": reason})

    def _safe(self) -> bytes:
        choices = sorted(self._engine.choices.items())
        return b"".join([self._frames(index, state.break_off()) for index, state in choices])


def _is_one_text(delta: Delta) -> bool:
    """Whether a delta holds content or reasoning and nothing else."""
    return (
        delta.tool_calls is None
        and delta.reasoning is None
        and delta.reasoning_details is None
        and delta.function_call is None
        and (delta.content is None) is not (delta.reasoning_content is None)
    )


def _is_plain_finish(choice: dict[str, Any]) -> bool:
    """Whether a choice with a finish reason is a finish frame as it should be."""
    return choice.get("delta") == {} and type(choice.get("index")) is int
