"""The settings, as frozen structs: the shape of `moontide.yaml`.

Units are in the names (`_s` seconds, `_bytes`, `_days`). `docs/configuration.md` says what each key means; a
test holds it to these structs. A key belongs here only once something reads it: what is planned stands in
`not_yet.py` and is refused with a line that says so.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from shared.contracts import CheckToolCalls, EnsureToolCall, RepairSettings, RepeatSettings, Timeouts

SECRET = "secret"  # noqa: S105 - the name of a mark on a type

MAY_HOLD_PASSWORD = "may_hold_password"  # noqa: S105 - likewise

SecretRef = Annotated[str, Meta(extra={SECRET: True})]
"""Where a secret is found: `env:NAME`, `file:/path`, `op://vault/item/field`. Never the secret itself."""

BusUrl = Annotated[str, Meta(extra={MAY_HOLD_PASSWORD: True})]
"""With user and password only where it comes from the environment or the command line."""

RecordsUrl = BusUrl
"""A database, a webhook, or a reference to either. A password in it as in BusUrl."""

Port = Annotated[int, Meta(ge=0, le=65535)]  # 0 = any free one
Count = Annotated[int, Meta(ge=1)]
Bytes = Annotated[int, Meta(ge=1)]
Seconds = Annotated[float, Meta(ge=0)]
Days = Annotated[float, Meta(gt=0)]
Rate = Annotated[float, Meta(ge=0)]
Share = Annotated[float, Meta(ge=0, le=1)]
Gib = Annotated[float, Meta(gt=0)]

ProviderKind = Literal["moonshot", "openai", "openrouter", "anthropic", "vertex"]
AnthropicVersion = Literal["2023-06-01", "2026-10-21"]
Strategy = Literal["first", "round_robin", "random", "weighted", "least_latency", "sticky"]

MIB = 1024 * 1024


class Section(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The base of every part of the settings."""


class Capture(Section, frozen=True, kw_only=True):
    """How much the capture stream remembers: what a recorder that was away can still catch up with."""

    max_age_s: Seconds = 24 * 3600.0
    max_bytes: Bytes = 2048 * MIB


class Bus(Section, frozen=True, kw_only=True):
    """The NATS server. Without a `url`, `moontide up` starts its own."""

    url: BusUrl | None = None
    credentials: SecretRef | None = None
    root: str = "moontide"  # the first token of every subject
    capture: Capture = Capture()


class Sink(Section, frozen=True, kw_only=True):
    """A database that exchanges are recorded in, or a webhook that they are posted to."""

    url: RecordsUrl
    password: SecretRef | None = None  # postgres
    keep_days: Days | None = None  # None = for ever
    keep_gib: Gib | None = None  # None = any size
    secret: SecretRef | None = None  # webhook: what its posts are signed with
    bodies: bool = False  # webhook: whether what each side sent goes along


class Ingress(Section, frozen=True, kw_only=True):
    """The HTTP side."""

    host: str = "127.0.0.1"
    port: Port = 9988
    keys: SecretRef | None = None  # a file of client keys; None = clients are not asked for a key
    max_body_bytes: Bytes = 32 * MIB
    max_header_bytes: Bytes = 64 * 1024
    max_in_flight: Count = 1000
    buffered_bytes: Bytes = 64 * MIB  # of one request's answer, while the client is slower than the provider
    queue_timeout_s: Seconds = 5.0  # how long a request waits for a worker with room
    keepalive_s: Seconds = 75.0  # an idle client connection
    ping_s: Seconds = 15.0  # silence of a stream, after which its client gets a sign of life; 0 = never
    refused_per_s: Rate = 5.0  # recorded requests of callers without a valid key
    force_stream: bool = False
    clients_choose_provider: bool | None = None  # by `X-Moontide-Provider`; None = where clients need no keys
    drain_s: Seconds = 30.0


class Dashboard(Section, frozen=True, kw_only=True):
    """The page for people. In `moontide up` it is on the ingress's address, and host and port don't matter."""

    host: str = "127.0.0.1"
    port: Port = 9989
    keys: SecretRef | None = None  # a file of keys that open it; None = those of the ingress, if it has any
    hosts: tuple[str, ...] = ()  # further names that it is asked for by; addresses and localhost always are


class Upstream(Section, frozen=True, kw_only=True):
    """A worker that calls providers."""

    max_in_flight: Count = 256
    deadline_s: Seconds = 900.0  # after this, a request gets no further call
    drain_s: Seconds = 30.0
    seal_key: SecretRef | None = None  # hex of 32 bytes; None = each process makes its own


class Normalizer(Section, frozen=True, kw_only=True):
    """A worker that repairs."""

    max_in_flight: Count = 512
    drain_s: Seconds = 30.0


class Enforcer(Section, frozen=True, kw_only=True):
    """A worker that asks again where an answer is not as it should be."""

    max_in_flight: Count = 512
    drain_s: Seconds = 30.0


class Sentinel(Section, frozen=True, kw_only=True):
    """A worker that looks for loops."""

    max_in_flight: Count = 512  # answers that it watches
    drain_s: Seconds = 30.0


class Recorder(Section, frozen=True, kw_only=True):
    """A worker that writes exchanges into the sinks."""

    drain_s: Seconds = 30.0
    redact: tuple[str, ...] = ()  # regular expressions (RE2) of what is taken out before it is stored
    lag_alert_s: Seconds = 300.0  # a sink that is further behind is told of; 0 = never


class MetricsPort(Section, frozen=True, kw_only=True):
    """Where a worker that has no HTTP side answers `GET /metrics` and `/healthz`."""

    host: str = "127.0.0.1"
    port: Port | None = None  # None = nowhere; its heartbeats say the same to the ingress


class Traces(Section, frozen=True, kw_only=True):
    """A trace of each request, for a collector that speaks OTLP over HTTP."""

    enabled: bool = False
    endpoint: str = "http://127.0.0.1:4318"  # where OTEL_EXPORTER_OTLP_ENDPOINT is set and nothing else said, that
    headers: dict[str, SecretRef] = {}  # of every post
    ratio: Share = 1.0  # of the traces that begin here
    propagate: bool = False  # providers are told which trace a call belongs to
    max_waiting: Count = 10_000  # finished requests, while the collector is away or slow; the oldest are dropped
    max_wait_s: Seconds = 3600.0  # likewise


class Log(Section, frozen=True, kw_only=True):
    """What goes to stderr."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["auto", "console", "json"] = "auto"  # auto = console on a terminal, else JSON


class Retry(Section, frozen=True, kw_only=True):
    """How often, and how soon, one request may come back to a provider."""

    attempts: Count = 3  # calls to one target for one request
    base_s: Seconds = 0.5  # the pause before a second call, doubled each time, of which a random part is waited
    cap_s: Seconds = 8.0
    max_wait_s: Seconds = 20.0  # the longest Retry-After that is waited for
    budget: Share = 0.2  # second calls, as a share of first ones


class Limits(Section, frozen=True, kw_only=True):
    """What a provider is asked for at most, by all upstream workers together."""

    max_in_flight: Count | None = None  # calls at once; None = any number, here and below
    requests_per_minute: Count | None = None
    tokens_per_minute: Count | None = None
    queue_timeout_s: Seconds = 10.0  # how long a call waits for room


class CircuitPolicy(Section, frozen=True, kw_only=True):
    """When a provider is left alone, and for how long."""

    failures: Count = 5  # in a row
    open_s: Seconds = 15.0  # then nobody asks it for this long; doubled each time that a probe fails
    cap_s: Seconds = 300.0
    shut_s: Seconds = 600.0  # after an exhausted balance or a refused key


class Provider(Section, frozen=True, kw_only=True):
    """Somebody who answers chat completions."""

    kind: ProviderKind
    base_url: str = ""  # never empty once loaded; without a trailing slash
    api_key: SecretRef | None = None  # None = the client's own key is passed through
    headers: dict[str, str] = {}  # each a plain value or a secret reference
    timeouts: Timeouts = Timeouts()
    retry: Retry = Retry()
    circuit: CircuitPolicy = CircuitPolicy()
    limits: Limits = Limits()
    serves: tuple[str, ...] = ()  # globs; empty = every model
    continues: bool | None = None  # goes on with a prefix (partial mode); None = as its kind does
    project: str | None = None  # vertex: of Google Cloud; None = the service account's own
    location: str = "global"  # vertex
    credentials: SecretRef | None = None  # vertex: a service account's key, or the path of a file with it
    version: AnthropicVersion = "2023-06-01"  # anthropic: which version of its API is spoken
    prefer: dict[str, Any] = {}  # openrouter: its `provider` object, sent with every chat request

    @property
    def continues_text(self) -> bool:
        return self.kind == "moonshot" if self.continues is None else self.continues


class Target(Section, frozen=True, kw_only=True):
    """Where a model's calls may go."""

    provider: str
    model: str | None = None  # None = the client's name for it
    tier: Count = 1
    weight: Annotated[float, Meta(gt=0)] = 1.0


class Model(Section, frozen=True, kw_only=True):
    """What clients may ask for, and what becomes of it."""

    targets: tuple[Target, ...]
    strategy: Strategy = "first"
    defaults: dict[str, Any] = {}  # request fields, where the client set none
    force: dict[str, Any] = {}  # request fields, whatever the client set
    drop: tuple[str, ...] = ()  # request fields that the provider never gets
    repair: RepairSettings = RepairSettings()
    repeat: RepeatSettings = RepeatSettings()
    ensure_tool_call: EnsureToolCall | None = None  # None = a turn may end in words
    check_tool_calls: CheckToolCalls | None = None  # None = calls go on as they are after repair

    @property
    def needs_enforcer(self) -> bool:
        asks_again = self.ensure_tool_call is not None or self.check_tool_calls is not None
        return asks_again or (self.repeat.is_on and self.repeat.action == "retry")


class Alert(Section, frozen=True, kw_only=True):
    """Somebody who is told when a provider is out or a sink is behind, and when that is over."""

    url: SecretRef
    shape: Literal["webhook", "discord", "slack"] = "webhook"


class When(Section, frozen=True, kw_only=True):
    """Which requests a route is for: all that is said must fit. Globs; capitals make no difference."""

    client: str | None = None  # the name of the client's key
    model: str | None = None  # as the client wrote it
    header: dict[str, str] = {}


class Route(Section, frozen=True, kw_only=True):
    """Where the requests that it is for go instead of where their model would."""

    when: When = When()
    provider: str | None = None
    model: str | None = None  # as if the client had asked for this one


class Settings(Section, frozen=True, kw_only=True):
    """Everything. Loaded settings always have a sink, a provider and a model."""

    home: str = "~/.moontide"  # absolute once loaded
    bus: Bus = Bus()
    records: tuple[Sink, ...] = ()
    ingress: Ingress = Ingress()
    dashboard: Dashboard = Dashboard()
    upstream: Upstream = Upstream()
    normalizer: Normalizer = Normalizer()
    enforcer: Enforcer = Enforcer()
    sentinel: Sentinel = Sentinel()
    recorder: Recorder = Recorder()
    log: Log = Log()
    metrics: MetricsPort = MetricsPort()
    traces: Traces = Traces()
    providers: dict[str, Provider] = {}
    models: dict[str, Model] = {}  # by name or glob
    routes: tuple[Route, ...] = ()  # the first that fits wins
    alerts: dict[str, Alert] = {}  # by name
