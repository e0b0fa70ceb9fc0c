"""Who is let in: by the name that the page was asked for, and by where a request comes from.

A page on the web can make a browser ask any address. With a name of its own that suddenly means this machine (DNS
rebinding) it would even be the same origin; so only names that are ours are answered. An address is never somebody
else's name.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Collection
from urllib.parse import urlsplit

OWN_SITE = ("same-origin", "none")  # of Sec-Fetch-Site: this page, or the address bar


def host_is_ours(host: str, names: Collection[str]) -> bool:
    """Whether a `Host` header is an address, this machine's own name, or one of the configured names."""
    name = _host_name(host)
    if name is None:
        return False
    return is_address(name) or name == "localhost" or name.endswith(".localhost") or name in names


def is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def origin_is_ours(origin: str | None, site: str | None, host: str) -> bool:
    """Whether a request comes from our own page, or from no page at all: a program sends neither header."""
    if site is not None and site not in OWN_SITE:
        return False
    if origin is None:
        return True
    try:
        parts = urlsplit(origin)
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and parts.netloc.lower() == host.lower()


def _host_name(host: str) -> str | None:
    """Without the port, in lower case."""
    try:
        parts = urlsplit(f"//{host}")
        _ = parts.port
    except ValueError:
        return None
    if parts.netloc != host or "@" in host:
        return None
    return (parts.hostname or "").rstrip(".") or None
