"""Who asked whom within an exchange, and which span each event belongs to.

A call stands below the normalizer that asked for it, that below the enforcer, and all of them below the request; where
a stage is not in the path, its place is taken by the next one up.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping

from services.recorder.rules.bodies import MERGED
from services.recorder.rules.exchange import Heard
from services.recorder.rules.legs import Leg, Name
from services.recorder.rules.messages import Message
from services.recorder.rules.spans.facts import CAUSES, moment_of, where
from services.recorder.rules.spans.span import Moment
from shared.contracts import HttpRequest
from shared.subjects import call_number
from shared.traces import span_id

REQUEST: Name = ("", "")
WHOLE: Name = (MERGED, "out")  # the enforcer's leg

LEG_OF_STAGE = {"normalize": "normal", "enforce": "out", "upstream": "raw"}


class Relations:
    """A span is called by its leg; that of a call, whether it was answered or not, by its raw one."""

    def __init__(self, id: str, heard: Heard) -> None:
        self._id = id
        receiver = heard.done.worker if heard.done is not None else None
        self.legs: Mapping[Name, Leg] = heard.legs.chosen(receiver)[0]
        self.sent: Mapping[str, HttpRequest] = {call: one for call, one in heard.sent.items() if call != MERGED}
        self.calls = sorted(self.sent, key=call_number)
        self.causes = {one.said.call: one for one in heard.facts if one.name in CAUSES}
        self.moments: Mapping[Name, list[Moment]] = self._placed(heard.facts)

    def id(self, name: Name) -> int:
        """A span's; that of a call is what its provider is told."""
        call, leg = name
        return span_id(self._id, *((call,) if leg == "raw" else filter(None, name)))

    @property
    def stages(self) -> list[Name]:
        """The enforcer's leg, then the normalizers'."""
        normal = (name for name in self.legs if name[1] == "normal")
        return [*([WHOLE] if WHOLE in self.legs else []), *sorted(normal, key=lambda name: call_number(name[0]))]

    @property
    def whole(self) -> Name:
        """Who sees to the answer as a whole."""
        return WHOLE if WHOLE in self.legs else REQUEST

    def asker(self, call: str) -> Name:
        """Who asked for a call: whoever made the last normal leg that began with it or before it."""
        begun = [name for name in self.stages if name != WHOLE and call_number(name[0]) <= call_number(call)]
        return begun[-1] if begun else self.whole

    def before(self, call: str) -> str | None:
        """The call that this one was made after."""
        at = self.calls.index(call)
        return self.calls[at - 1] if at else None

    def _placed(self, facts: list[Message]) -> dict[Name, list[Moment]]:
        found: dict[Name, list[Moment]] = defaultdict(list)
        for message in facts:
            if (moment := moment_of(message)) is not None:
                found[self._place(message)].append(moment)
        return found

    def _place(self, message: Message) -> Name:
        call = message.said.call or ""
        match where(message):
            case "enforce":
                return self.whole
            case "stage":
                return self.asker(call)
            case "call":
                return (call, "raw") if call in self.sent else REQUEST
            case "maker":
                name = (call, LEG_OF_STAGE.get(str(message.said.facts.get("stage")), ""))
                return name if name in self.legs else REQUEST
            case _:
                return REQUEST
