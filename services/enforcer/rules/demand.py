"""What has to be seen to in one answer: the model's settings, as far as the request lets them apply.

* A request without tools, with `tool_choice: "none"`, or for an answer in a format of its own is left alone: there a
  turn can't end in a tool call, or it must be one piece.
* Where the client itself demands a call (`required`, or a function by name) there is no termination tool: it wants one
  of its own tools called.
* A conversation that ends in the model's own finished turn (its calls, none of them answered) needs no call.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from services.enforcer.rules import termination
from services.enforcer.rules.request import Json, Request
from shared.contracts import CheckToolCalls, Enforcement, EnsureToolCall, RepeatSettings


@dataclass(frozen=True, kw_only=True)
class Demand:
    ensure: EnsureToolCall | None = None
    termination: str | None = None  # the name of the tool that ends a turn
    check: CheckToolCalls | None = None
    schemas: Mapping[str, Json] = field(default_factory=dict)  # of the tools that the client offered
    retry: RepeatSettings | None = None
    continues: bool = False  # a text can be gone on with
    finished: Json | None = None  # the message that is the answer already

    @property
    def ending(self) -> str | None:
        """The tool whose call ends a turn in a history that somebody else has written."""
        if self.ensure is None or self.ensure.termination_tool in self.schemas:
            return None
        return self.ensure.termination_tool


def demand_of(request: Request, asked: Enforcement) -> Demand:
    may_call = bool(request.schemas) and request.value("tool_choice") != "none"
    ensure = asked.ensure if may_call and request.wants_text and _wants_call(request) else None
    return Demand(
        ensure=ensure,
        termination=_termination(request, ensure),
        check=asked.check if may_call else None,
        schemas=request.schemas,
        retry=asked.retry,
        continues=asked.continues and request.may_be_continued,
        finished=_finished(request) if ensure is not None else None,
    )


def _wants_call(request: Request) -> bool:
    """Not where the client allows some of its tools only, and an answer without them."""
    choice = request.value("tool_choice")
    return not isinstance(choice, dict) or choice.get("type") == "function"


def _termination(request: Request, ensure: EnsureToolCall | None) -> str | None:
    choice = request.value("tool_choice")
    if ensure is None or choice == "required" or isinstance(choice, dict):
        return None
    return termination.name_for(ensure.termination_tool, request.names())


def _finished(request: Request) -> Json | None:
    last = request.last
    return last if last.get("role") == "assistant" and last.get("tool_calls") and not last.get("partial") else None


def prepared(request: Request, demand: Demand) -> Request:
    """What goes down: with the termination tool, and words about it."""
    if demand.ensure is None:
        return request
    said = termination.instruction(demand.ensure, demand.termination)
    if demand.termination is None:
        return request.with_instruction(said)
    return request.with_tool(termination.tool(demand.termination), said)
