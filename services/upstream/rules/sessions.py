"""What a request says about itself: which conversation it belongs to, and what it may cost.

The same conversation goes to the same provider, whose prefix cache knows it.
"""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import blake2b
from typing import Any

import msgspec

HEADERS = (
    "x-session-id",  # OpenRouter's
    "x-session-affinity",  # opencode
    "x-claude-code-session-id",  # Claude Code
    "session-id",  # Codex
    "session_id",  # Codex before 2026
    "conversation_id",
    "thread-id",
)


BYTES_PER_TOKEN = 4  # of English text and code, roughly; of other scripts fewer, and then the estimate is low


class _Sized(msgspec.Struct):
    max_tokens: Any = None
    max_completion_tokens: Any = None


class _Request(msgspec.Struct):
    messages: list[msgspec.Raw] = []
    prompt_cache_key: Any = None
    metadata: Any = None


class _Message(msgspec.Struct):
    role: Any = None


_decode = msgspec.json.Decoder(_Request).decode
_decode_sized = msgspec.json.Decoder(_Sized).decode
_decode_message = msgspec.json.Decoder(_Message).decode


def is_named(headers: Mapping[str, str]) -> bool:
    """The client says which conversation it is."""
    return any(headers.get(name) for name in HEADERS)


def session_of(headers: Mapping[str, str], body: bytes) -> bytes:
    """64 bytes or fewer that all requests of one conversation share.

    The client's own name for it, where it sends one; else its beginning, up to the first user message.
    """
    named = next((headers[name] for name in HEADERS if headers.get(name)), None)
    if named is not None:
        return _digest(named.encode())
    try:
        request = _decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return _digest(body)
    user = request.metadata.get("user_id") if isinstance(request.metadata, dict) else None
    for name in (request.prompt_cache_key, user):
        if isinstance(name, str) and name:
            return _digest(name.encode())
    return _digest(b"\n".join(_beginning(request.messages)))


def tokens_of(body: bytes) -> float:
    """What a request may cost, as Moonshot counts before it answers: the prompt, and the longest answer allowed."""
    try:
        sized = _decode_sized(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        sized = _Sized()
    longest = sized.max_completion_tokens or sized.max_tokens
    return len(body) / BYTES_PER_TOKEN + (longest if isinstance(longest, int) else 0)


def _beginning(messages: list[msgspec.Raw]) -> list[bytes]:
    beginning: list[bytes] = []
    for message in messages:
        beginning.append(bytes(message))
        if _role(message) == "user":
            break
    return beginning


def _role(message: msgspec.Raw) -> Any:
    try:
        return _decode_message(message).role
    except msgspec.DecodeError:
        return None


def _digest(text: bytes) -> bytes:
    return blake2b(text, digest_size=32).digest()
