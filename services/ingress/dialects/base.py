"""What every dialect must be able to do."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Protocol

from shared.contracts import End, Fault

NOTHING: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True, kw_only=True)
class Refusal:
    """An error answer as the dialect's clients expect it."""

    status: int
    body: bytes
    headers: dict[str, str] = field(default_factory=dict)


class AnswerCodec(Protocol):
    """Turns one canonical event stream into the dialect's."""

    def feed(self, data: bytes) -> bytes:
        """What the client can be given now: whole events only."""

    def restart(self) -> None:
        """Another call answers: what was fed is void. What was written was a beginning or a keep-alive, and stays."""

    def finish(self, end: End) -> bytes:
        """What is still owed after the last byte: an end, or an error event."""

    def keep_alive(self) -> bytes:
        """Bytes that say nothing, for a client that has waited for long."""


class Answering(Protocol):
    """One request's answer in its dialect."""

    @property
    def headers(self) -> dict[str, str]:
        """Headers of the answer that the dialect's clients look for."""

    @property
    def is_translated(self) -> bool:
        """Whether the client gets other bytes than those of the canonical answer."""

    @property
    def left_out(self) -> Mapping[str, str]:
        """What of the answer the client could not be told, and why; known when the answer was read."""

    def codec(self) -> AnswerCodec: ...

    def plain(self, body: bytes, end: End) -> bytes:
        """A whole canonical completion, which ended so, in the dialect; raises Refused where it can't be said."""

    def refusal(self, fault: Fault) -> Refusal: ...


@dataclass(frozen=True, kw_only=True)
class Asked:
    """A request, understood."""

    model: str | None
    stream: bool
    body: bytes  # in canonical form
    is_json: bool
    choices: int = 1
    answering: Callable[[str, float], Answering]  # of a request id and the Unix time of the request
    dropped: Mapping[str, str] = field(default_factory=dict)  # what the canonical form has no place for, and why


class Dialect(Protocol):
    name: str

    def read(self, body: bytes) -> Asked:
        """Raises Refused when the body is no request of this dialect."""

    def answering(self, id: str) -> Answering:
        """For an answer that nothing was asked for in this dialect."""

    def refusal(self, fault: Fault, id: str = "") -> Refusal:
        """The answer to a request that got no further than the door; `id` is its id, where it has one."""
