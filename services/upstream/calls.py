"""One call to one provider: what it is sent, with which key, and its answer onto the leg."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeAlias

import msgspec

from services.upstream.adapters import Outgoing, Recalled, adapter_of
from services.upstream.call import CallFailed, Connections, Request, calling
from services.upstream.hearing import Ears, Heard
from services.upstream.relay import Ending, Relay
from services.upstream.route import Route
from services.upstream.rules import faults
from services.upstream.rules.tracing import context_headers
from shared.bodies import put_body
from shared.config import Model, Provider, Settings, Target
from shared.contracts import Fault, HttpRequest, Job, encode
from shared.errors import Refused, Unavailable
from shared.legs import LegWriter
from shared.seal import SealKey
from shared.secrets import Secret, redact_headers
from shared.worker import Worker

if TYPE_CHECKING:  # google-auth takes long to import, and most installations have no use for it
    from services.upstream.google_tokens import Tokens

Key: TypeAlias = "Secret | Tokens"

OUR_ACCOUNT = (401, 402)  # what a provider says with these is about the key, which is not the client's


@dataclass(frozen=True, repr=False)
class Keys:
    """What this worker may call providers with; by provider."""

    providers: Mapping[str, Key]
    headers: Mapping[str, Mapping[str, str]]  # configured headers, secrets among them
    seal: SealKey

    @property
    def tokens(self) -> list[Tokens]:
        """Those that have to be kept fresh."""
        return [key for key in self.providers.values() if not isinstance(key, Secret)]

    async def renewed(self, provider: str) -> bool:
        """The provider answered 401: whether there is another token now. A key stays what it is."""
        key = self.providers.get(provider)
        return key is not None and not isinstance(key, Secret) and await key.renew()


@dataclass(frozen=True, repr=False)
class Account:
    """As whom, and where, a provider is spoken to: what was found out about one says nothing of another."""

    kind: str
    base_url: str
    version: str
    key: Key | None
    headers: tuple[tuple[str, str], ...]


@dataclass(frozen=True, kw_only=True)
class Asking:
    """One call of a job."""

    job: Job
    call: str
    body: bytes  # in canonical form
    goes_on: bool = False  # it continues the text of the call before it


class Caller:
    """Makes the calls of one worker."""

    def __init__(self, settings: Settings, keys: Keys, connections: Connections, ears: Ears) -> None:
        self._settings = settings
        self.keys = keys
        self._connections = connections
        self._ears = ears
        self._adapters = {name: adapter_of(provider) for name, provider in settings.providers.items()}
        self.accounts = {name: self._account(name, provider) for name, provider in settings.providers.items()}
        self.worker: Worker

    def account(self, provider: str) -> Account | None:
        """None where there is no such provider."""
        return self.accounts.get(provider)

    def _account(self, name: str, said: Provider) -> Account:
        key, headers = self.keys.providers.get(name), self.keys.headers[name]
        return Account(said.kind, said.base_url, said.version, key, tuple(sorted(headers.items())))

    def route(self, model: Model, target: Target) -> Route:
        provider = self._settings.providers[target.provider]
        adapter = self._adapters[target.provider]
        return Route(name=target.provider, provider=provider, adapter=adapter, target=target, model=model)

    async def call(self, route: Route, asking: Asking, leg: LegWriter, hear: Callable[[bytes], None]) -> Ending:
        """Makes the call and writes all of its leg but the end."""
        relay = Relay(leg, route, self.worker.instance, hear)
        history = self._ears.history(route.adapter, asking.job, asking.body)
        outgoing = self._outgoing(route, asking, await self._ears.recall(route.adapter, history))
        await self._tell_what_is_sent(asking, route, outgoing)
        try:
            for is_last in (False, True):
                request = self._request(route, asking.job, outgoing)
                async with calling(self._connections, request, self._renewed_connection) as answer:
                    if answer.status == 401 and not is_last and await self.keys.renewed(route.name):
                        continue
                    ears = self._ears.hearing(route, self.worker, asking.job, asking.call, answer, history)
                    async with ears as heard:
                        return await self._relayed(relay, route, asking, heard)
        except Unavailable as no_token:
            return Ending("refused", no_token.fault, called=False)
        except CallFailed as failed:
            return relay.broken(failed)
        raise AssertionError("the second answer is always relayed")

    async def _relayed(self, relay: Relay, route: Route, asking: Asking, answer: Heard) -> Ending:
        if asking.job.request.dialect == "passthrough":
            if answer.status in OUR_ACCOUNT and (self.has_own_key(route.name) or asking.job.secret is None):
                return await relay.kept_back(answer)
            return await relay.unread(answer)
        if answer.status >= 300:
            return await relay.refusal(answer)
        if asking.goes_on and not answer.is_event_stream:
            raise CallFailed(faults.unreadable(route.name, b"one body, where a stream had to go on"))
        return await relay.answer(answer, asking.job.streamed)

    def _renewed_connection(self, provider: str) -> None:
        self.worker.metrics.add("fresh_connections", provider)

    def _outgoing(self, route: Route, asking: Asking, recalled: Recalled) -> Outgoing:
        job = asking.job
        if job.request.dialect == "passthrough":
            made = route.adapter.other(job.request, asking.body)
        else:
            made = route.adapter.chat(job.request, asking.body, route.model, route.target, job.streamed, recalled)
        context = context_headers(self._settings.traces, job.request, asking.call)
        return replace(made, headers={**made.headers, **context}) if context else made

    def _request(self, route: Route, job: Job, outgoing: Outgoing) -> Request:
        key = self._key(route, job)
        authorization = route.adapter.authorization(key) if key else {}
        return Request(
            provider=route.name,
            method=job.request.method,
            url=route.provider.base_url + outgoing.path,
            headers={**outgoing.headers, **authorization, **self.keys.headers[route.name]},
            body=outgoing.body,
            timeouts=route.provider.timeouts,
            may_repeat=job.request.dialect != "passthrough",
        )

    def has_own_key(self, provider: str) -> bool:
        """Whether calls to it are made with our key: what is wrong with it then concerns every client."""
        return provider in self.keys.providers

    def credentials(self, provider: str) -> dict[str, str]:
        """The headers of a call of our own, in nobody's name."""
        key = self.keys.providers.get(provider)
        adapter = self._adapters[provider]
        return {**(adapter.authorization(key.reveal()) if key else {}), **self.keys.headers[provider]}

    def _key(self, route: Route, job: Job) -> str | None:
        """The provider's configured key, else the client's own."""
        if route.name in self.keys.providers:
            return self.keys.providers[route.name].reveal()
        if job.secret is not None:
            return self.keys.seal.open(job.secret.boxes)
        if route.adapter.needs_key:
            message = (
                f"The provider {route.name} needs an API key: set providers.{route.name}.api_key (without a "
                "configuration: MOONSHOT_API_KEY) where Moontide runs, or send your own as `Authorization: Bearer …`."
            )
            raise Refused(Fault(status=401, code="no_api_key", type="invalid_authentication_error", message=message))
        return None

    async def _tell_what_is_sent(self, asking: Asking, route: Route, outgoing: Outgoing) -> None:
        """The provider's side of the request, for the record; never with a key."""
        worker, job = self.worker, asking.job
        same = outgoing.body == asking.body and not asking.goes_on and not job.request.changes
        claim = f"{job.id}.{asking.call}"
        body = msgspec.UNSET if same else await put_body(worker.bus, claim, outgoing.body, is_json=True)
        sent = HttpRequest(
            id=job.id,
            at=time.time(),
            method=job.request.method,
            path=route.provider.base_url + outgoing.path,
            dialect=job.request.dialect,
            headers=redact_headers(outgoing.headers),
            model=route.target.model,
            stream=job.streamed,
            provider=route.name,
            same_body=same,
            changes=_merged(job.request.changes, outgoing.changes),
            **({} if body is msgspec.UNSET else {"body": body}),  # type: ignore[arg-type]
        )
        await worker.bus.publish(worker.subjects.call_request(job.id, asking.call), encode(sent))


def _merged(one: Mapping[str, list[str]], other: Mapping[str, list[str]]) -> dict[str, list[str]]:
    """The changes that several stages made, one after the other."""
    return {name: [*dict.fromkeys([*one.get(name, ()), *other.get(name, ())])] for name in {**one, **other}}
