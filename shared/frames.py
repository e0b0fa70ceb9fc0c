"""A leg's frames, as their readers hand them on."""

from __future__ import annotations

from dataclasses import dataclass

FRAME_HEADER = "Frame"  # `17 upstream-7ZZZ0G3K`: the number within the leg, from 0, and who made it


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame of a leg. `kind` is head, data or end."""

    kind: str
    data: bytes
