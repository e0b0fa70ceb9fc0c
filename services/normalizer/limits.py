"""How much the engine holds back at most, so that memory stays bounded whatever a stream does. Units are
characters."""

MAX_CALL_CHARS = 8 * 1024 * 1024
"""A tool call that is held back until it is whole. A longer one is dropped (`oversized_call_dropped`)."""

LIVE_CALL_CHARS = 1024
"""Argument text of a structured call that is held back so that the call can be judged as a whole. A longer call is
passed on as it arrives, for as long as it is healthy: file contents should not wait for their last line."""

MAX_BLANK_CHARS = 1024
"""White space in a row in front of what a block must begin with, or between its parts. After more it is no block."""

MAX_TAG_CHARS = 128
"""The longest tag inside a block, as far as it has to be known to tell where the block ends."""

LEFT_CHARS = 1024
"""Text of a block whose repair is off that waits, because the block may still turn out to be none: more than what may
stand in any block's frame."""

LEFT_STEP_CHARS = 256
"""The steps in which such text goes out."""

MAX_FENCED_CHARS = 64 * 1024
"""Text of a code fence that waits for the fence's end behind a call marker on a line of its own."""

MAX_REMEMBERED_CALLS = 256
"""Calls of one answer that are remembered in order to find duplicates."""

MAX_OPEN_CALLS = 512
"""Structured calls of one answer that may be open at once; fragments of further ones are dropped."""

LOOK_AHEAD_CHARS = 2048
"""Content that is held back while it may still turn out to be thoughts that a `</think>` ends."""

MAX_HELD_REASONING_CHARS = 1024 * 1024
"""Reasoning that is held back with thinking disabled, until it is clear whether it is the answer."""
