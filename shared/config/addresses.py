"""The form of addresses, and of what is sent to them."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

HEADER = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110, token


def is_url(text: str, schemes: tuple[str, ...]) -> bool:
    """Whether it is `scheme://host[:port][/path]`, without a query."""
    try:
        parts = urlsplit(text)
        port_is_fine = parts.port is None or parts.port > 0
    except ValueError:
        return False
    plain = not parts.query and not parts.fragment and not re.search(r"\s", text)
    return parts.scheme in schemes and bool(parts.hostname) and port_is_fine and plain
