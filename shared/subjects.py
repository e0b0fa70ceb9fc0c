"""Every subject of the bus, in one table.

    work.<stage>                                job offers; one worker of the queue group takes it (`watch`: at most)
    req.<id>.request                            the accepted request
    req.<id>.<call>.request                     what a provider was sent for that call
    req.<id>.<call>.<leg>.<to>.{head,data,end}  the frames of a leg, addressed to the worker `to`
    req.<id>.event.<name>                       a fact
    req.<id>.cancel                             stop
    req.<id>.done                               the final account
    worker.<service>.<instance>                 heartbeats
    provider.<name>.state                       a provider's circuit
    ping.<instance>                             is that worker there?
    held.<stage>                                who has this job in hand? Only that worker answers
    ask.records                                 what do the records have of this response? One recorder answers

All of it stands below a root, `moontide` unless configured.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Literal

Stage = Literal["enforce", "normalize", "upstream", "watch"]
FrameKind = Literal["head", "data", "end"]
Leg = Literal["raw", "normal", "out", "wire"]
PROVIDERS_BUCKET = "providers"  # where every provider's state can be read at any time
RECORDER_BUCKET = "recorder"  # what recorders share: the key of what waits, who looked for dead ingresses how far
THOUGHTS_BUCKET = "thoughts"  # what models thought, for a history that lacks it
RECORDS_QUEUE = "records"  # the recorders that answer questions
NOBODY = "-"  # whom a leg is addressed to that is only for the record

ONCE_ONLY: frozenset[Stage] = frozenset({"upstream"})
"""The stages whose work can't be done again with the same result: they go on where the dead worker stopped."""

STAGE_OF_SERVICE: dict[str, Stage] = {
    "upstream": "upstream",
    "normalizer": "normalize",
    "enforcer": "enforce",
    "sentinel": "watch",
}


@dataclass(frozen=True)
class FrameAddress:
    """A frame's subject, taken apart."""

    id: str
    call: str
    leg: str
    to: str
    kind: str


@dataclass(frozen=True)
class Subjects:
    """The subjects below one root."""

    root: str = "moontide"

    @cached_property
    def captured(self) -> str:
        """What the capture stream holds."""
        return f"{self.root}.req.>"

    @cached_property
    def stream(self) -> str:
        """The capture stream's name; such names have no dots."""
        return self.root.upper().replace(".", "_")

    def work(self, stage: str) -> str:
        return f"{self.root}.work.{stage}"

    def of_request(self, id: str) -> str:
        return f"{self.root}.req.{id}.>"

    def request(self, id: str) -> str:
        return f"{self.root}.req.{id}.request"

    def call_request(self, id: str, call: str) -> str:
        return f"{self.root}.req.{id}.{call}.request"

    def leg(self, id: str, call: str, leg: str, to: str) -> str:
        """The prefix of a leg's frames; `.head`, `.data` and `.end` follow."""
        return f"{self.root}.req.{id}.{call}.{leg}.{to}"

    def frames_to(self, instance: str) -> str:
        """Every frame addressed to one worker."""
        return f"{self.root}.req.*.*.*.{instance}.*"

    def frames_of_request(self, id: str, instance: str) -> str:
        """The frames of one request that are addressed to one worker."""
        return f"{self.root}.req.{id}.*.*.{instance}.*"

    def events(self, id: str) -> str:
        return f"{self.root}.req.{id}.event.*"

    def event(self, id: str, name: str) -> str:
        return f"{self.root}.req.{id}.event.{name}"

    def cancel(self, id: str) -> str:
        return f"{self.root}.req.{id}.cancel"

    @cached_property
    def cancels(self) -> str:
        return f"{self.root}.req.*.cancel"

    def done(self, id: str) -> str:
        return f"{self.root}.req.{id}.done"

    @cached_property
    def dones(self) -> str:
        return f"{self.root}.req.*.done"

    def frames_of(self, leg: str) -> str:
        """Every frame of one kind of leg, whoever it is addressed to: for a tap."""
        return f"{self.root}.req.*.*.{leg}.*.*"

    def heads_of(self, id: str, leg: str) -> str:
        """The first frame of each leg of that kind, of one request."""
        return f"{self.root}.req.{id}.*.{leg}.*.head"

    def worker(self, service: str, instance: str) -> str:
        return f"{self.root}.worker.{service}.{instance}"

    @cached_property
    def workers(self) -> str:
        return f"{self.root}.worker.*.*"

    def ping(self, instance: str) -> str:
        return f"{self.root}.ping.{instance}"

    def held(self, stage: str) -> str:
        return f"{self.root}.held.{stage}"

    @cached_property
    def ask_records(self) -> str:
        return f"{self.root}.ask.records"

    def provider_state(self, name: str) -> str:
        return f"{self.root}.provider.{name}.state"

    @cached_property
    def provider_states(self) -> str:
        return f"{self.root}.provider.*.state"

    @cached_property
    def requests(self) -> str:
        return f"{self.root}.req.*.request"

    def below_request(self, subject: str) -> list[str]:
        """The tokens after `<root>.req.`: the id first."""
        return subject[len(self.root) + 5 :].split(".")

    def frame(self, subject: str) -> FrameAddress:
        """The address of a frame; only for subjects that `frames_to` delivers."""
        return FrameAddress(*self.below_request(subject))


def call_number(call: str) -> int:
    """3 of `c3`; 0 of what is no call's name."""
    return int(call[1:]) if call[:1] == "c" and call[1:].isdigit() else 0


def call_after(call: str) -> str:
    return f"c{call_number(call) + 1}"
