"""OpenAI's Responses: items instead of messages, numbered events, and a memory of what was answered."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import msgspec

from services.ingress.dialects.base import NOTHING, Asked, Refusal
from services.ingress.dialects.blocks import blocks_of
from services.ingress.dialects.conversation import Json
from services.ingress.dialects.openai_chat import OpenAIChat
from services.ingress.dialects.responses.objects import Frame, ending_of, usage_of
from services.ingress.dialects.responses.request import Earlier, canonical, read, references
from services.ingress.dialects.responses.stream import ResponsesCodec
from services.ingress.dialects.tokens import tokens_of
from shared.contracts import End, Fault

__all__ = ["Earlier", "OpenAIResponses", "ResponsesAnswering"]


class OpenAIResponses(OpenAIChat):
    """Errors are those of chat completions."""

    name = "openai_responses"

    def references(self, body: bytes) -> list[str]:
        """Ids of responses and items that a request builds upon; raises Refused."""
        return references(read(body))

    def answering_of(self, body: bytes, id: str, at: float) -> ResponsesAnswering:
        """The answer to a request, without what that builds upon."""
        return ResponsesAnswering(Frame(id=id, at=at, request=read(body)))

    def read(self, body: bytes, earlier: Mapping[str, Earlier] | None = None) -> Asked:
        request = read(body)
        return Asked(
            model=request.wire.model,
            stream=bool(request.wire.stream),
            body=canonical(request, earlier or {}),
            is_json=True,
            answering=lambda id, at: ResponsesAnswering(Frame(id=id, at=at, request=request)),
            dropped=request.dropped,
        )


@dataclass(frozen=True)
class ResponsesAnswering:
    """One request's answer."""

    frame: Frame

    is_translated = True
    left_out = NOTHING

    @property
    def headers(self) -> dict[str, str]:
        return {"x-request-id": self.frame.id}

    def codec(self) -> ResponsesCodec:
        return ResponsesCodec(self.frame)

    def resumed(self, after: int) -> ResponsesCodec:
        """Writes nothing up to the event of that number."""
        return ResponsesCodec(self.frame, after)

    def plain(self, body: bytes, end: End) -> bytes:
        return msgspec.json.encode(self.response(body, end))

    def response(self, body: bytes, end: End) -> Json:
        """The response object of a whole canonical completion."""
        completion: Json = msgspec.json.decode(body)
        choice: Json = next(iter(completion.get("choices") or ()), {})
        output = [self.frame.item(block) for block in blocks_of(choice.get("message") or {})]
        status, incomplete = ending_of(choice.get("finish_reason"), is_stopped=end.outcome == "stopped")
        tokens = tokens_of(completion.get("usage") or choice.get("usage"))
        at = {"completed_at": int(end.at)}
        return self.frame.response(status, output, incomplete_details=incomplete, usage=usage_of(tokens), **at)

    def refusal(self, fault: Fault) -> Refusal:
        return OpenAIResponses().refusal(fault, self.frame.id)
