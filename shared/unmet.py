"""What an answer says of itself where attempts were in vain.

A plain answer has headers for it. A stream's are gone by then, so its last event has a field of ours, which clients
that do not know it pass over.
"""

from __future__ import annotations

from typing import Any

FIELD = "moontide"


def unmet_mark(unmet: str | None, attempts: int) -> dict[str, Any]:
    """Fields for the last event of a stream; none where nothing was asked for in vain."""
    return {} if unmet is None else {FIELD: {"unmet": unmet, "attempts": attempts}}
