"""Who may say and hear what on the bus: one table, from which `moontide nats-config` writes the server's users.

Each user has the name of its service. What a service answers to a request needs no right of its own: the server lets
it answer once where it was asked. Inboxes are a user's own, so nobody reads what another one is answered.

Rights part what a service may say to the last token. What is heard is parted by kind: who receives legs may hear any
leg, and who may read the capture stream reads all of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import get_args

from shared.subjects import (
    PROVIDERS_BUCKET,
    RECORDER_BUCKET,
    RECORDS_QUEUE,
    STAGE_OF_SERVICE,
    THOUGHTS_BUCKET,
    FrameKind,
    Leg,
    Stage,
    Subjects,
)

TAP = "tap"
OPERATOR = "operator"
KEEPERS = frozenset({"ingress", "recorder"})
"""The services that make the capture stream and the store of bodies; the others find them there."""

FRAMES: tuple[FrameKind, ...] = get_args(FrameKind)
LEGS_OF_SERVICE: dict[str, tuple[Leg, ...]] = {
    "upstream": ("raw", "wire"),
    "normalizer": ("normal",),
    "enforcer": ("out",),
}
OFFERS_OF_SERVICE: dict[str, tuple[Stage, ...]] = {
    "ingress": ("enforce", "normalize", "upstream", "watch"),
    "enforcer": ("normalize", "upstream"),
    "normalizer": ("upstream",),
}
UNANSWERED: frozenset[Stage] = frozenset({"watch"})
"""Stages of which nobody asks who has a job in hand: a watch may be offered twice (shared/sentries.py)."""


@dataclass(frozen=True)
class Rights:
    """What one user may publish and subscribe to. `subject queue` allows that queue group alone."""

    publish: tuple[str, ...] = ()
    subscribe: tuple[str, ...] = ()

    def __add__(self, more: Rights) -> Rights:
        return Rights(self.publish + more.publish, self.subscribe + more.subscribe)


def rights(subjects: Subjects) -> dict[str, Rights]:
    """Every user's, by its name."""
    services = {
        "ingress": _ingress(subjects),
        "upstream": _stage(subjects, "upstream") + _upstream(subjects),
        "normalizer": _stage(subjects, "normalizer") + _bodies(subjects),
        "enforcer": _stage(subjects, "enforcer") + _bodies(subjects, puts=True),
        "sentinel": _sentinel(subjects),
        "recorder": _recorder(subjects),
        "dashboard": _dashboard(subjects),
    }
    services = {name: _worker(subjects, name) + its for name, its in services.items()}
    return {**services, OPERATOR: _inbox(OPERATOR) + _operator(subjects), TAP: _inbox(TAP) + _seen(subjects)}


def inbox_of(user: str) -> str:
    """What the subjects begin with that answers to a user come in on."""
    return f"_INBOX.{user}"


def _inbox(user: str) -> Rights:
    return Rights(subscribe=(f"{inbox_of(user)}.>",))


def _worker(subjects: Subjects, service: str) -> Rights:
    """What every worker does (shared/worker.py): it beats, hears cancels, is pinged, and has an inbox of frames."""
    return _inbox(service) + Rights(
        publish=(subjects.worker(service, "*"), subjects.ping("*")),
        subscribe=(subjects.workers, subjects.ping("*"), subjects.cancels, subjects.frames_to("*")),
    )


def _on_requests(subjects: Subjects) -> Rights:
    """Who works on requests tells facts of them, may stop them, and looks at what has passed."""
    return Rights(publish=(subjects.event("*", "*"), subjects.cancel("*"), *_looks(subjects)))


def _receives(subjects: Subjects, service: str) -> Rights:
    """Offers jobs, and asks who has one in hand before it is offered again (shared/takeovers.py)."""
    stages = OFFERS_OF_SERVICE.get(service, ())
    held = tuple(subjects.held(stage) for stage in stages if stage not in UNANSWERED)
    return Rights(publish=tuple(subjects.work(stage) for stage in stages) + held)


def _stage(subjects: Subjects, service: str) -> Rights:
    """Takes jobs out of its queue group, and answers with legs of its own."""
    stage = STAGE_OF_SERVICE[service]
    legs = LEGS_OF_SERVICE[service]
    frames = tuple(f"{subjects.leg('*', '*', leg, '*')}.{kind}" for leg in legs for kind in FRAMES)
    takes = (f"{subjects.work(stage)} {stage}", subjects.held(stage))
    return _on_requests(subjects) + _receives(subjects, service) + Rights(frames, takes)


def _ingress(subjects: Subjects) -> Rights:
    says = (subjects.request("*"), subjects.call_request("*", "c0"), subjects.done("*"), subjects.ask_records)
    own = Rights((*says, *_follows(subjects.stream)))
    parts = _on_requests(subjects) + _receives(subjects, "ingress") + own
    return parts + _keeps(subjects) + _bodies(subjects, puts=True)


def _upstream(subjects: Subjects) -> Rights:
    own = Rights((subjects.call_request("*", "*"), subjects.provider_state("*")))
    buckets = _bucket(subjects, PROVIDERS_BUCKET, puts=True) + _bucket(subjects, THOUGHTS_BUCKET, puts=True)
    return own + _bodies(subjects, puts=True) + buckets


def _sentinel(subjects: Subjects) -> Rights:
    stage = STAGE_OF_SERVICE["sentinel"]
    watches = (f"{subjects.work(stage)} {stage}", subjects.frames_of("raw"), subjects.dones)
    return _on_requests(subjects) + Rights(subscribe=watches)


def _recorder(subjects: Subjects) -> Rights:
    """Alone reads and acknowledges the durable consumers, one for each sink. Answers questions to the records, and
    puts an answer that fits into no message with the bodies."""
    calls = ("CONSUMER.INFO", "CONSUMER.DURABLE.CREATE", "CONSUMER.MSG.NEXT")
    reads = tuple(f"$JS.API.{call}.{subjects.stream}.*" for call in calls)
    says = (*reads, f"$JS.ACK.{subjects.stream}.>", *_looks(subjects))
    asked = (f"{subjects.ask_records} {RECORDS_QUEUE}",)
    kept = _keeps(subjects) + _bodies(subjects, puts=True) + _bucket(subjects, RECORDER_BUCKET, puts=True)
    return Rights(says, asked) + kept


def _dashboard(subjects: Subjects) -> Rights:
    """Watches requests while somebody looks, and stops one when it is told to."""
    says = (subjects.cancel("*"), *_looks(subjects), *_follows(subjects.stream))
    hears = (subjects.requests, subjects.frames_of("raw"), subjects.dones)
    return Rights(says, hears) + _bucket(subjects, PROVIDERS_BUCKET)


def _operator(subjects: Subjects) -> Rights:
    """`tap --from-start`, `cancel`, `providers`, `providers reset`."""
    says = (subjects.cancel("*"), subjects.provider_state("*"), *_looks(subjects), *_follows(subjects.stream))
    return _seen(subjects) + Rights(says) + _bucket(subjects, PROVIDERS_BUCKET, puts=True)


def _seen(subjects: Subjects) -> Rights:
    """Not the offers, pings and questions: who listens there is taken for a worker."""
    return Rights(subscribe=(subjects.captured, subjects.workers, subjects.provider_states))


# -- JetStream


def _looks(subjects: Subjects) -> tuple[str, ...]:
    """The history, by batches."""
    return (f"$JS.API.DIRECT.GET.{subjects.stream}",)


def _follows(stream: str) -> tuple[str, ...]:
    """An ordered consumer: made without a name, so that it can't be one of those that are there."""
    api = "$JS.API.CONSUMER"
    return (f"{api}.CREATE.{stream}", f"{api}.INFO.{stream}.*", f"$JS.FC.{stream}.>", "$JS.API.STREAM.NAMES")


def _makes(stream: str) -> tuple[str, ...]:
    """Where there is none; one that is there can't be changed so."""
    return (f"$JS.API.STREAM.CREATE.{stream}", f"$JS.API.STREAM.INFO.{stream}")


def _keeps(subjects: Subjects) -> Rights:
    """The capture stream, with limits that are brought up to date, and the store of bodies."""
    limits = f"$JS.API.STREAM.UPDATE.{subjects.stream}"
    return Rights((*_makes(subjects.stream), limits, *_makes(f"OBJ_{subjects.stream}_bodies")))


def _bodies(subjects: Subjects, puts: bool = False) -> Rights:
    """Large bodies. Who puts one again under its name removes the pieces of the former."""
    bucket = f"{subjects.stream}_bodies"
    stream = f"OBJ_{bucket}"
    api = "$JS.API"
    gets = (f"{api}.STREAM.INFO.{stream}", f"{api}.STREAM.MSG.GET.{stream}", f"{api}.DIRECT.GET.{stream}.>")
    says = (*gets, *_follows(stream))
    return Rights((*says, f"$O.{bucket}.>", f"{api}.STREAM.PURGE.{stream}") if puts else says)


def _bucket(subjects: Subjects, name: str, puts: bool = False) -> Rights:
    """Reads and watches the values of a key-value bucket, which whoever comes first makes."""
    bucket = f"{subjects.stream}_{name}"
    stream = f"KV_{bucket}"
    reads = (f"$JS.API.DIRECT.GET.{stream}.>", f"$JS.API.STREAM.MSG.GET.{stream}")
    says = (*_makes(stream), *reads, *_follows(stream))
    return Rights((*says, f"$KV.{bucket}.>") if puts else says)
