"""What every request goes through before it is one of the pipeline's: key, size, model, canonical form."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import msgspec
from aiohttp import web

from services.ingress.dialects.base import Asked, Dialect
from services.ingress.rules.doors import CHAT_PATH, canonical_headers
from services.ingress.rules.refused import secret_in_query
from services.ingress.sealer import Sealer
from shared.bodies import put_body
from shared.config import Decision, Settings, decide, plain_name, served_models
from shared.config.client_keys import ClientKeys
from shared.config.routes import PROVIDER_HEADER
from shared.contracts import Fault, HttpRequest, Sealed
from shared.errors import Refused
from shared.ids import new_id
from shared.secrets import Secret, redact_headers
from shared.worker import Worker

MODEL_CHARACTERS = 200  # of a model's name in an error


@dataclass
class Visit:
    """What is known of an HTTP request, once its caller is."""

    client: str | None
    body: bytes | None = None


VISIT = web.RequestKey("visit", Visit)


class Intake:
    """Raises Refused wherever a request gets no further."""

    def __init__(self, settings: Settings, client_keys: ClientKeys | None, worker: Worker, sealer: Sealer) -> None:
        self._settings = settings
        self._client_keys = client_keys
        self._worker = worker
        self._sealer = sealer

    def client(self, http: web.Request) -> str | None:
        """The client's name; raises Refused for a wrong key, or when there is no room."""
        if self._worker.is_draining or self._worker.in_flight >= self._settings.ingress.max_in_flight:
            raise Refused(fault(503, "overloaded", "Moontide has too many requests in hand.", retry_after_s=1))
        name = self.known(http)
        http[VISIT] = Visit(name)
        return name

    def known(self, http: web.Request) -> str | None:
        """The client's name, however much there is to do; raises Refused for a wrong key."""
        return None if self._client_keys is None else _name_of_client(self._client_keys, http)

    def secret(self, http: web.Request) -> Sealed | None:
        """The client's own provider key, sealed: only where Moontide has no client keys of its own."""
        given, key = http.headers.get("Authorization"), http.headers.get("X-Api-Key")
        given = given or (f"Bearer {key}" if key else None)
        return self._sealer.seal(Secret(given)) if given and self._client_keys is None else None

    async def body(self, http: web.Request) -> bytes:
        """All of it, of a caller that is known; raises Refused where it is too large."""
        try:
            http[VISIT].body = body = await http.read()
            return body
        except web.HTTPRequestEntityTooLarge as error:
            limit = self._settings.ingress.max_body_bytes
            message = f"The request's body is larger than {limit} bytes (ingress.max_body_bytes)."
            raise Refused(fault(413, "request_too_large", message)) from error
        except web.RequestPayloadError as error:
            message = "The request's body can't be read: is it as Content-Encoding and Content-Length say?"
            raise Refused(fault(400, "unreadable_body", message)) from error

    def decided(self, http: web.Request, model: str, client: str | None) -> Decision:
        """Where the request goes; what clients put behind a model's name in brackets is left out."""
        self._check_choice(http)
        headers = {name.lower(): value for name, value in http.headers.items()}
        decision = decide(self._settings, plain_name(self._settings, model), client, headers)
        if decision is None:
            served = ", ".join(served_models(self._settings))
            message = f"The model {model[:MODEL_CHARACTERS]!r} is not served here. Served: {served}."
            raise Refused(fault(404, "model_not_found", message, param="model"))
        return decision

    def _check_choice(self, http: web.Request) -> None:
        """A client may only name a provider that there is, and only where it may name one."""
        provider = http.headers.get(PROVIDER_HEADER)
        if provider is None:
            return
        may = self._settings.ingress.clients_choose_provider
        if not (self._client_keys is None if may is None else may):
            message = f"Clients may not choose the provider here ({PROVIDER_HEADER}): ingress.clients_choose_provider."
            raise Refused(fault(403, "provider_choice_forbidden", message))
        if provider not in self._settings.providers:
            served = ", ".join(self._settings.providers)
            raise Refused(fault(400, "provider_not_found", f"There is no provider {provider!r}. There are: {served}."))

    async def request(
        self, http: web.Request, dialect: Dialect, asked: Asked, client: str | None, body: bytes
    ) -> HttpRequest:
        """The request as the client made it; raises Refused where its address holds a secret."""
        self._check_choice(http)
        if secret := secret_in_query(http.query):
            message = f"The query parameter {secret!r} looks like a secret: send it as `Authorization: Bearer …`."
            raise Refused(fault(400, "secret_in_query", message, param=secret))
        id = new_id()
        return HttpRequest(
            id=id,
            at=time.time(),
            method=http.method,
            path=http.raw_path,
            dialect=dialect.name,
            headers=redact_headers(http.headers),
            body=await put_body(self._worker.bus, id, body, asked.is_json),
            client=client,
            peer=http.remote,
            model=asked.model,
            stream=asked.stream,
        )

    async def canonical(self, request: HttpRequest, asked: Asked, body: bytes) -> HttpRequest | None:
        """The same as a chat completion; None where that is what the client sent."""
        name = plain_name(self._settings, asked.model or "")
        if asked.body is body and name == asked.model:
            return None
        changed = asked.body if name == asked.model else _with_model(asked.body, name)
        return msgspec.structs.replace(
            request,
            method="POST",
            path=CHAT_PATH,
            dialect="openai_chat",
            headers=canonical_headers(request.headers),
            body=await put_body(self._worker.bus, f"{request.id}.c0", changed, is_json=True),
            model=name,
        )


def fault(status: int, code: str, message: str, **more: Any) -> Fault:
    """A fault of the ingress's own."""
    kind = "invalid_request_error" if status < 500 else "server_error"
    return Fault(status=status, code=code, type=kind, message=message, **more)


def _with_model(body: bytes, name: str) -> bytes:
    fields = msgspec.json.decode(body, type=dict[str, msgspec.Raw])
    fields["model"] = msgspec.Raw(msgspec.json.encode(name))
    return msgspec.json.encode(fields)


def _name_of_client(keys: ClientKeys, http: web.Request) -> str:
    key = _presented_key(http)
    name = keys.name_of(key) if key else None
    if name is None:
        what = "This key is not one of its client keys." if key else "Send `Authorization: Bearer <client key>`."
        raise Refused(fault(401, "invalid_client_key", f"Moontide asks for a client key. {what}"))
    return name


def _presented_key(http: web.Request) -> str | None:
    scheme, _, key = http.headers.get("Authorization", "").partition(" ")
    return key.strip() if scheme.lower() == "bearer" and key.strip() else http.headers.get("X-Api-Key")
