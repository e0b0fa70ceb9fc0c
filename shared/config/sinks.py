"""The sinks: what their addresses may be, and how they come to their passwords."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import quote, urlsplit

from shared.config.layers import Path
from shared.config.settings import Recorder, Sink
from shared.patterns import fault
from shared.secrets import Secrets, is_reference

POSTGRES = ("postgresql://", "postgres://", "postgresql+psycopg://")
WEBHOOK = ("https://", "http://")
PLACES = "must be sqlite:///path (four slashes for an absolute path), postgresql://host/database or https://host/path"

Finding = tuple[Path, str]


def is_webhook(url: str) -> bool:
    return url.lower().startswith(WEBHOOK)


def address(sink: Sink, secrets: Secrets) -> str:
    """Where a sink is, its password included: to be opened, never to be shown."""
    url = secrets.text(sink.url).strip()
    if sink.password is None:
        return url
    password = quote(secrets.get(sink.password).reveal(), safe="")
    scheme, _, rest = url.partition("://")
    user, at, host = rest.rpartition("@")
    return f"{scheme}://{user.partition(':')[0]}:{password}@{host}" if at else url


def sink_rules(sinks: tuple[Sink, ...]) -> Iterator[Finding]:
    if not sinks:
        yield ("records",), "at least one sink is needed: [{url: sqlite:///path}]"
    seen: dict[str, int] = {}
    for at, sink in enumerate(sinks):
        path: Path = ("records", at)
        if seen.setdefault(sink.url, at) != at:
            yield (*path, "url"), f"the same as records[{seen[sink.url]}].url; one sink for a place is enough"
        elif not is_reference(sink.url):
            yield from _of_its_kind(path, sink)


def recorder_rules(recorder: Recorder) -> Iterator[Finding]:
    for at, pattern in enumerate(recorder.redact):
        what = fault(pattern)
        if what is not None:
            yield ("recorder", "redact", at), what


def _of_its_kind(path: Path, sink: Sink) -> Iterator[Finding]:
    if is_webhook(sink.url):
        yield from _webhook(path, sink)
        return
    for name in ("secret",) if sink.secret is not None else ():
        yield (*path, name), "is for webhooks: a database has no posts to sign"
    if sink.bodies:
        yield (*path, "bodies"), "is for webhooks: a database always has them"
    if sink.url.startswith(POSTGRES):
        yield from _postgres(path, sink)
    elif not sink.url.startswith("sqlite:///") or sink.url == "sqlite:///":
        yield (*path, "url"), PLACES
    elif sink.password is not None:
        yield (*path, "password"), "is for Postgres: an SQLite file has none"


def _postgres(path: Path, sink: Sink) -> Iterator[Finding]:
    parts = urlsplit(sink.url)
    if not parts.path.strip("/"):
        yield (*path, "url"), "names no database: postgresql://user@host/database"
    elif sink.password is not None and not parts.username:
        yield (*path, "url"), "has a password and no user: postgresql://user@host/database"


def _webhook(path: Path, sink: Sink) -> Iterator[Finding]:
    if not urlsplit(sink.url).hostname:
        yield (*path, "url"), PLACES
    for name in ("keep_days", "keep_gib", "password"):
        if getattr(sink, name) is not None:
            yield (*path, name), "is for databases: a webhook keeps nothing here"
