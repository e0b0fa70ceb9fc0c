"""JSON schemas of tools: what a validator says of a call's arguments."""

from __future__ import annotations

from typing import Any

import jsonschema_rs

MESSAGE_CHARACTERS = 500  # of one problem; it may quote the value


def fits(value: Any, schema: dict[str, Any]) -> bool:
    """Whether a value is valid; a schema that can't be compiled accepts everything."""
    try:
        return bool(jsonschema_rs.validator_for(schema, offline=True).is_valid(value))
    except (ValueError, TypeError, OverflowError):  # jsonschema_rs's errors are ValueErrors
        return True


def misfit(value: Any, schema: dict[str, Any]) -> str | None:
    """The first thing that is wrong with a value, and where; None where nothing is, or nobody can tell."""
    if fits(value, schema):
        return None
    error = next(jsonschema_rs.validator_for(schema, offline=True).iter_errors(value))
    place = ".".join(map(str, error.instance_path))
    return f"{place}: {error.message}"[:MESSAGE_CHARACTERS] if place else error.message[:MESSAGE_CHARACTERS]
