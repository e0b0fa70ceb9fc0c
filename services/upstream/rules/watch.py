"""What an answer says about itself, read beside the bytes as they pass.

Most chunks cost one search: they are only parsed where they can hold a usage, a finish reason, an error or the end.
"""

from __future__ import annotations

import json
import re
from contextlib import suppress
from typing import Any

import msgspec

from shared.contracts import Fault, Usage

LINE_BYTES = 8 * 1024 * 1024  # an event line longer than this is not read; its bytes pass all the same
TELLING = re.compile(rb'"(?:usage"\s*:\s*\{|finish_reason"\s*:\s*"|error"\s*:\s*[{"])|\[DONE\]')


FAULT_BODY_BYTES = 64 * 1024  # of a provider's error that is handed on as it is; messages on the bus are limited
MESSAGE_CHARACTERS = 4000  # of a provider's words
NOTHING = msgspec.Raw(b"null")
NO_ERROR = (b"null", b"false", b'""', b"{}")


class _TokenDetails(msgspec.Struct):
    cached_tokens: int | None = None
    reasoning_tokens: int | None = None


class _Usage(msgspec.Struct):
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    total_tokens: int | None = None
    cached_tokens: int | None = None  # Moonshot's flat field
    prompt_tokens_details: _TokenDetails | None = None
    completion_tokens_details: _TokenDetails | None = None


class _Choice(msgspec.Struct):
    finish_reason: str | None = None
    usage: _Usage | None = None  # Moonshot puts it here
    error: msgspec.Raw = NOTHING  # OpenRouter's, in a plain answer


class _Answer(msgspec.Struct):
    id: str | None = None
    choices: list[_Choice] | None = None
    usage: _Usage | None = None
    error: msgspec.Raw = NOTHING  # msgspec takes `Raw | None` for null alone


class _ProviderError(msgspec.Struct):
    message: str | None = None
    type: str | None = None
    code: str | int | None = None
    param: str | None = None
    metadata: Any = None  # OpenRouter's: {"error_type": a stable name, …}


_decode_answer = msgspec.json.Decoder(_Answer, strict=False).decode
_decode_error = msgspec.json.Decoder(_ProviderError, strict=False).decode


class AnswerFacts:
    """What is known of an answer so far."""

    def __init__(self) -> None:
        self.completion_id: str | None = None
        self.finish_reason: str | None = None
        self.usage: Usage | None = None
        self.error: Fault | None = None
        self.done_seen = False

    @property
    def is_whole(self) -> bool:
        """The provider said that it has finished."""
        return self.done_seen or self.finish_reason is not None

    def learn(self, text: bytes) -> bool:
        """Takes one JSON text of the answer; whether it was one."""
        try:
            answer = _decode_answer(text)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            salvaged = _salvaged(text)
            if salvaged is None:
                return False
            answer = salvaged
        self.completion_id = self.completion_id or answer.id
        if bytes(answer.error) not in NO_ERROR:
            self.error = error_fault(502, bytes(answer.error), text)
        usage = answer.usage
        for choice in answer.choices or ():
            if bytes(choice.error) not in NO_ERROR:
                self.error = error_fault(502, bytes(choice.error), text)
            self.finish_reason = choice.finish_reason or self.finish_reason
            usage = usage or choice.usage
        if usage is not None:
            self.usage = _counted(usage)
        return True


def _salvaged(text: bytes) -> _Answer | None:
    """The fields that can be read of an answer in which others can't: odd types, or halves of a surrogate pair."""
    try:
        fields = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if not isinstance(fields, dict):
        return None
    answer = _Answer()
    for name, kind in _READ_ALONE.items():
        with suppress(msgspec.ValidationError):
            setattr(answer, name, msgspec.convert(fields.get(name), kind, strict=False))
    if "error" in fields:
        answer.error = msgspec.Raw(json.dumps(fields["error"]).encode())
    return answer


_READ_ALONE: dict[str, Any] = {"id": str | None, "choices": list[_Choice] | None, "usage": _Usage | None}


class StreamWatch:
    """Reads along an event stream: `feed` every piece, then look at `facts`."""

    def __init__(self) -> None:
        self.facts = AnswerFacts()
        self._tail = bytearray()  # a line whose end has not come
        self._skips_line = False  # it was too long and is let go of

    def feed(self, data: bytes) -> None:
        cut = max(data.rfind(b"\n"), data.rfind(b"\r")) + 1
        if cut:
            lines = bytes(self._tail) + data[:cut] if self._tail else data[:cut]
            self._tail.clear()
            if self._skips_line:
                self._skips_line = False
                lines = lines[min(at for end in b"\n\r" if (at := lines.find(end)) >= 0) :]
            if self.facts.completion_id is None or TELLING.search(lines):
                self._read(lines)
        self._hold(data[cut:])

    def _hold(self, rest: bytes) -> None:
        if len(self._tail) + len(rest) > LINE_BYTES:
            self._skips_line = True
            self._tail.clear()
        elif not self._skips_line:
            self._tail += rest

    def finish(self) -> None:
        """The stream is over: a last line without its line end counts."""
        self._read(bytes(self._tail))
        self._tail.clear()

    def _read(self, lines: bytes) -> None:
        for line in lines.splitlines():
            if line.startswith(b"data:") and (self.facts.completion_id is None or TELLING.search(line)):
                value = line[5:].strip()
                if value == b"[DONE]":
                    self.facts.done_seen = True
                else:
                    self.facts.learn(value)


def _counted(usage: _Usage) -> Usage:
    prompt, completion = usage.prompt_tokens or 0, usage.completion_tokens or 0
    nested = usage.prompt_tokens_details or _TokenDetails()
    thought = usage.completion_tokens_details or _TokenDetails()
    return Usage(
        prompt_tokens=prompt,
        completion_tokens=completion,
        total_tokens=usage.total_tokens or prompt + completion,
        cached_tokens=usage.cached_tokens or nested.cached_tokens or 0,
        reasoning_tokens=thought.reasoning_tokens or 0,
    )


def error_fault(status: int, error: bytes, body: bytes, retry_after_s: float | None = None) -> Fault:
    """The fault in a provider's `error` value; `body` is what it stood in."""
    try:
        said = _decode_error(error)
    except (msgspec.DecodeError, UnicodeDecodeError):
        said = _ProviderError(message=error.decode("utf-8", "replace").strip('"'))
    metadata = said.metadata if isinstance(said.metadata, dict) else {}
    named, whose = metadata.get("error_type"), metadata.get("provider_name")
    kind = said.type or (named if isinstance(named, str) else None) or "provider_error"
    message = said.message or "The provider reported an error without a message."
    if isinstance(whose, str):  # not in the real provider's words: they speak of its account with OpenRouter, not ours
        message = f"{message} ({whose})"
    return Fault(
        status=status,
        code=str(said.code or kind),
        type=kind,
        message=message[:MESSAGE_CHARACTERS],
        param=said.param,
        retry_after_s=retry_after_s,
        body=body.decode("utf-8", "replace") if len(body) <= FAULT_BODY_BYTES else None,
    )
