"""The tool calls in the answers, each held against the schema that the request offered for it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import jsonschema_rs
import msgspec

from services.recorder.rules.answers import Answers, Json, choices, dicts, message_of
from services.recorder.rules.rows import Row, indexable

CHECKED_CHARACTERS = 1024 * 1024  # of arguments; longer ones are kept and not checked
PROBLEM_CHARACTERS = 500
LARGEST_INDEX = 2**31 - 1

Call = tuple[int, int, Json]
"""A choice, the call's place in it, and the call."""


def tool_call_rows(
    id: str, answers: Answers, schemas: Mapping[str, Json], offered: Callable[[str], Mapping[str, Json]]
) -> list[Row]:
    """`schemas` are those of the client, `offered` those that a provider's call had."""
    rows = []
    for call, leg in answers.final().items():
        found = list(_calls_in(answers.of(call, leg)))
        own = _own(answers, call) if found and leg == "normal" and not answers.is_same(call) else None
        knows_all = all(_said(made)[0] in schemas for _, _, made in found)
        known = schemas if knows_all else {**offered(call), **schemas}
        for choice, number, made in found:
            name, arguments = _said(made)
            repaired = own is not None and own.get((choice, number)) != (name, arguments)
            key = {"exchange_id": id, "call": call, "choice": choice, "number": number}
            rows.append(key | _row(made, name, arguments, known) | {"repaired": repaired})
    return rows


def _row(made: Json, name: str | None, arguments: str | None, schemas: Mapping[str, Json]) -> Row:
    offered = name is not None and name in schemas
    valid, problem = checked(arguments, schemas[name]) if name is not None and offered else (None, None)
    return {
        "tool_call_id": indexable(made.get("id")),
        "name": indexable(name),
        "arguments": arguments,
        "offered": offered,
        "valid": valid,
        "problem": problem,
    }


def checked(arguments: str | None, schema: Json) -> tuple[bool | None, str | None]:
    """Whether the arguments fit, and what is wrong with them. None: the schema says nothing that could be checked."""
    if arguments is None or len(arguments) > CHECKED_CHARACTERS:
        return None, None
    try:
        value = msgspec.json.decode(arguments)
    except (msgspec.DecodeError, RecursionError) as error:
        return False, f"no JSON: {error}"[:PROBLEM_CHARACTERS]
    if not schema:
        return None, None
    try:
        validator = jsonschema_rs.validator_for(schema, offline=True)
        wrong = next(iter(validator.iter_errors(value)), None)
    except (ValueError, TypeError, OverflowError, RecursionError) as error:  # jsonschema_rs's errors are ValueErrors
        return None, f"the offered schema can't be used: {error}"[:PROBLEM_CHARACTERS]
    return (True, None) if wrong is None else (False, _told(wrong)[:PROBLEM_CHARACTERS])


def _told(wrong: jsonschema_rs.ValidationError) -> str:
    place = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in wrong.instance_path)
    return f"{place.removeprefix('.')}: {wrong.message}" if place else wrong.message


def _own(answers: Answers, call: str) -> dict[tuple[int, int], tuple[str | None, str | None]]:
    """The calls as the provider wrote them."""
    return {(choice, number): _said(made) for choice, number, made in _calls_in(answers.of(call, "raw"))}


def _calls_in(completion: Json) -> Iterator[Call]:
    """Each place once: a provider may repeat a choice's index."""
    seen: set[int] = set()
    for at, choice in enumerate(choices(completion)):
        index = choice.get("index")
        place = index if isinstance(index, int) and 0 <= index <= LARGEST_INDEX else at
        if place not in seen:
            seen.add(place)
            for number, call in enumerate(dicts(message_of(choice).get("tool_calls"))):
                yield place, number, call


def _said(made: Json) -> tuple[str | None, str | None]:
    function = made.get("function")
    function = function if isinstance(function, dict) else {}
    name, arguments = function.get("name"), function.get("arguments")
    if arguments is not None and not isinstance(arguments, str):
        arguments = msgspec.json.encode(arguments).decode()
    return (name if isinstance(name, str) else None), arguments
