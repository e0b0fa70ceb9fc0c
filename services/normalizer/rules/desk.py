"""Where every call passes, whatever it was written as: its name, arguments and id are put right, or it is
dropped."""

from __future__ import annotations

import hashlib
from collections import Counter, OrderedDict
from typing import Any, Literal, NamedTuple

from services.normalizer.limits import MAX_OPEN_CALLS, MAX_REMEMBERED_CALLS
from services.normalizer.rules.arguments import Arguments, Unreadable, encode, read, unwrapped
from services.normalizer.rules.catalog import Repairs
from services.normalizer.rules.grammar import RawCall
from services.normalizer.rules.ids import IdMaker
from services.normalizer.rules.live import LiveArguments
from services.normalizer.rules.offer import Meant, ToolOffer
from services.normalizer.rules.schema import coerced
from shared.schemas import fits

Source = Literal["content", "reasoning", "structured"]


class ToolCall(NamedTuple):
    """A call as it goes out."""

    id: str
    type: str
    name: str
    arguments: str


class Given(NamedTuple):
    """What a provider said of a structured call besides its name and arguments."""

    id: str | None
    type: str = "function"
    names_tool: bool = True  # false where the name was taken from the id


class CallDesk:
    """The calls of one choice."""

    def __init__(self, offer: ToolOffer, ids: IdMaker, repairs: Repairs) -> None:
        self._offer = offer
        self._ids = ids
        self._repairs = repairs
        self._seen: OrderedDict[bytes, Counter[str]] = OrderedDict()
        self.passed = 0  # calls that went out
        self._from_text: set[str] = set()  # names of calls that stood in a text
        self._given_ids: set[str] = set()  # ids of structured calls that went out

    def accept(self, raw: RawCall, source: Source, repair: str = "", given: Given | None = None) -> ToolCall | None:
        """The call as it goes out, or None where it is dropped; `repair` says how it was found."""
        if raw.oversized:
            return self._drop("oversized_call_dropped", raw, given)
        found = read(raw.arguments, raw.closed, self._repairs)
        if isinstance(found, Unreadable):
            return self._drop(found.repair, raw, given)
        found = self._unwrap(found, raw.head)
        meant = self._meant(raw.head or found.name, found)
        if meant is None:
            return self._drop("hopeless_call_dropped", raw, given)
        if self._is_repeated(meant, found, source, given):
            return None
        if repair:
            self._repairs.make(repair)
        return self._send(meant, self._fitted(found, meant.name), given)

    def takes(self, raw: RawCall) -> bool:
        """Whether a call that stands in a text is sent, or dropped by a repair that is on; else its text is left."""
        verdict = self._verdict(raw)
        return not isinstance(verdict, str) or self._repairs.on(verdict)

    def offers(self, raw: RawCall) -> bool:
        """Whether a call is whole, valid, and an offered tool's."""
        verdict = self._verdict(raw)
        return raw.closed and isinstance(verdict, Meant) and verdict.name in self._offer.schemas

    def _verdict(self, raw: RawCall) -> Meant | str:
        """The tool that a call is for, or the repair that decides that it can't be sent. Nothing is counted."""
        if raw.oversized:
            return "oversized_call_dropped"
        trial = CallDesk(self._offer, self._ids, self._repairs.afresh())
        found = read(raw.arguments, raw.closed, trial._repairs)
        if isinstance(found, Unreadable):
            return found.repair
        found = trial._unwrap(found, raw.head)
        meant = self._offer.meant(raw.head or found.name, found.value)
        if meant is None:
            return "hopeless_call_dropped"
        inferred = meant.repair == "tool_name_inferred" and not self._repairs.on("tool_name_inferred")
        return "tool_name_inferred" if inferred else meant

    def may_stream(self, name: str, id_: str | None) -> bool:
        """Whether a structured call can't be one that went out already, so that it needs no comparing."""
        return name not in self._from_text and id_ not in self._given_ids

    def begin(self, raw: RawCall, given: Given) -> ToolCall:
        """A long call that is passed on while it arrives; its name is an offered tool's."""
        return self._send(Meant(raw.head, None), "", given)

    def remember(self, raw: RawCall, given: Given, value: dict[str, Any]) -> None:
        """Note a call that was passed on, so that it is not sent again."""
        self._is_repeated(Meant(raw.head, None), Arguments(value, ""), "structured", given)

    def end(self, raw: RawCall, live: LiveArguments) -> str | None:
        """The end of a call that was passed on until its text broke; None where it was cut, or can't be mended to
        begin with what went out."""
        found = None if raw.oversized else read(raw.arguments, raw.closed, self._repairs)
        if isinstance(found, Arguments):
            schema = self._offer.schemas.get(raw.head)
            fit = schema is not None and self._repairs.on("arguments_coerced")
            rest = live.rest(coerced(found.value, schema) if fit else found.value)
            if rest is not None:
                return rest
        self._repairs.make("incomplete_call_dropped")
        return None

    def _unwrap(self, found: Arguments, head: str) -> Arguments:
        if head and not self._repairs.on("arguments_unwrapped"):
            return found
        meant = self._offer.meant(head, None) if head else None
        name = meant.name if meant else ""
        schema = self._offer.schemas.get(name)
        declared = schema.get("properties", {}) if schema else None
        bare = unwrapped(found, name, declared if isinstance(declared, dict) else None)
        if bare is not found and head:
            self._repairs.make("arguments_unwrapped")
        return bare

    def _meant(self, head: str, found: Arguments) -> Meant | None:
        """The tool, where the repairs that it takes are on."""
        meant = self._offer.meant(head, found.value)
        if meant is None or meant.repair is None:
            return meant
        if self._repairs.make(meant.repair):
            return meant
        return Meant(head, None) if meant.repair == "tool_name_repaired" else None

    def _fitted(self, found: Arguments, name: str) -> str:
        """The arguments' text, with its values made to fit the tool's schema."""
        schema = self._offer.schemas.get(name)
        if not schema or not self._repairs.on("arguments_coerced") or fits(found.value, schema):
            return found.text
        value = coerced(found.value, schema)
        if value == found.value and encode(value) == encode(found.value):
            return found.text
        self._repairs.make("arguments_coerced")
        return encode(value)

    # duplicates

    def _is_repeated(self, meant: Meant, found: Arguments, source: Source, given: Given | None) -> bool:
        """Whether this call went out already: written in two ways, or twice under one id."""
        told = self._told(meant, found)
        identity = given.id if given and given.id else "" if meant.number is None else str(meant.number)
        if identity:
            told[f"{source}:{identity}"] += 1
        told[source] += 1
        again = bool(identity) and told[f"{source}:{identity}"] > 1
        if not again and told[source] > told["out"]:
            told["out"] += 1
            return False
        if not self._repairs.make("tool_call_deduplicated"):
            return False
        if again:
            told[source] -= 1
        return True

    def _told(self, meant: Meant, found: Arguments) -> Counter[str]:
        """How often a call was met per source and id; the oldest calls are forgotten past the limit."""
        text = meant.name + "\0" + encode(_sorted(found.value))
        key = hashlib.blake2b(text.encode("utf-8", "replace"), digest_size=16).digest()
        told = self._seen.setdefault(key, Counter())
        if len(self._seen) > MAX_REMEMBERED_CALLS:
            self._seen.popitem(last=False)
        return told

    # out

    def _send(self, meant: Meant, arguments: str, given: Given | None) -> ToolCall:
        self.passed += 1
        if given is None:
            self._from_text.add(meant.name)
        elif given.id and len(self._given_ids) < MAX_OPEN_CALLS:
            self._given_ids.add(given.id)
        kind = given.type if given else "function"
        return ToolCall(self._id(meant, given), kind, meant.name, arguments)

    def _id(self, meant: Meant, given: Given | None) -> str:
        if given is None:
            return self._ids.make(meant.name, meant.number)
        if self._ids.keeps(given.id, meant.name):
            return self._ids.keep(given.id or "")
        if not self._repairs.make("tool_call_id_rewritten"):
            return given.id or self._ids.make(meant.name, meant.number)
        of_id = self._offer.meant(given.id, None) if given.id else None
        return self._ids.make(meant.name, of_id.number if of_id else meant.number)

    def _drop(self, repair: str, raw: RawCall, given: Given | None) -> ToolCall | None:
        """Leave a call out; where that is switched off, a structured call goes on as it came."""
        if self._repairs.make(repair) or given is None:
            return None
        return self._send(Meant(raw.head, None), raw.arguments, given)


def _sorted(value: Any) -> Any:
    """The value with every object's keys in order, to compare objects by."""
    if isinstance(value, dict):
        return {key: _sorted(value[key]) for key in sorted(value)}
    return [_sorted(entry) for entry in value] if isinstance(value, list) else value
