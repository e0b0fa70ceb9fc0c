"""One HTTP call to a provider, with a patience for each of its phases."""

from __future__ import annotations

import io
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any

import aiohttp
import anyio
from yarl import URL

from services.upstream.rules import faults
from shared.contracts import Fault, Timeouts

HEAD_LINE_BYTES = 64 * 1024  # a provider's longest header line
HEAD_FIELD_BYTES = 64 * 1024
WRITTEN_AT_ONCE_BYTES = 512 * 1024
APART_S = 0.002  # between two pieces of a stream; 500 a second are more than any model's tokens
GATHERED_BYTES = 64 * 1024  # a piece of so much does not wait for more


class CallFailed(Exception):
    """The call came to nothing, or broke off; `fault` says how."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(fault.message)
        self.fault = fault


@dataclass(frozen=True, kw_only=True)
class Request:
    """What goes over the wire; the headers hold the key."""

    provider: str
    method: str
    url: str
    headers: Mapping[str, str]
    body: bytes
    timeouts: Timeouts
    may_repeat: bool = False  # it may be sent twice


@dataclass(frozen=True)
class Connections:
    """One worker's ways to its providers."""

    kept: aiohttp.ClientSession
    fresh: aiohttp.ClientSession  # never a connection that was used before


@asynccontextmanager
async def connections() -> AsyncIterator[Connections]:
    async with client_session() as kept, client_session(keeps=False) as fresh:
        yield Connections(kept, fresh)


def client_session(keeps: bool = True) -> aiohttp.ClientSession:
    """Connections are kept and never rationed here: capacity is the worker's affair."""
    connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=60 if keeps else None, force_close=not keeps)
    return aiohttp.ClientSession(
        connector=connector,
        trace_configs=[_noting_reuse()] if keeps else None,
        timeout=aiohttp.ClientTimeout(total=None),
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,
        skip_auto_headers=("User-Agent", "Accept", "Content-Type"),
        max_line_size=HEAD_LINE_BYTES,
        max_field_size=HEAD_FIELD_BYTES,
    )


@dataclass
class _Attempt:
    """What the connection pool did for one request."""

    is_on_used_connection: bool = False


def _noting_reuse() -> aiohttp.TraceConfig:
    async def reused(_session: Any, context: Any, _params: Any) -> None:
        if isinstance(context.trace_request_ctx, _Attempt):
            context.trace_request_ctx.is_on_used_connection = True

    config = aiohttp.TraceConfig()
    config.on_connection_reuseconn.append(reused)
    return config


class Answer:
    """A provider's answer: its head, then its body piece by piece as the socket gives it."""

    def __init__(self, response: aiohttp.ClientResponse, request: Request, patience: _Patience) -> None:
        self.status = response.status
        self.headers = {name.lower(): value for name, value in response.headers.items()}
        self._response = response
        self._request = request
        self._patience = patience

    @property
    def is_event_stream(self) -> bool:
        return self.headers.get("content-type", "").startswith("text/event-stream")

    async def pieces(self) -> AsyncIterator[bytes]:
        """What each read gave, or in a burst of events what came in APART_S.

        Raises CallFailed when the provider breaks off.
        """
        content, is_stream, next_at = self._response.content, self.is_event_stream, 0.0
        try:
            while piece := await content.readany():
                self._patience.piece_came()
                if is_stream and time.monotonic() < next_at:
                    piece = await self._with_what_follows(piece, next_at)
                next_at = time.monotonic() + APART_S
                yield piece
        except aiohttp.ClientPayloadError as error:
            raise CallFailed(faults.broken(self._request.provider, "the connection closed")) from error
        except (aiohttp.ClientError, OSError) as error:
            raise CallFailed(faults.broken(self._request.provider, _named(error))) from error

    async def _with_what_follows(self, piece: bytes, until: float) -> bytes:
        """What comes until then, as one piece. Where the connection breaks meanwhile, the next read says so."""
        pieces, size = [piece], len(piece)
        with anyio.move_on_after(until - time.monotonic()), suppress(aiohttp.ClientError, OSError):
            while size < GATHERED_BYTES and (more := await self._response.content.readany()):
                pieces.append(more)
                size += len(more)
        return b"".join(pieces)


@asynccontextmanager
async def calling(
    connections: Connections, request: Request, on_fresh: Callable[[str], None] = lambda _provider: None
) -> AsyncIterator[Answer]:
    """The answer's head has come; the connection is closed on the way out unless the body was read to its end.

    A provider closes idle connections when it likes. A request that met a dead one, and of which nothing came back,
    is sent once more at once on a new one, where it may be sent twice; `on_fresh` is told.
    """
    patience = _Patience(request.timeouts)
    with patience.scope:
        response = await _send(connections, request, on_fresh)
        try:
            yield Answer(response, request, patience)
        finally:
            if not response.content.at_eof():
                response.close()
            response.release()
    if patience.scope.cancelled_caught:
        raise CallFailed(faults.too_slow(request.provider, patience.phase, patience.limit_s))


class _Patience:
    """How long the next thing may take: the first byte, the next one, or the end of it all."""

    def __init__(self, timeouts: Timeouts) -> None:
        self._timeouts = timeouts
        self._total_at = anyio.current_time() + timeouts.total_s
        self.scope = anyio.CancelScope()
        self._wait("first_byte", timeouts.first_byte_s)

    def piece_came(self) -> None:
        self._wait("idle", self._timeouts.idle_s)

    def _wait(self, phase: str, limit_s: float) -> None:
        self.phase, self.limit_s = phase, limit_s
        deadline = anyio.current_time() + limit_s
        if deadline > self._total_at:
            self.phase, self.limit_s, deadline = "total", self._timeouts.total_s, self._total_at
        self.scope.deadline = deadline


async def _send(connections: Connections, request: Request, on_fresh: Callable[[str], None]) -> aiohttp.ClientResponse:
    attempt = _Attempt()
    try:
        try:
            return await _requested(connections.kept, request, attempt)
        except (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError):
            if not (attempt.is_on_used_connection and request.may_repeat):
                raise
            on_fresh(request.provider)
            return await _requested(connections.fresh, request)
    except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
        raise CallFailed(faults.unreachable(request.provider, _named(error))) from error


async def _requested(
    session: aiohttp.ClientSession, request: Request, attempt: _Attempt | None = None
) -> aiohttp.ClientResponse:
    return await session.request(
        request.method,
        URL(request.url, encoded=True),  # as the client wrote it
        data=_payload(request.body),
        headers=request.headers,
        timeout=aiohttp.ClientTimeout(total=None, sock_connect=request.timeouts.connect_s),
        allow_redirects=False,
        trace_request_ctx=attempt,
    )


def _payload(body: bytes) -> bytes | io.BytesIO | None:
    """A large body is written piece by piece: in one go it would hold up every other call."""
    return io.BytesIO(body) if len(body) > WRITTEN_AT_ONCE_BYTES else body or None


def _named(error: Exception) -> str:
    return str(error) or type(error).__name__
