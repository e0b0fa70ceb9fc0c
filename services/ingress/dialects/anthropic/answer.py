"""A chat answer as a message: whole, or as the events that build it up.

    message_start, ping, then for each block content_block_start, content_block_delta …, content_block_stop,
    then message_delta with stop_reason and usage, and message_stop; or `error` in place of what is left.

Blocks have the numbers 0, 1, 2 … and never interleave.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec

from services.ingress.dialects import carriers
from services.ingress.dialects.anthropic.errors import error_event, refusal
from services.ingress.dialects.anthropic.ids import to_client
from services.ingress.dialects.base import NOTHING, Refusal
from services.ingress.dialects.blocks import Block, BlockReader, Step, arguments_of, blocks_of
from services.ingress.dialects.named_events import named_event
from services.ingress.dialects.tokens import Tokens, tokens_of
from shared.contracts import End, Fault
from shared.errors import Refused
from shared.unmet import unmet_mark

Json = dict[str, Any]

STOP_REASONS = {
    "length": "max_tokens",
    "tool_calls": "tool_use",
    "function_call": "tool_use",
    "content_filter": "refusal",
}
"""Every other finish_reason is an end_turn: a chat provider doesn't say which stop sequence it met."""

PING = named_event({"type": "ping"})
BROKEN_ARGUMENTS = Fault(
    status=502,
    code="broken_arguments",
    type="server_error",
    message="The model's arguments for a tool are no JSON object. With the model's repair on they would be mended.",
)


@dataclass(frozen=True, kw_only=True)
class MessagesAnswering:
    """One request's answer."""

    id: str  # the request's
    model: str = ""  # as the client named it
    shows_thinking: bool = True
    input_tokens: int = 0  # estimated, until the provider has counted

    is_translated = True
    left_out = NOTHING

    @property
    def headers(self) -> dict[str, str]:
        return {"request-id": f"req_{self.id}"}

    def codec(self) -> MessagesCodec:
        return MessagesCodec(self)

    def plain(self, body: bytes, end: End) -> bytes:
        completion: Json = msgspec.json.decode(body)
        choice: Json = next(iter(completion.get("choices") or ()), {})
        blocks = blocks_of(choice.get("message") or {})
        content = [self._content(block) for block in blocks]
        calls = any(block.kind == "call" for block in blocks)
        tokens = tokens_of(completion.get("usage") or choice.get("usage"))
        message = self.message(content or [{"type": "text", "text": ""}], usage_of(tokens))
        message["stop_reason"] = stop_reason(choice.get("finish_reason"), calls)
        return msgspec.json.encode(message)

    def message(self, content: list[Json], usage: Json) -> Json:
        return {
            "id": f"msg_{self.id}",
            "type": "message",
            "role": "assistant",
            "model": self.model,
            "content": content,
            "stop_reason": None,
            "stop_sequence": None,
            "usage": usage,
        }

    def refusal(self, fault: Fault) -> Refusal:
        return refusal(fault, self.id)

    def signature(self, reasoning: str) -> str:
        return carriers.mark(reasoning) if self.shows_thinking else carriers.pack(reasoning)

    def _content(self, block: Block) -> Json:
        text = block.text
        if block.kind == "reasoning":
            shown = text if self.shows_thinking else ""
            return {"type": "thinking", "thinking": shown, "signature": self.signature(text)}
        if block.kind != "call":
            return {"type": "text", "text": text}
        given = arguments_of(text) if text.strip() else {}
        if given is None:
            raise Refused(BROKEN_ARGUMENTS)
        return {"type": "tool_use", "id": to_client(block.id), "name": block.name, "input": given}


def stop_reason(finish_reason: str | None, calls: bool) -> str:
    reason = STOP_REASONS.get(finish_reason or "", "end_turn")
    return "tool_use" if calls and reason == "end_turn" else reason


def usage_of(tokens: Tokens) -> Json:
    """Anthropic counts cached tokens beside `input_tokens`, chat completions within `prompt_tokens`."""
    return {
        "input_tokens": tokens.fresh,
        "cache_creation_input_tokens": tokens.cache_written,
        "cache_read_input_tokens": tokens.cached,
        "output_tokens": tokens.completion,
        "output_tokens_details": {"thinking_tokens": tokens.reasoning},
    }


class MessagesCodec:
    def __init__(self, answering: MessagesAnswering) -> None:
        self._answering = answering
        self._reader = BlockReader()
        self._started = False
        self._is_stopped = False
        self._is_broken = False  # a call's arguments are no JSON
        self._is_cut = False  # likewise, because the answer was ended there

    def feed(self, data: bytes) -> bytes:
        steps = self._reader.feed(data)
        return (self._begin() if self._reader.has_begun else b"") + self._written(steps)

    def restart(self) -> None:
        self._reader = BlockReader()

    def keep_alive(self) -> bytes:
        return self._begin() or PING

    def finish(self, end: End) -> bytes:
        if not end.is_well_formed:
            return error_event(end.fault, self._answering.id)
        self._is_stopped = end.outcome == "stopped"
        out = self._begin() + self._written(self._reader.finish())
        if self._is_broken:
            return out + error_event(BROKEN_ARGUMENTS, self._answering.id)
        if not self._reader.blocks:
            out += self._written(_EMPTY_TEXT)
        return out + self._ending(end)

    def _begin(self) -> bytes:
        if self._started:
            return b""
        self._started = True
        usage = {"input_tokens": self._answering.input_tokens, "output_tokens": 0}
        return named_event({"type": "message_start", "message": self._answering.message([], usage)}) + PING

    def _ending(self, end: End) -> bytes:
        reader = self._reader
        reason = stop_reason(reader.finish_reason or end.finish_reason, reader.has_calls)
        reason = STOP_REASONS["length"] if self._is_cut else reason
        delta = {"stop_reason": reason, "stop_sequence": None}
        usage = usage_of(tokens_of(reader.usage, end.usage))
        last = {"type": "message_delta", "delta": delta, "usage": usage, **unmet_mark(end.unmet, end.attempts)}
        return named_event(last) + named_event({"type": "message_stop"})

    def _written(self, steps: list[Step]) -> bytes:
        return b"".join([self._step(step) for step in steps])

    def _step(self, step: Step) -> bytes:
        block = step.block
        if step.what == "open":
            start = {"type": "content_block_start", "index": block.number, "content_block": _opened(block)}
            return named_event(start)
        if step.what == "grow":
            return self._grown(block, step.text)
        return self._closed(block)

    def _grown(self, block: Block, text: str) -> bytes:
        if block.kind == "call":
            return _delta(block, {"type": "input_json_delta", "partial_json": text})
        if block.kind != "reasoning":
            return _delta(block, {"type": "text_delta", "text": text})
        return _delta(block, {"type": "thinking_delta", "thinking": text}) if self._answering.shows_thinking else b""

    def _closed(self, block: Block) -> bytes:
        out = b""
        if block.kind == "reasoning":
            out = _delta(block, {"type": "signature_delta", "signature": self._answering.signature(block.text)})
        elif block.kind == "call" and block.text.strip() and not block.is_whole:
            self._is_cut = self._is_stopped or self._reader.finish_reason == "length"
            self._is_broken = not self._is_cut
        return out + named_event({"type": "content_block_stop", "index": block.number})


_EMPTY_TEXT = [Step(what, Block(0, "text")) for what in ("open", "close")]


def _opened(block: Block) -> Json:
    if block.kind == "reasoning":
        return {"type": "thinking", "thinking": "", "signature": ""}
    if block.kind == "call":
        return {"type": "tool_use", "id": to_client(block.id), "name": block.name, "input": {}}
    return {"type": "text", "text": ""}


def _delta(block: Block, delta: Json) -> bytes:
    return named_event({"type": "content_block_delta", "index": block.number, "delta": delta})
