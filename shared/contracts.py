"""What crosses the bus, as msgspec structs.

A reader tolerates unknown fields, so that workers of two versions can share a bus. Every message is tagged with its
version. Times are Unix seconds (float) where a name ends in `_at`, and durations in seconds where it ends in `_s`.
`docs/architecture.md` shows on which subject each one travels.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeVar, get_args

import msgspec

CallOutcome = Literal["complete", "stopped", "truncated", "broken", "refused", "cancelled", "lost"]
"""How a leg ended.

complete   the provider finished its answer
stopped    we ended it on purpose, with a finish reason of our own: the answer is well-formed
truncated  the connection closed in an orderly way, but the answer has no end (no finish_reason, no [DONE])
broken     the provider failed after its first byte: a cut connection, an error event, an idle timeout
refused    no answer at all: an error status, no connection, no capacity
cancelled  somebody published a cancel
lost       a worker in the path died, or frames are gone for good
"""


WELL_FORMED: frozenset[CallOutcome] = frozenset({"complete", "stopped"})
"""The outcomes with which a client gets an answer as it should be, from its beginning to its end."""


class Struct(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The base of everything that crosses the bus."""


class Fault(Struct, frozen=True, kw_only=True):
    """An error as it travels: which one, in whose words, and what the client may do about it."""

    status: int  # the HTTP status that the client gets when nothing was sent yet
    code: str  # stable, snake_case: provider_timeout, no_capacity …
    message: str
    type: str = "moontide_error"  # OpenAI's `error.type`
    param: str | None = None
    retry_after_s: float | None = None
    body: str | None = None  # the provider's own error body, handed on as it is
    should_retry: bool | None = None  # the provider's `x-should-retry`


class Body(Struct, frozen=True, kw_only=True):
    """A request's body: exactly one field is set, or none for an empty body."""

    json: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET  # a JSON text, byte for byte
    data: bytes | None = None  # anything else; base64 on the wire
    claim: str | None = None  # name in the object store, for a body over the server's max_payload
    size: int = 0  # bytes


class Sealed(Struct, frozen=True, kw_only=True):
    """A client's own secret, sealed to each upstream worker key that was live when the request came in."""

    boxes: dict[str, str]  # public key (hex) -> libsodium sealed box (base64)


class HttpRequest(Struct, frozen=True, kw_only=True, tag="request.v1", tag_field="type"):
    """A request as it was accepted (`req.<id>.request`) or sent to a provider (`req.<id>.<call>.request`)."""

    id: str
    at: float
    method: str
    path: str  # with its query string, as the client wrote it; a full URL where it went to a provider
    dialect: str = "openai_chat"  # openai_chat | anthropic_messages | openai_responses | passthrough
    headers: dict[str, str] = {}  # lower-case names; those that carry secrets are never here
    body: Body = Body()
    client: str | None = None  # the name of the client key
    peer: str | None = None
    model: str | None = None
    stream: bool = False
    provider: str | None = None
    same_body: bool = False  # the provider got the client's body byte for byte; `body` is left out
    changes: dict[str, list[str]] = {}  # how the provider's body differs from the client's: names set and dropped


class RepairSettings(Struct, frozen=True, kw_only=True):
    """How one model's output is repaired; part of the configuration and of the job."""

    enabled: bool = True
    tool_call_ids: Literal["name_index", "index", "native"] = "name_index"
    thinking: Literal["auto", "forced_open", "disabled"] = "auto"
    history_ids: Literal["functions", "keep"] | None = None  # of earlier calls; None = as provider and model need it
    off: tuple[str, ...] = ()  # names of repairs that are switched off


class RepeatSettings(Struct, frozen=True, kw_only=True):
    """What becomes of an answer that runs in a loop; part of the configuration and of the watch."""

    action: Literal["stop", "retry", "warn", "off"] = "off"
    threshold: Annotated[float, msgspec.Meta(ge=0, le=1)] = 0.5  # how little repetition is tolerated; 0 = any amount
    min_length: Annotated[int, msgspec.Meta(ge=0)] = 100  # characters; docs/loops.md has the mapping
    finish_reason: str = "repeat"  # of an answer that was stopped
    max_attempts: Annotated[int, msgspec.Meta(ge=1, le=5)] = 3  # `retry`: calls that may loop before it is `stop`

    @property
    def is_on(self) -> bool:
        return self.action != "off" and self.threshold > 0


class EnsureToolCall(Struct, frozen=True, kw_only=True):
    """Every turn of an agent ends in a tool call; part of the configuration and of the job."""

    max_attempts: Annotated[int, msgspec.Meta(ge=1, le=5)] = 3  # calls for one turn, the first one included
    mode: Literal["stream", "buffer"] = "stream"  # buffer: a stream holds the last attempt only
    termination_tool: str = "done"  # what the model calls when it has finished; the client never sees it
    instruction: str | None = None  # said in the system message; `{tool}` is the termination tool; None = our words
    reminder: str | None = None  # said when a turn is asked again; likewise


class CheckToolCalls(Struct, frozen=True, kw_only=True):
    """Calls that don't fit what was offered are asked again; part of the configuration and of the job."""

    max_attempts: Annotated[int, msgspec.Meta(ge=1, le=5)] = 3  # calls for one turn, the first one included


class Enforcement(Struct, frozen=True, kw_only=True):
    """What the enforcer has to see to in one answer."""

    ensure: EnsureToolCall | None = None
    check: CheckToolCalls | None = None
    retry: RepeatSettings | None = None  # of answers that loop
    continues: bool = False  # a provider of the model can go on with a prefix


class Timeouts(Struct, frozen=True, kw_only=True):
    """Seconds that a provider call may take, per phase."""

    connect_s: float = 10.0
    first_byte_s: float = 300.0  # a thinking model is silent for minutes
    idle_s: float = 120.0
    total_s: float = 3600.0


class Resume(Struct, frozen=True, kw_only=True):
    """What there is of a job whose worker died, for the one that takes it over."""

    worker: str  # who made the leg so far
    address: str  # whom the legs for this job are addressed to: the worker that had it first
    call: str  # whose leg was being made
    frames: int = 0  # of that leg, which its receiver has


class Job(Struct, frozen=True, kw_only=True, tag="job.v1", tag_field="type"):
    """An offer to one stage: do your part of this call and send your leg to `to`."""

    id: str
    call: str
    to: str  # instance that receives this stage's leg
    request: HttpRequest
    streamed: bool  # what the provider is asked for: an event stream, or one body
    repair: RepairSettings = RepairSettings()
    secret: Sealed | None = None  # the client's own Authorization value
    queue_timeout_s: float = 5.0  # how long a stage may look for the next one's capacity
    stitched: bool = False  # `to` joins the text of several calls: a broken stream may go on from another one
    watched: bool = False  # it may be stopped before its provider has counted the tokens
    origin: str | None = None  # the ingress that the request came in at: without it nobody waits for the answer
    resume: Resume | None = None  # set where the worker that had the job died
    enforce: Enforcement | None = None  # for the enforcer
    has_prefix: bool = False  # the request ends in a text to go on with: only providers that can are asked


class Watch(Struct, frozen=True, kw_only=True, tag="watch.v1", tag_field="type"):
    """An offer to the sentinels: look for loops in this request's answer. Nobody waits for whoever takes it: it answers
    with `Accepted`, so that it can be replaced should it die."""

    id: str
    repeat: RepeatSettings
    choices: int = 1  # how many the client asked for
    again: bool = False  # it was offered before: what has passed since is in the capture stream


class Accepted(Struct, frozen=True, kw_only=True, tag="accepted.v1", tag_field="type"):
    """A stage's answer to an offer: `worker` has the job, or is full and the offer goes elsewhere."""

    worker: str
    busy: bool = False
    fault: Fault | None = None  # the offer can't be read; nobody else of this version will read it either


class Head(Struct, frozen=True, kw_only=True, tag="head.v1", tag_field="type"):
    """The first frame of a leg: the answer's status line, before any byte of its body."""

    status: int
    worker: str
    at: float
    provider: str | None = None
    model: str | None = None
    content_type: str = "application/json"
    headers: dict[str, str] = {}  # response headers worth keeping, lower-case names
    takes_over: str | None = None  # the dead worker whose leg is made again here, from its beginning


class Usage(Struct, frozen=True, kw_only=True):
    """Tokens, as the provider counted them."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    total_tokens: int = 0
    cached_tokens: int = 0
    reasoning_tokens: int = 0


class End(Struct, frozen=True, kw_only=True, tag="end.v1", tag_field="type"):
    """The last frame of a leg. `fault` is set unless the outcome is `complete` or `stopped`.

    With a `next_call` this leg is not the answer: the same leg of that call is, or goes on where this one broke off.
    """

    outcome: CallOutcome
    worker: str
    at: float
    body_bytes: int = 0
    frames: int = 0  # data frames
    usage: Usage | None = None
    finish_reason: str | None = None
    completion_id: str | None = None
    done_seen: bool = False  # the stream held its [DONE]
    error_sent: bool = False  # the provider's error is in the leg's bytes, where the client can see it
    first_byte_s: float | None = None  # from the call's start to the answer's first body byte
    total_s: float | None = None
    repairs: dict[str, int] = {}
    fault: Fault | None = None
    next_call: str | None = None
    continued: bool = False  # the next call continues this one's text; else it starts afresh and this one's is void
    calls: int = 1  # provider calls that this leg is made of
    takes_over: str | None = None  # the dead worker whose leg this ends, or whose leg was made again here
    last_call: str | None = None  # the last of them, where there were several: the next one is free
    attempts: int = 1  # how often the enforcer asked
    unmet: str | None = None  # what it asked for in vain: ensure_tool_call, check_tool_calls

    @property
    def is_well_formed(self) -> bool:
        return self.outcome in WELL_FORMED


class Event(Struct, frozen=True, kw_only=True, tag="event.v1", tag_field="type"):
    """A fact about a request; its name is the subject's last token."""

    at: float
    worker: str
    call: str | None = None
    facts: dict[str, Any] = {}


class Cancel(Struct, frozen=True, kw_only=True, tag="cancel.v1", tag_field="type"):
    """Stop everything that is done for a request."""

    by: str  # client | operator | ingress | sentinel | enforcer
    why: str
    worker: str | None = None  # only this one: a worker that took a job which another one has
    call: str | None = None  # only what is done for this call
    finish_reason: str | None = None  # the answer is to end well-formed, with this; None = with an error


class Done(Struct, frozen=True, kw_only=True, tag="done.v1", tag_field="type"):
    """An exchange's final account: what the client got. The last message of every request."""

    at: float
    worker: str
    status: int
    outcome: CallOutcome
    calls: int = 0
    body_bytes: int = 0
    streamed: bool = False
    total_s: float = 0.0
    first_byte_s: float | None = None
    leg: str | None = None  # `c1.normal`: whose bytes the client got; the last call's, where there were several
    tail: bytes | None = None  # what the ingress itself wrote after the leg's bytes: an error event, a missing [DONE]
    body: Body | None = None  # what the client got, where it is not a leg's bytes: an error, an assembled completion
    headers: dict[str, str] = {}  # response headers, without secrets
    usage: Usage | None = None
    finish_reason: str | None = None
    completion_id: str | None = None
    repairs: dict[str, int] = {}
    fault: Fault | None = None
    attempts: int = 1  # how often the enforcer asked
    unmet: str | None = None  # what it asked for in vain
    traceparent: str | None = None  # as the client sent it: whether its trace is kept is known without the request


class Sample(Struct, frozen=True, kw_only=True, array_like=True):
    """One figure of a worker, as `/metrics` shows it."""

    name: str  # without the prefix `moontide_`
    value: float
    labels: dict[str, str] = {}


class Lag(Struct, frozen=True, kw_only=True):
    """How far a sink of the recorder is behind what passed."""

    sink: str  # where it writes, without a password
    messages: int
    behind_s: float  # how long the oldest of them has been waiting


class Heartbeat(Struct, frozen=True, kw_only=True, tag="heartbeat.v1", tag_field="type"):
    """A worker's sign of life, each second."""

    service: str
    instance: str
    version: str
    pid: int
    host: str
    at: float
    started_at: float
    in_flight: int
    capacity: int
    draining: bool = False
    seal_key: str | None = None  # an upstream worker's public key (hex)
    settings: str = ""  # digest of the settings in force: workers that took the same file have the same
    generation: int = 0  # how many settings the worker's process has had; 0 = it doesn't say
    settings_at: float = 0.0  # when they came into force
    samples: list[Sample] = []  # what the worker counts and measures
    lags: tuple[Lag, ...] = ()  # of a recorder's sinks
    answers_pings: bool = False  # who doesn't answer one is gone; workers of older versions never do


class ProviderState(Struct, frozen=True, kw_only=True, tag="provider.v1", tag_field="type"):
    """A provider's circuit, or that of one model that it says it doesn't have."""

    provider: str
    state: Literal["closed", "open", "half_open", "shut"]
    worker: str  # who says so
    at: float
    model: str | None = None
    since: float = 0.0  # when it was last well
    until: float = 0.0  # when it may be asked again
    why: str = ""  # quota_exhausted, auth, server_error …
    message: str = ""  # in the provider's words
    trips: int = 0  # how often it has opened since it was last closed
    balance: str | None = None  # what the provider says is left, where it was asked


class Ask(Struct, frozen=True, kw_only=True, tag="ask.v1", tag_field="type"):
    """What do the records have of this exchange? Answered for the client key that it was requested with."""

    id: str
    client: str | None = None


class Recorded(Struct, frozen=True, kw_only=True, tag="recorded.v1", tag_field="type"):
    """What it takes to tell a response again, out of the records. Without a request there is no such response."""

    id: str
    request: HttpRequest | None = None  # the client's, with its body in `data`
    canonical: bytes = b""  # the same as a chat completion
    answer: bytes = b""  # what the client was answered, in canonical form
    content_type: str = ""  # of the answer
    end: End | None = None  # how it ended; None: it never did
    claim: str | None = None  # all of this lies in the object store: it is larger than a message
    unavailable: str | None = None  # why the records can't say it just now


Message = (
    HttpRequest
    | Job
    | Watch
    | Accepted
    | Head
    | End
    | Event
    | Cancel
    | Done
    | Heartbeat
    | ProviderState
    | Ask
    | Recorded
)


def encode(message: Struct) -> bytes:
    """The message as JSON text."""
    return msgspec.json.encode(message)


T = TypeVar("T", bound=Struct)

_DECODERS: dict[type, msgspec.json.Decoder[Any]] = {kind: msgspec.json.Decoder(kind) for kind in get_args(Message)}


def decode(kind: type[T], data: bytes) -> T:
    """The message in `data`; raises msgspec.DecodeError where it is not one of `kind`."""
    try:
        message: T = _DECODERS[kind].decode(data)
    except (UnicodeDecodeError, RecursionError) as error:
        raise msgspec.DecodeError(str(error)) from error
    return message
