"""A chat answer as the events that build a response up.

    response.created, response.in_progress, then for each item output_item.added, what belongs to its kind,
    output_item.done; then response.completed, .incomplete or .failed with the whole response.

Sequence numbers count from 0 by 1. They depend on the canonical answer alone, so that a stream can be resumed from the
capture stream: a keep-alive repeats `response.in_progress` under the number of the event before it.
"""

from __future__ import annotations

from services.ingress.dialects.blocks import Block, BlockReader, Step
from services.ingress.dialects.conversation import Json
from services.ingress.dialects.named_events import named_event
from services.ingress.dialects.responses.objects import Frame, custom_input, ending_of, error_of, usage_of
from services.ingress.dialects.responses.unwrap import InputText
from services.ingress.dialects.tokens import tokens_of
from shared.contracts import End, Fault
from shared.unmet import unmet_mark

CANCELLED = "cancelled"  # the fault of a call that somebody stopped
NO_END = Fault(status=502, code="no_answer", type="server_error", message="The answer has no end.")


class ResponsesCodec:
    """`after` is the number of the last event that the client has: those up to it are not written again."""

    def __init__(self, frame: Frame, after: int = -1) -> None:
        self.response: Json = frame.response("queued", [])  # as it was last told
        self._frame = frame
        self._after = after
        self._reader = BlockReader()
        self._output: list[Json] = []
        self._input = InputText()  # of the custom tool that is open
        self._next = 0  # sequence number

    def feed(self, data: bytes) -> bytes:
        steps = self._reader.feed(data)
        return (self._begin() if self._reader.has_begun else b"") + self._steps(steps)

    def restart(self) -> None:
        self._reader = BlockReader()
        self._output = []

    def keep_alive(self) -> bytes:
        if not self._next:
            return self._begin()
        response = self._frame.response("in_progress", list(self._output))
        return _written(self._next - 1, "response.in_progress", response=response)

    def finish(self, end: End) -> bytes:
        if not end.is_well_formed:
            return self._begin() + self._failed(end.fault or NO_END)
        out = self._begin() + self._steps(self._reader.finish())
        reason = self._reader.finish_reason or end.finish_reason
        status, incomplete = ending_of(reason, is_stopped=end.outcome == "stopped")
        usage = usage_of(tokens_of(self._reader.usage, end.usage))
        facts = {"incomplete_details": incomplete, "usage": usage, "completed_at": int(end.at)}
        facts |= unmet_mark(end.unmet, end.attempts)
        return out + self._state(status, status, **facts)

    def _failed(self, fault: Fault) -> bytes:
        if fault.code == CANCELLED:
            return self._state("failed", "cancelled")
        return self._state("failed", "failed", error=error_of(fault))

    def _begin(self) -> bytes:
        if self._next:
            return b""
        return self._state("created", "in_progress") + self._state("in_progress", "in_progress")

    def _state(self, event: str, status: str, **facts: object) -> bytes:
        self.response = self._frame.response(status, list(self._output), **facts)
        return self._event(f"response.{event}", response=self.response)

    def _event(self, kind: str, **fields: object) -> bytes:
        number, self._next = self._next, self._next + 1
        return _written(number, kind, **fields) if number > self._after else b""

    def _steps(self, steps: list[Step]) -> bytes:
        return b"".join([self._step(step) for step in steps])

    def _step(self, step: Step) -> bytes:
        block = step.block
        if step.what == "grow":
            return self._grown(block, step.text)
        return self._opened(block) if step.what == "open" else self._closed(block)

    # -- an item opens, grows, closes

    def _opened(self, block: Block) -> bytes:
        self._input = InputText()
        empty = Block(block.number, block.kind, block.id, block.name)
        item = self._frame.item(empty, "in_progress")
        out = self._event("response.output_item.added", output_index=block.number, item=item)
        if block.kind == "reasoning":
            part = {"type": "summary_text", "text": ""}
            return out + self._about(block, "reasoning_summary_part.added", summary_index=0, part=part)
        if block.kind != "call":
            part = self._frame.part(empty)
            return out + self._about(block, "content_part.added", content_index=0, part=part)
        return out

    def _grown(self, block: Block, text: str) -> bytes:
        if block.kind == "reasoning":
            return self._about(block, "reasoning_summary_text.delta", summary_index=0, delta=text)
        if block.kind == "refusal":
            return self._about(block, "refusal.delta", content_index=0, delta=text)
        if block.kind == "text":
            return self._about(block, "output_text.delta", content_index=0, delta=text, logprobs=[])
        kind = self._frame.origin(block).kind
        if kind == "function":
            return self._about(block, "function_call_arguments.delta", delta=text)
        if kind == "custom" and (given := self._input.feed(text)):
            return self._about(block, "custom_tool_call_input.delta", delta=given)
        return b""

    def _closed(self, block: Block) -> bytes:
        item = self._frame.item(block)
        self._output.append(item)
        return self._whole(block) + self._event("response.output_item.done", output_index=block.number, item=item)

    def _whole(self, block: Block) -> bytes:
        """The events that say again what has grown."""
        text = block.text
        if block.kind == "reasoning":
            part = {"type": "summary_text", "text": text}
            done = self._about(block, "reasoning_summary_text.done", summary_index=0, text=text)
            return done + self._about(block, "reasoning_summary_part.done", summary_index=0, part=part)
        if block.kind == "call":
            return self._whole_call(block, text)
        said = {"refusal": text} if block.kind == "refusal" else {"text": text, "logprobs": []}
        name = "refusal.done" if block.kind == "refusal" else "output_text.done"
        done = self._about(block, name, content_index=0, **said)
        return done + self._about(block, "content_part.done", content_index=0, part=self._frame.part(block))

    def _whole_call(self, block: Block, arguments: str) -> bytes:
        origin = self._frame.origin(block)
        if origin.kind == "function":
            return self._about(block, "function_call_arguments.done", arguments=arguments, name=origin.name)
        if origin.kind != "custom":
            return b""
        text, given = custom_input(arguments), self._input.given
        rest = text[len(given) :] if text.startswith(given) else ""
        late = self._about(block, "custom_tool_call_input.delta", delta=rest) if rest else b""
        return late + self._about(block, "custom_tool_call_input.done", input=text)

    def _about(self, block: Block, kind: str, **fields: object) -> bytes:
        at = {"item_id": self._frame.item_id(block), "output_index": block.number}
        return self._event(f"response.{kind}", **at, **fields)


def _written(number: int, kind: str, **fields: object) -> bytes:
    return named_event({"type": kind, "sequence_number": number, **fields})
