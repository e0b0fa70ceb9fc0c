"""Telling somebody outside: how a note is shaped for its receiver, and how it is delivered.

Whoever tells decides what; a note that can't be delivered is logged and let go.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import aiohttp
import structlog

from shared.contracts import Heartbeat
from shared.secrets import Secret

DELIVERED_WITHIN_S = 10.0
DISCORD_CHARACTERS = 2000

Shape = Literal["webhook", "discord", "slack"]

log = structlog.get_logger("alerts")


@dataclass(frozen=True)
class Receiver:
    shape: Shape
    url: Secret  # whoever has it can write there


def shaped(text: str, facts: Mapping[str, Any], shape: Shape) -> dict[str, Any]:
    """The note as its receiver takes it. Nobody is mentioned, whatever stands in it."""
    if shape == "discord":
        return {"content": text[:DISCORD_CHARACTERS], "allowed_mentions": {"parse": []}}
    if shape == "slack":
        return {"text": text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")}
    return {**facts, "text": text}


async def deliver(session: aiohttp.ClientSession, receiver: Receiver, body: Mapping[str, Any]) -> None:
    timeout = aiohttp.ClientTimeout(total=DELIVERED_WITHIN_S)
    try:
        async with session.post(receiver.url.reveal(), json=body, timeout=timeout) as answer:
            if answer.status >= 300:
                log.warning("alert.refused", shape=receiver.shape, status=answer.status)
    except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
        log.warning("alert.failed", shape=receiver.shape, error=type(error).__name__)


def is_teller(beats: Iterable[Heartbeat], service: str, instance: str) -> bool:
    """Of several workers that know the same, the live one of the lowest name tells."""
    names = [beat.instance for beat in beats if beat.service == service and not beat.draining]
    return instance == min(names, default=instance)
