"""LIKE and regular expressions in time that grows with the text alone, whatever the pattern.

Python's `re` can take exponential time, and SQLite's and Postgres's expressions are two more languages. So one engine
does it for all: Rust's `regex`, which the schema validator brings along, of the family that MoonPalace uses (RE2).
"""

from __future__ import annotations

import re
from collections.abc import Callable

import jsonschema_rs

MAX_PATTERN = 2_000  # characters
MAX_PROGRAM = 1024 * 1024  # bytes that a pattern may become

Test = Callable[[str], bool]


class BadPattern(ValueError):
    """No regular expression, or one that would become too large."""


def matcher(pattern: str) -> Test:
    """Whether a text holds what a regular expression describes."""
    if len(pattern) > MAX_PATTERN:
        raise BadPattern(f"a pattern of {len(pattern)} characters; the longest has {MAX_PATTERN}")
    options = jsonschema_rs.RegexOptions(size_limit=MAX_PROGRAM)
    try:
        validator = jsonschema_rs.Draft202012Validator({"pattern": pattern}, pattern_options=options)
    except ValueError:
        raise BadPattern(
            f"{pattern!r} is no regular expression that can be used: RE2's syntax, no backreferences, no look-around, "
            "no huge repetitions"
        ) from None
    return validator.is_valid


def like(literal: str) -> str:
    """MoonPalace's text for `~` as a LIKE pattern: `*` at an end is `%`; without one, the text stands anywhere."""
    begins, ends = literal.startswith("*"), literal.endswith("*")
    if not (begins or ends):
        return f"%{literal}%"
    if literal == "*":
        return "%"
    return f"{'%' if begins else ''}{literal[begins : len(literal) - ends]}{'%' if ends else ''}"


def like_matcher(pattern: str) -> Test:
    """Whether the whole of a text is like a pattern: `%` is anything, `_` one character; case doesn't matter."""
    inner = pattern.strip("%")
    translated = "".join({"%": ".*", "_": "."}.get(char, re.escape(char)) for char in inner)
    begin = "" if pattern.startswith("%") else r"\A"
    end = "" if pattern.endswith("%") else r"\z"
    return matcher(f"(?is){begin}{translated}{end}")
