"""Regular expressions that somebody configured: RE2, which takes time in proportion to the text and never more."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import re2

MAX_MEMORY_BYTES = 8 * 1024 * 1024  # of a compiled pattern; past it, it is refused


def compiled(patterns: Sequence[str]) -> Any:
    """The patterns as one, for bytes of UTF-8; raises ValueError with what is wrong."""
    options = re2.Options()
    options.log_errors = False
    options.max_mem = MAX_MEMORY_BYTES
    try:
        return re2.compile("|".join(f"(?:{pattern})" for pattern in patterns).encode(), options)
    except re2.error as error:
        said = error.args[0] if error.args else "not understood"
        raise ValueError(said.decode("utf-8", "replace") if isinstance(said, bytes) else str(said)) from None


def fault(pattern: str) -> str | None:
    """What is wrong with a pattern; None where it can be used."""
    try:
        found = compiled([pattern])
    except ValueError as error:
        return f"not a regular expression of RE2: {error}"
    return "matches everywhere, also where nothing is" if found.match(b"") else None
