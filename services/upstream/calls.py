"""One call to one provider: what it is sent, with which key, and its answer onto the leg."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import aiohttp
import msgspec

from services.upstream.adapters import Outgoing, Recalled, adapter_of
from services.upstream.call import CallFailed, Request, calling
from services.upstream.google_tokens import Tokens
from services.upstream.hearing import Ears, Heard
from services.upstream.relay import Ending, Relay
from services.upstream.route import Route
from services.upstream.rules import faults
from shared.bodies import put_body
from shared.config import Model, Settings, Target
from shared.contracts import Fault, HttpRequest, Job, encode
from shared.errors import Refused, Unavailable
from shared.legs import LegWriter
from shared.seal import SealKey
from shared.secrets import Secret, redact_headers
from shared.worker import Worker

Key = Secret | Tokens


@dataclass(frozen=True, repr=False)
class Keys:
    """What this worker may call providers with; by provider."""

    providers: Mapping[str, Key]
    headers: Mapping[str, Mapping[str, str]]  # configured headers, secrets among them
    seal: SealKey

    @property
    def tokens(self) -> list[Tokens]:
        """Those that have to be kept fresh."""
        return [key for key in self.providers.values() if isinstance(key, Tokens)]

    async def renewed(self, provider: str) -> bool:
        """The provider answered 401: whether there is another token now. A key stays what it is."""
        key = self.providers.get(provider)
        return isinstance(key, Tokens) and await key.renew()


@dataclass(frozen=True, kw_only=True)
class Asking:
    """One call of a job."""

    job: Job
    call: str
    body: bytes  # in canonical form
    goes_on: bool = False  # it continues the text of the call before it


class Caller:
    """Makes the calls of one worker."""

    def __init__(self, settings: Settings, keys: Keys, session: aiohttp.ClientSession, ears: Ears) -> None:
        self._settings = settings
        self._keys = keys
        self._session = session
        self._ears = ears
        self._adapters = {name: adapter_of(provider) for name, provider in settings.providers.items()}
        self.worker: Worker

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
                async with calling(self._session, request) as answer:
                    if answer.status == 401 and not is_last and await self._keys.renewed(route.name):
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
            return await relay.unread(answer)
        if answer.status >= 300:
            return await relay.refusal(answer)
        if asking.goes_on and not answer.is_event_stream:
            raise CallFailed(faults.unreadable(route.name, b"one body, where a stream had to go on"))
        return await relay.answer(answer, asking.job.streamed)

    def _outgoing(self, route: Route, asking: Asking, recalled: Recalled) -> Outgoing:
        job = asking.job
        if job.request.dialect == "passthrough":
            return route.adapter.other(job.request, asking.body)
        return route.adapter.chat(job.request, asking.body, route.model, route.target, job.streamed, recalled)

    def _request(self, route: Route, job: Job, outgoing: Outgoing) -> Request:
        key = self._key(route, job)
        authorization = route.adapter.authorization(key) if key else {}
        return Request(
            provider=route.name,
            method=job.request.method,
            url=route.provider.base_url + outgoing.path,
            headers={**outgoing.headers, **authorization, **self._keys.headers[route.name]},
            body=outgoing.body,
            timeouts=route.provider.timeouts,
        )

    def has_own_key(self, provider: str) -> bool:
        """Whether calls to it are made with our key: what is wrong with it then concerns every client."""
        return provider in self._keys.providers

    def credentials(self, provider: str) -> dict[str, str]:
        """The headers of a call of our own, in nobody's name."""
        key = self._keys.providers.get(provider)
        adapter = self._adapters[provider]
        return {**(adapter.authorization(key.reveal()) if key else {}), **self._keys.headers[provider]}

    def _key(self, route: Route, job: Job) -> str | None:
        """The provider's configured key, else the client's own."""
        if route.name in self._keys.providers:
            return self._keys.providers[route.name].reveal()
        if job.secret is not None:
            return self._keys.seal.open(job.secret.boxes)
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
