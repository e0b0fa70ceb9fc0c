"""Responses that a request goes on from: in a play nobody else remembers them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

import msgspec

from services.recorder.remembering import told_again
from shared.bus import Bus, Delivery
from shared.contracts import Ask, Recorded, decode, encode
from shared.records.exports.whole import Whole
from shared.records.queries import Records
from shared.subjects import Subjects

DIALECT = "openai_responses"
NAMED = re.compile(rb'"[a-z]+_([0-9A-HJKMNP-TV-Z]{26})(?:_[0-9]+)?"')  # `resp_<id>`, or one of its items: `rs_<id>_0`
AT_MOST = 64  # of one request


def earlier_of(records: Records, whole: Whole) -> list[Recorded]:
    """Those that the request names, as far as they are recorded; whose key it was doesn't matter to a play."""
    if whole.exchange["dialect"] != DIALECT:
        return []
    names = dict.fromkeys(NAMED.findall(whole.side().request_bytes))
    asked = (Ask(id=name.decode(), client=whole.exchange["client"]) for name in list(names)[:AT_MOST])
    return list(_anonymous(found for ask in asked if (found := told_again(records, ask)) is not None))


def _anonymous(responses: Iterator[Recorded]) -> Iterator[Recorded]:
    for one in responses:
        request = msgspec.structs.replace(one.request, client=None) if one.request is not None else None
        yield msgspec.structs.replace(one, request=request)


class Remembered:
    """Answers for the records, as a recorder does."""

    def __init__(self, bus: Bus, responses: Sequence[Recorded]) -> None:
        self._bus = bus
        self._responses = {one.id: one for one in responses}

    async def listen(self, subjects: Subjects) -> None:
        await self._bus.subscribe(subjects.ask_records, self._on_ask)

    async def _on_ask(self, message: Delivery) -> None:
        id = decode(Ask, message.data).id
        found = self._responses.get(id)
        if found is not None:
            await self._bus.put_claim(id, encode(found))
        await self._bus.publish(message.reply, encode(Recorded(id=id, claim=id if found is not None else None)))
