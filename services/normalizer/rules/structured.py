"""Structured calls as fragments bring them: which fragment belongs to which call, and when a call is whole.

Providers number all calls 0, count over the conversation, repeat or change ids and names in every fragment,
send the arguments before the name, or send everything so far again and again. So a fragment is judged by what
it can belong to:

* an index that is open takes it, unless a new id or another name comes after whole arguments;
* without an index the id decides, then the order;
* a fragment that begins with everything so far, where that can't be a continuation, replaces it.

A call is handed over when its arguments are one whole object, in the order in which the calls began. One whose
arguments are long is passed on while they arrive (`live.py`).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, NamedTuple

from services.normalizer.limits import LIVE_CALL_CHARS, MAX_CALL_CHARS, MAX_OPEN_CALLS
from services.normalizer.rules.arguments import decode, encode
from services.normalizer.rules.catalog import Repairs
from services.normalizer.rules.desk import Given
from services.normalizer.rules.grammar import RawCall
from services.normalizer.rules.json_scan import JsonScan
from services.normalizer.rules.live import LiveArguments
from services.normalizer.rules.offer import ToolOffer

_OPENED = re.compile(r'(?:\s*[\[{]\s*(?:"(?P<key>[^"\\]*)"\s*:)?)+\s*')  # no value so far
_SCALARS = ("string", "integer", "number", "boolean")

MayStream = Callable[[str, str | None], bool]
"""A call's name and id -> whether it can go out before it is whole."""


class Fragment(NamedTuple):
    """One entry of a delta's `tool_calls`."""

    number: int | None
    id: str | None
    name: str
    arguments: str
    type: str | None
    is_object: bool  # the arguments came as an object instead of its text


def fragment_of(entry: Any) -> Fragment | None:
    """A fragment of whatever stands in `tool_calls`; None where it says nothing."""
    if not isinstance(entry, dict):
        return None
    function = entry.get("function")
    function = function if isinstance(function, dict) else entry
    index, id_, name = entry.get("index"), entry.get("id"), function.get("name")
    arguments = function.get("arguments")
    text = arguments if isinstance(arguments, str) else "" if arguments is None else encode(arguments)
    kind = entry.get("type")
    return Fragment(
        index if isinstance(index, int) and not isinstance(index, bool) else None,
        str(id_) if isinstance(id_, str | int) and str(id_) else None,
        name if isinstance(name, str) else "",
        text,
        kind if isinstance(kind, str) and kind else None,
        arguments is not None and not isinstance(arguments, str),
    )


class Step(NamedTuple):
    """Something to send: a whole call, or (with `live`) what can go out of one that is still arriving.

    `begins` is its first step; `over` its last, after which the call is whole or, where it was cut, never will be.
    """

    raw: RawCall
    given: Given
    live: LiveArguments | None = None
    text: str = ""
    begins: bool = False
    over: bool = False


class OpenCall:
    """A call whose fragments are arriving."""

    def __init__(self, offer: ToolOffer) -> None:
        self.id: str | None = None
        self.name = ""
        self.type = "function"
        self.whole: list[str] = []  # whole objects that were not handed over yet
        self.told = False  # at least one object was seen whole
        self.live: LiveArguments | None = None
        self.going = ""  # live text that was not handed over yet
        self._offer = offer
        self._sums = False  # each fragment says everything so far
        self._begin()

    def _begin(self) -> None:
        """Nothing has come since the last whole object."""
        self._parts: list[str] = []
        self._size = 0
        self._scan = JsonScan()
        self._odd = False  # what came since is no object, and whatever follows makes it none

    @property
    def blank(self) -> bool:
        """Whether no argument text has come."""
        return not self.told and not self._scan.begun

    @property
    def left(self) -> str:
        """Argument text after the last whole object."""
        return "".join(self._parts)

    @property
    def oversized(self) -> bool:
        return self._size > MAX_CALL_CHARS

    def call_it(self, name: str) -> None:
        """Add what a fragment says of the name: the whole, the whole again, or its next piece."""
        if not name.strip() or name == self.name:
            return
        if not self.name or name.startswith(self.name):
            self.name = name
        elif self.blank and not (self._offer.known and self._offer.has(self.name.strip())):
            self.name += name

    def add(self, fragment: Fragment) -> None:
        """Add what a fragment says of the arguments."""
        text = fragment.arguments
        if self.live is not None:
            self._add_live(text)
            return
        if self._is_sent_again(text):
            self._sums = True
            self._begin()
        at = 0
        while at < len(text) and not self.oversized:
            at = self._follow(text, at)

    def may_go_live(self) -> bool:
        """Whether the call is long, and so far nothing is wrong with it."""
        healthy = self._size > LIVE_CALL_CHARS and not self.whole and not self.told
        return healthy and self.live is None and self._offer.has(self.name) and not self.oversized

    def go_live(self, repairs: Repairs) -> None:
        """Pass the arguments on from now on."""
        self.live = LiveArguments(self._offer.schemas.get(self.name), repairs)
        self.going = self.live.feed(self.left)

    def _add_live(self, text: str) -> None:
        """More text of a call that is passed on; it is kept too, should it have to be repaired."""
        if self.live is None or self.live.done:
            return
        if not self.oversized:
            self._parts.append(text)
            self._size += len(text)
        self.going += self.live.feed(text)

    def _follow(self, text: str, at: int) -> int:
        end = self._scan.run(text, at)
        end += end == at  # a `<` outside of strings, where the scan stands still
        self._parts.append(text[at:end])
        self._size += end - at
        if self._scan.whole:
            self._take_whole()
        return end

    def _take_whole(self) -> None:
        """One outermost value is over; if it is an object, it is an argument list."""
        if self._odd:
            return
        self._odd = True
        text = self.left.strip()
        try:
            value = decode(text)
        except ValueError:
            return
        if not isinstance(value, dict):
            return
        self._begin()
        if self.whole == ["{}"]:
            self.whole = []  # a placeholder, before the real ones
        self.whole.append(text)
        self.told = True

    def _is_sent_again(self, text: str) -> bool:
        """Whether the text is all that came so far, and more: a provider that does not send differences."""
        if not self._size or len(text) < self._size or text[:1] != "{":
            return False
        return text.startswith(self.left) and (self._sums or not self._may_begin_object())

    def _may_begin_object(self) -> bool:
        """Whether an object may come next that begins as the outer one does: behind a first value none would."""
        if self._scan.in_string or self.left.rstrip()[-1:] not in (":", "["):
            return False
        opened = _OPENED.fullmatch(self.left)
        return opened is not None and not (self._scan.depth == 1 and self._is_scalar(opened["key"]))

    def _is_scalar(self, key: str) -> bool:
        """Whether the tool takes nothing else under that key."""
        properties = self._offer.schemas.get(self.name.strip(), {}).get("properties")
        told = properties.get(key) if isinstance(properties, dict) else None
        return isinstance(told, dict) and told.get("type") in _SCALARS


class StructuredCalls:
    """The structured calls of one choice."""

    def __init__(self, offer: ToolOffer, repairs: Repairs, may_stream: MayStream) -> None:
        self._offer = offer
        self._repairs = repairs
        self._may_stream = may_stream
        self._calls: list[OpenCall] = []
        self._by_index: dict[int | None, OpenCall] = {}
        self._next = 0  # the first call that may still have to be waited for
        self._separate = False  # the calls come whole

    @property
    def _passes_on(self) -> bool:
        """Whether calls may go out before they are whole; half a surrogate pair that has to stay can't."""
        return not self._separate and self._repairs.on("lone_surrogate_replaced")

    @property
    def pending(self) -> bool:
        """Whether any call is open."""
        return bool(self._calls)

    def feed(self, entries: Any, separate: bool = False) -> list[Step]:
        """The calls that the fragments make whole; `separate` where each entry is a call of its own."""
        self._separate = separate
        for entry in entries if isinstance(entries, list) else []:
            fragment = fragment_of(entry)
            if fragment is not None and (fragment.id or fragment.name.strip() or fragment.arguments):
                self._add(fragment, separate)
        return self._ready()

    def finish(self, closed: bool) -> list[Step]:
        """The calls that are left, whole or not; `closed` where the provider says that it was done."""
        out: list[Step] = []
        for call in self._calls[self._next :]:
            if call.live is not None and call.live.begun_out:
                out.append(_step(call, call.left, closed, over=True, oversized=call.oversized))
                continue
            out += [_raw(call, text, True) for text in call.whole]
            if not call.told or "{" in call.left:
                out.append(_raw(call, call.left, closed, oversized=call.oversized))
        self._calls, self._by_index, self._next = [], {}, 0
        return out

    def _add(self, fragment: Fragment, separate: bool) -> None:
        call = None if separate else self._call_of(fragment)
        if call is None:
            if len(self._calls) - self._next >= MAX_OPEN_CALLS:
                return
            call = OpenCall(self._offer)
            self._calls.append(call)
        if not separate:
            self._by_index[fragment.number] = self._by_index[None] = call
        call.id = call.id or fragment.id
        call.type = fragment.type or call.type
        call.call_it(fragment.name)
        call.add(fragment)
        if fragment.is_object:
            self._repairs.make("arguments_repaired")

    def _call_of(self, fragment: Fragment) -> OpenCall | None:
        """The open call that a fragment belongs to; None where it begins another."""
        call = self._by_index.get(fragment.number)
        if call is None:
            call = self._call_elsewhere(fragment)
        elif _begins_another(fragment, call) and self._repairs.make("tool_call_fragments_joined"):
            return None
        return call

    def _call_elsewhere(self, fragment: Fragment) -> OpenCall | None:
        """The call that a fragment under a new index belongs to nevertheless."""
        last = self._by_index.get(None)
        if last is None or last.told:
            return None
        same_id = fragment.id is not None and fragment.id == last.id
        nameless = fragment.id is None and not fragment.name.strip() and not last.blank
        continued = nameless and not fragment.arguments.lstrip().startswith("{")
        if (same_id or continued) and self._repairs.make("tool_call_fragments_joined"):
            return last
        return None

    def _ready(self) -> list[Step]:
        """What can be handed over in order."""
        out: list[Step] = []
        for at, call in enumerate(self._calls[self._next :], self._next):
            if self._passes_on and call.may_go_live() and self._may_stream(call.name, call.id):
                call.go_live(self._repairs)
            if call.live is not None:
                out += _live_steps(call)
                if not call.live.done:
                    break
                self._next = at + 1
                continue
            if not call.told or call.whole == ["{}"] or not (call.name.strip() or call.id):
                break
            if not call.name.strip() and not _names_tool(call.id, self._offer):
                break
            out += [_raw(call, text, True) for text in call.whole]
            call.whole = []
            if at + 1 < len(self._calls):
                self._next = at + 1
        return out


def _begins_another(fragment: Fragment, call: OpenCall) -> bool:
    """Whether a fragment for an open index is another call's first."""
    name = fragment.name.strip()
    other_id = fragment.id is not None and call.id is not None and fragment.id != call.id
    other_name = bool(name) and bool(call.name) and name != call.name.strip()
    if call.told:
        return (other_id and bool(name or fragment.arguments.strip())) or other_name
    return (other_name and other_id and not call.blank) or (other_name and other_id and bool(fragment.type))


def _names_tool(id_: str | None, offer: ToolOffer) -> bool:
    meant = offer.meant(id_ or "", None)
    return meant is not None and meant.repair is None and (offer.known or ":" in (id_ or ""))


def _live_steps(call: OpenCall) -> list[Step]:
    """What can go out of a call that is passed on."""
    live, text = call.live, call.going
    if live is None or not (text or live.done):
        return []
    first, live.begun_out, call.going = not live.begun_out, True, ""
    step = _step(call, call.left if live.done else "", True, over=live.done)
    return [step._replace(text=text, begins=first)]


def _step(call: OpenCall, text: str, closed: bool, *, over: bool, oversized: bool = False) -> Step:
    raw, given = _told(call, text, closed, oversized)
    return Step(raw, given, call.live, over=over)


def _raw(call: OpenCall, text: str, closed: bool, *, oversized: bool = False) -> Step:
    return Step(*_told(call, text, closed, oversized))


def _told(call: OpenCall, text: str, closed: bool, oversized: bool) -> tuple[RawCall, Given]:
    head = call.name if call.name.strip() else call.id or ""
    return RawCall(head, text, closed, oversized), Given(call.id, call.type, bool(call.name.strip()))
