"""Arguments against their tool's JSON schema: values of the wrong type are given the right one, where that is
certain.

    "20"  -> 20      where an integer or a number is wanted and a string is not
    "true" -> true   likewise for booleans; `"null"` for null
    "[1]" -> [1]     likewise for arrays and objects
    20.0  -> 20      where an integer is wanted
    20    -> "20"    where only a string is wanted

Arguments that fit the schema are never touched, and neither is a string where a string will do.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from services.normalizer.rules.arguments import decode

_MAX_DEPTH = 16  # of nested schemas; deeper values stay as they are


def coerced(value: Any, schema: Any, depth: int = 0) -> Any:
    """The value with what does not fit the schema's types given the type that is wanted."""
    if not isinstance(schema, dict) or depth > _MAX_DEPTH:
        return value
    wanted = _wanted(schema)
    if wanted and _kind(value) not in wanted:
        value = _converted(value, wanted)
    if isinstance(value, dict):
        return _members(value, schema, depth)
    if isinstance(value, list) and isinstance(schema.get("items"), dict):
        return [coerced(entry, schema["items"], depth + 1) for entry in value]
    return value


def _members(value: dict[str, Any], schema: dict[str, Any], depth: int) -> dict[str, Any]:
    declared = schema.get("properties")
    if not isinstance(declared, dict):
        return value
    return {key: coerced(entry, declared.get(key), depth + 1) for key, entry in value.items()}


def _wanted(schema: dict[str, Any]) -> frozenset[str]:
    """The types that a schema accepts; empty where it does not say so plainly."""
    kinds = schema.get("type")
    if isinstance(kinds, str):
        return _with_integer({kinds})
    if isinstance(kinds, list):
        return _with_integer({kind for kind in kinds if isinstance(kind, str)})
    options = schema.get("anyOf", schema.get("oneOf"))
    if not isinstance(options, list):
        return frozenset()
    each = [_wanted(option) if isinstance(option, dict) else frozenset[str]() for option in options]
    return frozenset().union(*each) if all(each) else frozenset()


def _with_integer(kinds: set[str]) -> frozenset[str]:
    return frozenset(kinds | {"integer"} if "number" in kinds else kinds)


def _kind(value: Any) -> str:
    """The JSON type of a value."""
    kinds: tuple[tuple[type, str], ...] = (
        (bool, "boolean"),
        (int, "integer"),
        (float, "number"),
        (str, "string"),
        (list, "array"),
        (dict, "object"),
    )
    return next((name for kind, name in kinds if isinstance(value, kind)), "null")


def _converted(value: Any, wanted: frozenset[str]) -> Any:
    if isinstance(value, str):
        return _from_text(value, wanted)
    if isinstance(value, float) and "integer" in wanted and value.is_integer():
        return int(value)
    if isinstance(value, int | float) and wanted == {"string"}:
        return str(value).lower() if isinstance(value, bool) else str(value)
    return value


def _from_text(text: str, wanted: frozenset[str]) -> Any:
    """What a string holds, where that has a wanted type."""
    read: Callable[[str], Any] = decode
    try:
        value = read(text.strip().lower() if text.strip().lower() in ("true", "false", "null") else text)
    except ValueError:
        return text
    if isinstance(value, float) and "number" not in wanted and value.is_integer():
        value = int(value)
    return value if _kind(value) in wanted else text
