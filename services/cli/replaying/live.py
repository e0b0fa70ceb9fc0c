"""A recorded request, sent again through a gateway that runs."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

import aiohttp
import click
import msgspec
from yarl import URL

from services.cli.replaying.compared import Account
from services.cli.replaying.recording import NOT_SENT, Asked, Data
from shared.config.routes import PROVIDER_HEADER
from shared.errors import MoontideError
from shared.records.told import told

LIMIT_S = 3600.0
LOOPBACK = ("127.0.0.1", "::1", "localhost")

Change = tuple[str, Any]


class NoGateway(MoontideError):
    """Tell the operator: nobody answers there."""


def changes_of(texts: Sequence[str]) -> list[Change]:
    """`k=v`: the value is JSON, or else a text; dots in the name lead into objects and lists."""
    found = []
    for text in texts:
        name, equals, value = text.partition("=")
        if not name or not equals:
            raise click.UsageError(f"--param {text!r}: write name=value, such as temperature=0.6")
        try:
            found.append((name, msgspec.json.decode(value)))
        except msgspec.DecodeError:
            found.append((name, value))
    return found


def changed(body: bytes, changes: Sequence[Change]) -> bytes:
    """The body, byte for byte where nothing changes."""
    if not changes:
        return body
    try:
        document = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise click.UsageError("the request's body is no JSON: --model and --param can't change it") from None
    for name, value in changes:
        _put(document, name, value)
    return msgspec.json.encode(document)


def _put(document: Any, name: str, value: Any) -> None:
    *way, last = name.split(".")
    place = document
    for step in way:
        place = _step(place, step, name)
    if isinstance(place, dict):
        place[last] = value
    elif isinstance(place, list) and _is_index(place, last):
        place[int(last)] = value
    else:
        raise click.UsageError(f"--param {name}: there is no place for {last!r} in the request")


def _step(place: Any, step: str, name: str) -> Any:
    if isinstance(place, dict):
        return place.setdefault(step, {})
    if isinstance(place, list) and _is_index(place, step):
        return place[int(step)]
    raise click.UsageError(f"--param {name}: there is no {step!r} in the request")


def _is_index(values: list[Any], text: str) -> bool:
    return text.lstrip("-").isdigit() and -len(values) <= int(text) < len(values)


def key_for(url: str, key: str | None, environ: Mapping[str, str]) -> str | None:
    """$MOONSHOT_API_KEY goes to a gateway on this machine only; elsewhere a key must be named."""
    return key or (environ.get("MOONSHOT_API_KEY") if URL(url).host in LOOPBACK else None)


def asked_again(asked: Asked, changes: Sequence[Change], provider: str | None, key: str | None) -> Asked:
    headers = {name: value for name, value in asked.headers.items() if name not in NOT_SENT}
    headers |= {PROVIDER_HEADER: provider} if provider else {}
    headers |= {"authorization": f"Bearer {key}"} if key else {}
    return Asked(asked.method, asked.path, headers, Data.of(changed(asked.body.bytes, changes)))


async def send(url: str, asked: Asked, title: str) -> Account:
    """The answer; raises NoGateway where nobody listens."""
    timeout = aiohttp.ClientTimeout(total=LIMIT_S)
    skipped = ("User-Agent", "Accept", "Content-Type")
    began, first_byte_s, body = time.monotonic(), None, bytearray()
    try:
        async with (
            aiohttp.ClientSession(timeout=timeout, skip_auto_headers=skipped) as session,
            session.request(
                asked.method, URL(url + asked.path, encoded=True), data=asked.body.bytes or None, headers=asked.headers
            ) as response,
        ):
            async for piece in response.content.iter_any():
                first_byte_s = first_byte_s or time.monotonic() - began
                body += piece
            return Account(
                title=title,
                status=response.status,
                told=told(bytes(body), response.headers.get("Content-Type")),
                id=response.headers.get("X-Moontide-Request-Id"),
                first_byte_s=first_byte_s,
                total_s=time.monotonic() - began,
            )
    except (aiohttp.ClientError, OSError) as error:
        raise NoGateway(f"no answer from {url}: {error}. Is `moontide up` running there?") from None
