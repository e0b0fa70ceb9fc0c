"""OpenAI's chat completions: the canonical form itself, so that bytes pass as they are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import msgspec

from services.ingress.dialects.base import NOTHING, AnswerCodec, Asked, Refusal
from services.ingress.dialects.faults import bad_json, invalid
from shared.contracts import End, Fault
from shared.errors import Refused
from shared.whole_answers import DONE, event
from shared.whole_events import WholeEvents

NULL = msgspec.Raw(b"null")
HINT = "Send a JSON object with `model` and `messages`."
KEEP_ALIVE = b": keep-alive\n\n"  # a comment: no client hands it on


class ChatRequest(msgspec.Struct):
    """The fields that decide the way through the pipeline; everything else is the provider's affair."""

    model: Annotated[str, msgspec.Meta(min_length=1)]
    messages: Annotated[list[dict[str, msgspec.Raw]], msgspec.Meta(min_length=1)]
    stream: bool | None = None
    stream_options: dict[str, Any] | None = None
    tools: list[dict[str, msgspec.Raw]] | None = None
    n: Any = None
    functions: msgspec.Raw = NULL
    function_call: msgspec.Raw = NULL


_decode = msgspec.json.Decoder(ChatRequest).decode


def understood(body: bytes) -> ChatRequest:
    """Raises Refused with what is wrong."""
    try:
        return _decode(body)
    except (msgspec.ValidationError, UnicodeDecodeError) as error:
        raise Refused(invalid(str(error))) from error
    except (msgspec.DecodeError, RecursionError) as error:
        raise Refused(bad_json(error, HINT)) from error


class OpenAIChat:
    name = "openai_chat"

    def read(self, body: bytes) -> Asked:
        return self.asked(understood(body), body)

    def asked(self, request: ChatRequest, body: bytes) -> Asked:
        return Asked(
            model=request.model,
            stream=bool(request.stream),
            body=body,
            is_json=True,
            choices=request.n if type(request.n) is int else 1,
            answering=OpenAIChatAnswering,
        )

    def answering(self, id: str) -> OpenAIChatAnswering:
        return OpenAIChatAnswering(id)

    def refusal(self, fault: Fault, id: str = "") -> Refusal:
        """The provider's own words where it had some, else ours in the same shape."""
        body = fault.body.encode() if fault.body is not None else msgspec.json.encode({"error": error_of(fault)})
        return Refusal(status=fault.status, body=body)


class OpenAIChatAnswering:
    """The canonical answer, as it is."""

    is_translated = False

    def __init__(self, id: str, at: float = 0.0) -> None:
        self._id = id

    @property
    def left_out(self) -> Mapping[str, str]:
        return NOTHING

    @property
    def headers(self) -> dict[str, str]:
        return {}

    def codec(self) -> AnswerCodec:
        return OpenAIChatAnswer()

    def plain(self, body: bytes, end: End) -> bytes:
        return body

    def refusal(self, fault: Fault) -> Refusal:
        return OpenAIChat().refusal(fault, self._id)


class OpenAIChatAnswer:
    """An event stream, written through: whole events only, and never without an end."""

    def __init__(self) -> None:
        self._events = WholeEvents()

    def feed(self, data: bytes) -> bytes:
        return self._events.feed(data)

    def restart(self) -> None:
        self._events = WholeEvents()

    def keep_alive(self) -> bytes:
        return KEEP_ALIVE

    def finish(self, end: End) -> bytes:
        if end.is_well_formed:
            return self._events.rest() + (b"" if end.done_seen else DONE)
        if end.fault is None or end.error_sent:
            return self._events.rest()
        return event({"error": error_of(end.fault)})


def error_of(fault: Fault) -> dict[str, Any]:
    return {"message": fault.message, "type": fault.type, "param": fault.param, "code": fault.code}
