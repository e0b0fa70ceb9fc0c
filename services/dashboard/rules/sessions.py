"""Who has logged in. Tokens are kept as digests; times are those of any clock that never goes back."""

from __future__ import annotations

from hashlib import sha256

LASTS_S = 12 * 3600.0
MOST = 1000  # sessions at a time; the oldest ends first
TRIES = 20  # wrong keys within TRIES_S, by anybody: more than a person needs, far too few to guess one
TRIES_S = 60.0


class Sessions:
    def __init__(self) -> None:
        self._open: dict[bytes, tuple[str, float]] = {}  # whose, and when it ends; the oldest first
        self._wrong: list[float] = []

    def open(self, token: str, name: str, now: float) -> None:
        self._open = {digest: found for digest, found in self._open.items() if found[1] > now}
        while len(self._open) >= MOST:
            del self._open[next(iter(self._open))]
        self._open[_digest(token)] = (name, now + LASTS_S)

    def name_of(self, token: str | None, now: float) -> str | None:
        """Whose session it is; None where it is nobody's, or over."""
        name, ends = self._open.get(_digest(token), ("", 0.0)) if token else ("", 0.0)
        return name if ends > now else None

    def close(self, token: str) -> None:
        self._open.pop(_digest(token), None)

    def may_try(self, now: float) -> bool:
        self._wrong = [at for at in self._wrong if now - at < TRIES_S]
        return len(self._wrong) < TRIES

    def was_wrong(self, now: float) -> None:
        self._wrong.append(now)


def _digest(token: str) -> bytes:
    return sha256(token.encode("utf-8", "surrogateescape")).digest()
