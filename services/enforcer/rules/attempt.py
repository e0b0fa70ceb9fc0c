"""One call's answer, chunk by chunk: what of it may go on to the client, and what has to be known of it at its end.

Rules:

* Text passes as it comes, through the gates that hold back what may be a loop or was said before.
* The termination call is never seen: its answer becomes content.
* Calls are held back where they have to be checked, or may be cut off with a loop; else they pass as they come.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any

from services.enforcer.rules.calls import Call, Calls
from services.enforcer.rules.demand import Demand
from services.enforcer.rules.final_answer import FinalAnswer
from services.enforcer.rules.gates import Echo, LoopGate
from shared.contracts import RepeatSettings
from shared.prefixes import Prefix
from shared.repeats.loop import Loop

Json = dict[str, Any]

TEXTS = ("reasoning_content", "content")
ANSWERS = ("refusal", "audio")  # other ways of answering a turn
READ = frozenset({"role", "content", "reasoning_content", "tool_calls"})
FINAL = "final_answer"
NOTHING = Prefix()
MOST_CHARACTERS = 32 * 1024 * 1024  # of one attempt, which has to be kept in case it is asked again


class TooLong(Exception):
    """An answer is longer than what can be kept of it."""


@dataclass(frozen=True)
class Text:
    field: str  # content | reasoning_content
    text: str
    source: str  # which text it is a part of: content | reasoning_content | final_answer


@dataclass(frozen=True)
class Piece:
    """Of a call that passes."""

    index: int
    call: Call
    piece: str


@dataclass(frozen=True)
class Other:
    delta: Json


Part = Text | Piece | Other


@dataclass(frozen=True)
class Looping:
    channel: str
    loop: Loop


class Attempt:
    """`earlier` are the contents of earlier attempts that the client has; `prefix` is what this one goes on from."""

    def __init__(self, demand: Demand, earlier: Collection[str] = (), prefix: Prefix = NOTHING) -> None:
        self._demand = demand
        self._before = {"content": prefix.content, "reasoning_content": prefix.reasoning}
        self._gates: dict[str, LoopGate] = {}
        self._echo = Echo(earlier)
        self._earlier = earlier
        self._final_echo: Echo | None = None  # once there is a final answer
        self._final = FinalAnswer()
        self._final_index: int | None = None  # of the termination call
        self._characters = 0
        self.said: dict[str, list[str]] = {name: [] for name in (*TEXTS, FINAL)}
        self.calls = Calls()
        self.looping: Looping | None = None
        self.has_other = False  # a refusal or the like: no failed turn

    def text(self, field: str) -> str:
        return "".join(self.said[field])

    @property
    def holds_calls(self) -> bool:
        return self._demand.check is not None or self._demand.retry is not None

    @property
    def client_calls(self) -> list[Call]:
        return self.calls.but(self._demand.termination)

    @property
    def is_terminated(self) -> bool:
        return self.calls.has(self._demand.termination)

    def feed(self, delta: Json) -> Iterator[Part]:
        """What may go on of a delta in canonical form."""
        for field in TEXTS:
            if isinstance(text := delta.get(field), str) and text:
                if field == "content":
                    yield from self._release("reasoning_content")
                yield from self._said(field, field, text)
        for fragment in delta.get("tool_calls") or ():
            yield from self._call(fragment)
        if others := {name: value for name, value in delta.items() if name not in READ and value is not None}:
            self.has_other = self.has_other or any(map(others.get, ANSWERS))
            yield Other(others)

    def finish(self) -> Iterator[Part]:
        """The answer is over, and was no loop: what was held back of its texts."""
        yield from self._release("reasoning_content")
        yield from self._release("content")
        if self._final_echo is not None:
            yield from self._final_said(self._final.finish())
            yield from self._release(FINAL)

    # texts

    def _said(self, field: str, source: str, text: str) -> Iterator[Text]:
        """A text through its gates; a loop in it ends everything."""
        self._count(text)
        if self.looping is not None:
            return
        if self._demand.retry is not None:
            gate = self._gate(source, self._demand.retry)
            text = gate.feed(text)
            self.looping = Looping(source, gate.loop) if gate.loop is not None else None
        yield from self._passed(field, source, text)

    def _gate(self, channel: str, repeat: RepeatSettings) -> LoopGate:
        if channel not in self._gates:
            self._gates[channel] = LoopGate(repeat, self._before.get(channel, ""))
        return self._gates[channel]

    def _passed(self, field: str, source: str, text: str) -> Iterator[Text]:
        self.said[source].append(text)
        echo = self._echo_of(source)
        if text := echo.feed(text) if echo is not None else text:
            yield Text(field, text, source)

    def _echo_of(self, source: str) -> Echo | None:
        return {"content": self._echo, FINAL: self._final_echo}.get(source)

    def _release(self, source: str) -> Iterator[Text]:
        """Another text begins: what the gates hold of this one."""
        field = "content" if source == FINAL else source
        if self.looping is None and source in self._gates:
            yield from self._passed(field, source, self._gates[source].finish())
        echo = self._echo_of(source)
        if rest := echo.finish() if echo is not None else "":
            yield Text(field, rest, source)

    # calls

    def _call(self, fragment: Any) -> Iterator[Part]:
        if not isinstance(fragment, dict):
            return
        index, call, piece = self.calls.take(fragment)
        self._count(piece)
        if self._demand.termination is not None and call.name == self._demand.termination:
            yield from self._terminating(index, piece)
            return
        self._watch(index, piece)
        if not self.holds_calls and call.name:
            yield from self._release("reasoning_content")
            yield from self._release("content")
            yield Piece(index, call, piece)

    def _watch(self, index: int, piece: str) -> None:
        """A loop in a call that is held back."""
        if self._demand.retry is None or self.looping is not None:
            return
        channel = f"tool_calls.{index}.arguments"
        gate = self._gate(channel, self._demand.retry)
        gate.feed(piece)
        self.looping = Looping(channel, gate.loop) if gate.loop is not None else None

    def _terminating(self, index: int, piece: str) -> Iterator[Part]:
        """Of several final answers the first counts."""
        if self._final_echo is None:
            yield from self._release("reasoning_content")
            yield from self._release("content")
            self._final_index, self._final_echo = index, Echo([*self._earlier, self.text("content")])
        if index == self._final_index:
            yield from self._final_said(self._final.feed(piece))

    def _final_said(self, text: str) -> Iterator[Text]:
        if text:
            yield from self._said("content", FINAL, text)

    def _count(self, text: str) -> None:
        self._characters += len(text)
        if self._characters > MOST_CHARACTERS:
            raise TooLong(f"an answer is longer than {MOST_CHARACTERS} characters")
