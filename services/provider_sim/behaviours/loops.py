"""Runaway answers: the same again and again until the token limit."""

from __future__ import annotations

from functools import lru_cache
from typing import Literal

from services.provider_sim import seeds
from services.provider_sim.ask import Ask, Partial
from services.provider_sim.behaviours.markers import K2
from services.provider_sim.behaviours.offered import Call, fragments, offered
from services.provider_sim.behaviours.talk import pieces, said
from services.provider_sim.codec import encode
from services.provider_sim.plan import Delta, Plan

Kind = Literal["exact", "counter", "time", "word"]
Where = Literal["content", "reasoning", "arguments", "markers"]
SECONDS_A_DAY = 86_400


def loop(
    plan: Plan,
    ask: Ask,
    *,
    kind: Kind = "exact",
    where: Where = "content",
    period: int = 40,
    healthy: int = 200,
    length: int = 20_000,
    largest: int = 12,
    again: bool = False,
    recovers: bool = False,
) -> Plan:
    """After `healthy` characters a unit of `period` characters is repeated up to `length`, then "length".
    `counter`, `time` and `word` vary a little each time round. A request in partial mode gets
    the healthy text to its end, unless `again`. One that `recovers` comes to an end of its own
    in partial mode, and where a frequency_penalty is asked for. In `markers` it is a call that leaked as text."""
    if recovers and (ask.partial is not None or ask.body.get("frequency_penalty")):
        return said(plan, *_recovered(ask, where, _torn(ask.seed, kind, period, healthy, healthy, largest)))
    if ask.partial is not None and not again:
        return said(plan, *pieces(_field(where), _torn(ask.seed, kind, period, healthy, healthy, largest)))
    torn = _torn(ask.seed, kind, period, healthy, length, largest)
    if where == "arguments":
        return said(plan, *_in_arguments(offered(ask, 1)[0], torn), finish="length")
    if where == "markers":
        return said(plan, *pieces("content", [_in_markers(offered(ask, 1)[0]), *torn]), finish="length")
    return said(plan, *pieces(_field(where), torn), finish="length")


def _recovered(ask: Ask, where: Where, healthy: tuple[str, ...]) -> list[Delta]:
    """What was said so far, or the healthy text, and an end."""
    if where in ("arguments", "markers"):
        return [{"tool_calls": [part]} for part in fragments(offered(ask, 1)[0], ask.random("recovered"))]
    partial = ask.partial or Partial("", "")
    so_far = partial.reasoning if where == "reasoning" else partial.content
    texts = [so_far] if so_far else list(healthy)
    ending = pieces("content", [" That ", "is all."])
    return [*pieces(_field(where), texts), *ending]


def _field(where: Where) -> str:
    return "reasoning_content" if where == "reasoning" else "content"


@lru_cache(maxsize=64)
def _torn(seed: int, kind: Kind, period: int, healthy: int, length: int, largest: int) -> tuple[str, ...]:
    begin = "".join(seeds.prose(healthy // 6 + 1, seed, "healthy"))[:healthy] if healthy else ""
    rounds = "".join(_unit(seed, kind, period, turn) for turn in range((length - healthy) // max(period, 1) + 1))
    return tuple(seeds.split((begin + rounds)[:length], seeds.seeded(seed, "loop"), largest))


def _unit(seed: int, kind: Kind, period: int, turn: int) -> str:
    base = (" " + "".join(seeds.prose(period // 4 + 2, seed, "unit")))[:period]
    if kind == "exact":
        return base
    moment = turn % SECONDS_A_DAY
    varying = {
        "counter": str(turn + 1),
        "time": f"{moment // 3600:02}:{moment // 60 % 60:02}:{moment % 60:02}",
        "word": seeds.seeded(seed, "word", turn).choice(seeds.WORDS),
    }[kind]
    return base[: max(1, period - len(varying) - 2)] + f" {varying}."


def _in_arguments(call: Call, torn: tuple[str, ...]) -> list[Delta]:
    """A call whose arguments never end."""
    opening = {"name": call.name, "arguments": '{"text": "'}
    first: Delta = {"tool_calls": [{"index": 0, "id": call.id, "type": "function", "function": opening}]}
    escaped = (encode(part).decode()[1:-1] for part in torn)
    return [first, *({"tool_calls": [{"index": 0, "function": {"arguments": part}}]} for part in escaped)]


def _in_markers(call: Call) -> str:
    return f'{K2.section_begin}{K2.call_begin}{call.id}{K2.argument_begin}{{"text": "'


BEHAVIOURS = (loop,)
