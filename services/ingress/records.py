"""What the records have of a response: asked of a recorder over the bus, for the ingress reads no database."""

from __future__ import annotations

import msgspec

from shared.bus import BusUnavailable, NoReply, NoResponders, NoSuchClaim
from shared.contracts import Ask, Recorded, decode, encode
from shared.worker import Worker

WITHIN_S = 2.0  # an answer out of SQLite takes milliseconds; a client waits for it


class NotAnswered(Exception):
    """The records may have it, but nobody could say so; its text says why."""


async def recorded(worker: Worker, id: str, client: str | None) -> Recorded:
    """What there is of this client's response; raises NotAnswered."""
    try:
        found = decode(Recorded, await worker.bus.request(worker.subjects.ask_records, _question(id, client), WITHIN_S))
        if found.claim is not None:
            found = decode(Recorded, await worker.bus.get_claim(found.claim))
    except NoResponders as error:
        raise NotAnswered("no recorder with a database is there to ask") from error
    except NoReply as error:
        raise NotAnswered(f"no recorder has answered within {WITHIN_S:g} s") from error
    except (BusUnavailable, NoSuchClaim, msgspec.DecodeError) as error:
        raise NotAnswered(f"a recorder's answer could not be read: {error}") from error
    if found.unavailable is not None:
        raise NotAnswered(found.unavailable)
    return found


def _question(id: str, client: str | None) -> bytes:
    return encode(Ask(id=id, client=client))
