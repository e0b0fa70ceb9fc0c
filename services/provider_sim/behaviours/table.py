"""Every behaviour, by name. A new one is a function in a module's `BEHAVIOURS`.

A behaviour's keyword arguments are its parameters, its docstring is what `docs/provider-sim.md` says of it.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, get_type_hints

from services.provider_sim.behaviours import (
    agents,
    breaks,
    calls,
    foreign,
    loops,
    markers,
    refusals,
    strictness,
    talk,
    thinking,
    writing,
)
from services.provider_sim.plan import Plan

SAYING = (talk, agents, markers, foreign, thinking, calls, loops)
"""Modules whose behaviours say something; the others change what is said, or refuse."""
CHANGING = (refusals, writing, breaks, strictness)


@dataclass(frozen=True, slots=True)
class Parameter:
    type: Any
    default: Any


@dataclass(frozen=True, slots=True)
class Behaviour:
    name: str
    apply: Callable[..., Plan]
    parameters: Mapping[str, Parameter]


def behaviour(function: Callable[..., Plan]) -> Behaviour:
    hints = get_type_hints(function)
    parameters = {
        name: Parameter(hints[name], parameter.default)
        for name, parameter in inspect.signature(function).parameters.items()
        if parameter.kind is parameter.KEYWORD_ONLY
    }
    return Behaviour(function.__name__.replace("_", "-"), function, parameters)


TABLE: Mapping[str, Behaviour] = {
    made.name: made for module in (*SAYING, *CHANGING) for made in map(behaviour, module.BEHAVIOURS)
}
ANSWERS = frozenset(behaviour(function).name for module in SAYING for function in module.BEHAVIOURS)
