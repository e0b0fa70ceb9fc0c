"""A curl command that asks a provider the same again; its key is a placeholder, for no record holds one.

A shell reads it: whatever stands in single quotes is literal, and a body that can't stand there (NUL, not UTF-8, longer
than an argument may be) comes in base64 on standard input.
"""

from __future__ import annotations

from base64 import encodebytes
from collections.abc import Iterator
from urllib.parse import urlsplit

from shared.records.exports.whole import Side, Whole, canonical_name
from shared.records.queries import NotFound

ARGUMENT_BYTES = 100_000  # Linux takes 131,072 of one argument, its name and quotes included
KEYS = {
    "openrouter.ai": "OPENROUTER_API_KEY",
    "api.openai.com": "OPENAI_API_KEY",
    "api.anthropic.com": "ANTHROPIC_API_KEY",
}
KEY = "MOONSHOT_API_KEY"
LEFT_OUT = frozenset({"content-length", "host", "connection", "accept-encoding", "transfer-encoding", "expect"})
"""What curl sets itself, or what must fit the bytes that it sends."""


def command(whole: Whole, call: str | None = None) -> bytes:
    """The request of the call that answered, or of the one named; raises NotFound where no provider was asked."""
    if call is None and whole.answering is None:
        raise NotFound(f"exchange {whole.exchange['number']} never got to a provider: there is nothing to ask again")
    side = whole.side(call or (whole.answering or {})["call"])
    lines = list(_lines(side))
    if side.request_bytes and not _fits_a_shell(side.request_bytes):
        encoded = encodebytes(side.request_bytes).decode()
        return f"base64 -d <<'END' | {_joined([*lines, '--data-binary @-'])}\n{encoded}END\n".encode()
    if side.request_bytes:
        lines.append(f"--data-raw {quoted(side.request_bytes.decode())}")
    return f"{_joined(lines)}\n".encode()


def quoted(text: str) -> str:
    """One word of a POSIX shell."""
    return "'" + text.replace("'", "'\\''") + "'"


def _lines(side: Side) -> Iterator[str]:
    yield f"curl -sS -N --globoff -X {quoted(side.method)} --url {quoted(side.url)}"
    yield f'-H "{_authorization(side.url)}"'
    names = {name.lower() for name in side.request_headers}
    if side.request_bytes and "content-type" not in names:
        yield "-H 'Content-Type: application/json'"
    for name, value in side.request_headers.items():
        if name.lower() not in LEFT_OUT:
            yield f"-H {quoted(f'{canonical_name(name)}: {value}' if value else f'{canonical_name(name)};')}"


def _authorization(url: str) -> str:
    host = urlsplit(url).hostname or ""
    key = next((key for suffix, key in KEYS.items() if host == suffix or host.endswith(f".{suffix}")), KEY)
    return f"X-Api-Key: ${key}" if key == "ANTHROPIC_API_KEY" else f"Authorization: Bearer ${key}"


def _joined(lines: list[str]) -> str:
    return " \\\n  ".join(lines)


def _fits_a_shell(body: bytes) -> bool:
    if b"\0" in body or len(body) > ARGUMENT_BYTES:
        return False
    try:
        body.decode()
    except UnicodeDecodeError:
        return False
    return True
