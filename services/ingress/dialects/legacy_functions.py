"""Chat completions as they were before `tools`: `functions`, `function_call` and messages of the role `function`.

They become tools on the way in and functions again on the way out, whatever the provider: the pipeline and most
providers know tools only. A turn has at most one function call; of several calls the client gets the first.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Annotated, Any, Literal

import msgspec

from services.ingress.dialects.base import AnswerCodec, Asked
from services.ingress.dialects.conversation import NO_RESULT, Json, call_of
from services.ingress.dialects.deltas import DONE, Call, CallBegun, CallIndex
from services.ingress.dialects.faults import converted, invalid_request
from services.ingress.dialects.openai_chat import OpenAIChat, OpenAIChatAnswer, OpenAIChatAnswering, understood
from shared.contracts import End
from shared.errors import Refused
from shared.sse import SseParser, event

Raws = dict[str, msgspec.Raw]

CALLS = b'"tool_calls"'  # in every event that has to be changed: a call, or the reason to finish
ONE_CALL = "a `function_call` is one call a turn: of several the client got the first"

_decode_raws = msgspec.json.Decoder(Raws).decode
_decode = msgspec.json.decode
_encode = msgspec.json.encode


class _Function(msgspec.Struct):
    name: Annotated[str, msgspec.Meta(min_length=1)]


class _Legacy(msgspec.Struct):
    functions: list[_Function] | None = None
    function_call: Literal["auto", "none"] | _Function | None = None


class _Made(msgspec.Struct):
    """A function call in the history."""

    name: str
    arguments: str | dict[str, Any] | None = None


# -- requests


class ChatWithFunctions(OpenAIChat):
    """Chat completions, of which those in the old form are translated. All others keep their bytes."""

    def read(self, body: bytes) -> Asked:
        request = understood(body)
        asked = self.asked(request, body)
        asks = _is_there(request.functions) or _is_there(request.function_call)
        if not asks and not any(map(_is_legacy, request.messages)):
            return asked
        made, answers_so, dropped = canonical(body)
        answering = LegacyAnswering if answers_so else asked.answering
        return replace(asked, body=made, answering=answering, dropped=dropped)


def _is_legacy(message: Raws) -> bool:
    """SDKs write a null where there is nothing."""
    return _is_there(message.get("function_call")) or bytes(message.get("role", msgspec.Raw())) == b'"function"'


def _is_there(raw: msgspec.Raw | None) -> bool:
    return raw is not None and bytes(raw) != b"null"


def _role(message: Raws) -> Any:
    return _decode(message["role"]) if "role" in message else None


def canonical(body: bytes) -> tuple[bytes, bool, dict[str, str]]:
    """The request with tools, whether its answer is to have functions again, and what was dropped; raises Refused."""
    fields = _decode_raws(body)
    old: Json = {name: _decode(fields.pop(name)) for name in ("functions", "function_call") if name in fields}
    asked = converted(old, _Legacy)
    history = _History()
    made: dict[str, Any] = {**fields, "messages": history.taken(_decode(fields["messages"], type=list[Raws]))}
    if asked.function_call is not None and not asked.functions:
        history.dropped["function_call"] = "there are no functions to choose from"
    if asked.functions is None:
        return _encode(made), False, history.dropped
    if _is_there(fields.get("tools")):
        raise Refused(
            invalid_request("Invalid request: functions: send `tools` or `functions`, not both.", "functions")
        )
    return _encode(made | _tools(old["functions"], asked.function_call, fields)), True, history.dropped


def _tools(functions: list[Json], choice: str | _Function | None, fields: Raws) -> Json:
    if not functions:
        return {}
    made: Json = {"tools": [{"type": "function", "function": function} for function in functions]}
    if not _is_there(fields.get("parallel_tool_calls")):
        made["parallel_tool_calls"] = False
    if choice is not None:
        made["tool_choice"] = choice if isinstance(choice, str) else _choice_of(choice.name)
    return made


def _choice_of(name: str) -> Json:
    return {"type": "function", "function": {"name": name}}


class _History:
    """The messages with calls that have ids. An id is made as the pipeline makes them, so that thoughts are found."""

    def __init__(self) -> None:
        self.dropped: dict[str, str] = {}
        self._calls = 0
        self._open: str | None = None  # id of the call that has no result yet

    def taken(self, messages: list[Raws]) -> list[Any]:
        made = [one for at, message in enumerate(messages) for one in self._take(at, message)]
        return made + list(self._settled())

    def _take(self, at: int, message: Raws) -> Iterator[Any]:
        if _role(message) == "function":
            yield self._result(message)
            return
        yield from self._settled()
        function_call = message.get("function_call")
        if not _is_there(message.get("tool_calls")):
            yield self._call(at, message, function_call) if function_call and _is_there(function_call) else message
            return
        self._calls += len(_decode(message["tool_calls"]))
        if _is_there(function_call):
            self.dropped["messages[].function_call"] = "the message has `tool_calls`, which say the same"
        yield {name: value for name, value in message.items() if name != "function_call"}

    def _call(self, at: int, message: Raws, raw: msgspec.Raw) -> Any:
        try:
            made = msgspec.json.decode(raw, type=_Made)
        except msgspec.ValidationError as error:
            param = f"messages[{at}].function_call"
            raise Refused(invalid_request(f"Invalid request: {param}: {error}.", param)) from error
        arguments = made.arguments or "{}"
        self._open = f"{made.name}_{self._calls}"
        self._calls += 1
        text = arguments if isinstance(arguments, str) else _encode(arguments).decode()
        kept = {name: value for name, value in message.items() if name != "function_call"}
        return {**kept, "tool_calls": [call_of(self._open, made.name, text)]}

    def _result(self, message: Raws) -> Any:
        content = _decode(message["content"]) if "content" in message else None
        if self._open is not None:
            id, self._open = self._open, None
            return {"role": "tool", "tool_call_id": id, "content": "" if content is None else content}
        name = _decode(message["name"]) if "name" in message else ""
        text = content if isinstance(content, str) else _encode(content).decode()
        return {"role": "user", "content": f"[result of the function {name}]\n{text}"}

    def _settled(self) -> Iterator[Json]:
        if self._open is not None:
            id, self._open = self._open, None
            yield {"role": "tool", "tool_call_id": id, "content": NO_RESULT}


# -- answers


class LegacyAnswering(OpenAIChatAnswering):
    """A canonical answer with `function_call` in the place of `tool_calls`."""

    is_translated = True

    def __init__(self, id: str, at: float = 0.0) -> None:
        super().__init__(id, at)
        self._left_out: dict[str, str] = {}

    @property
    def left_out(self) -> dict[str, str]:
        return self._left_out

    def codec(self) -> AnswerCodec:
        return LegacyAnswer(self._left_out)

    def plain(self, body: bytes, end: End) -> bytes:
        if CALLS not in body:
            return body
        completion = _decode(body)
        for choice in completion["choices"]:
            _with_function_call(choice, choice.get("message") or {}, CallIndex(), self._left_out)
        return _encode(completion)


class LegacyAnswer:
    """The same of an event stream, piece by piece."""

    def __init__(self, left_out: dict[str, str]) -> None:
        self._left_out = left_out
        self._begin()

    def _begin(self) -> None:
        self._whole = OpenAIChatAnswer()
        self._parser = SseParser()
        self._calls: dict[int, CallIndex] = {}

    def feed(self, data: bytes) -> bytes:
        return self._told(self._whole.feed(data))

    def restart(self) -> None:
        self._left_out.clear()
        self._begin()

    def keep_alive(self) -> bytes:
        return self._whole.keep_alive()

    def finish(self, end: End) -> bytes:
        return self._told(self._whole.finish(end))

    def _told(self, events: bytes) -> bytes:
        return b"".join(event(self._event(payload)) for payload in self._parser.feed(events))

    def _event(self, payload: bytes) -> bytes:
        if CALLS not in payload or payload.strip() == DONE:
            return payload
        chunk = _decode(payload)
        for choice in chunk["choices"]:
            calls = self._calls.setdefault(choice.get("index") or 0, CallIndex())
            _with_function_call(choice, choice.get("delta") or {}, calls, self._left_out)
        return _encode(chunk)


def _with_function_call(choice: Json, message: Json, calls: CallIndex, left_out: dict[str, str]) -> None:
    """Changes a choice, and its message or delta, in place."""
    fragments = message.pop("tool_calls", None)
    made: Json = {}
    for said in (said for one in fragments or () for said in calls.take(msgspec.convert(one, Call))):
        if said.call:
            left_out["tool_calls"] = ONE_CALL
        elif isinstance(said, CallBegun):
            made |= {"name": said.name, "arguments": ""}
        else:
            made["arguments"] = made.get("arguments", "") + said.text
    if made:
        message["function_call"] = made
    if choice.get("finish_reason") == "tool_calls":
        choice["finish_reason"] = "function_call"
