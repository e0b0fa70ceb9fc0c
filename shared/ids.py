"""Ids: of requests (ULIDs) and of workers. All of their characters are safe in a subject."""

from __future__ import annotations

import secrets
import time

ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"  # Crockford's base 32, as the ULID specification has it
ID_CHARS = 26  # 48 bits of milliseconds, then 80 random bits
RANDOM_BYTES = 10  # of an id
INSTANCE_BYTES = 5  # 8 characters: two processes of a million have the same by a chance of 1 in 2 million


def new_id(now_s: float | None = None, random_bytes: bytes | None = None) -> str:
    """A ULID: ids of different milliseconds sort by time.

    Takes Unix time and 10 random bytes; the system's where they are not given, for composition roots.
    """
    now_s = time.time() if now_s is None else now_s
    random_bytes = secrets.token_bytes(RANDOM_BYTES) if random_bytes is None else random_bytes
    if len(random_bytes) != RANDOM_BYTES:
        raise ValueError(f"an id takes {RANDOM_BYTES} random bytes")
    return _digits((int(now_s * 1000) << 80) | int.from_bytes(random_bytes), ID_CHARS)


def made_at(id: str) -> float:
    """The Unix time in an id, to the millisecond; raises ValueError where it is none."""
    return (number_of(id) >> 80) / 1000


def number_of(id: str) -> int:
    """An id's 128 bits; raises ValueError where it is none."""
    if not is_id(id):
        raise ValueError("not a request id")
    number = 0
    for char in id:
        number = number << 5 | ALPHABET.index(char)
    return number


def id_of_number(number: int) -> str:
    """The id of these 128 bits."""
    return _digits(number, ID_CHARS)


def is_id(text: str) -> bool:
    return len(text) == ID_CHARS and text[0] in ALPHABET[:8] and all(char in ALPHABET for char in text)


def new_instance(service: str, random_bytes: bytes | None = None) -> str:
    """A worker's name, `upstream-7ZZZ0G3K`: another one each time. The system's randomness where none is given."""
    random_bytes = secrets.token_bytes(INSTANCE_BYTES) if random_bytes is None else random_bytes
    if len(random_bytes) != INSTANCE_BYTES:
        raise ValueError(f"an instance takes {INSTANCE_BYTES} random bytes")
    return f"{service}-{_digits(int.from_bytes(random_bytes), INSTANCE_BYTES * 8 // 5)}"


def service_of(instance: str) -> str:
    """`upstream` of `upstream-7ZZZ0G3K`."""
    return instance.rpartition("-")[0]


def _digits(number: int, count: int) -> str:
    return "".join(ALPHABET[number >> shift & 31] for shift in range(5 * (count - 1), -1, -5))
