"""How messages wait in a database where patterns are to be taken out: sealed, so that its files hold nothing of them.

Rows can only be made of messages as they came: a pattern may lie across several of them, and what one message lacks
would change what is found in the others. So they are not redacted one by one, they are made unreadable. The key lies
beside the capture stream, which holds the same messages as they came, and never in a file of the records.
"""

from __future__ import annotations

from nacl.exceptions import CryptoError
from nacl.secret import SecretBox
from nacl.utils import random

from shared.bus import Bus
from shared.subjects import RECORDER_BUCKET

KEY_NAME = "pending.key"
MARK = b"sealed1\x00"  # of what is sealed; zstd's frames begin otherwise


class Sealing:
    """Opens what was sealed with any of its keys, and seals with the newest."""

    def __init__(self, *, seals: bool = False) -> None:
        """Its first key is its own, and gone with it: for who writes whole exchanges, and reads nothing that waits."""
        self._seals = seals
        self._keys = [random(SecretBox.KEY_SIZE)]

    async def agree(self, bus: Bus) -> None:
        """One key for all recorders: the bus's, or ours where it has none (any more)."""
        bucket = await bus.state(RECORDER_BUCKET)
        key = await bucket.create(KEY_NAME, self._keys[-1])
        if key != self._keys[-1]:
            self._keys.append(key)

    def sealed(self, blob: bytes) -> bytes:
        return MARK + bytes(SecretBox(self._keys[-1]).encrypt(blob)) if self._seals else blob

    def opened(self, blob: bytes) -> bytes | None:
        """None where its key is gone."""
        if not blob.startswith(MARK):
            return blob
        return next(filter(None, (_opened(key, blob[len(MARK) :]) for key in reversed(self._keys))), None)


def _opened(key: bytes, box: bytes) -> bytes | None:
    try:
        return SecretBox(key).decrypt(box)
    except CryptoError:
        return None
