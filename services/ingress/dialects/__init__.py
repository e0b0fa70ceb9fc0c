"""What clients speak, one file a dialect: request to canonical form, canonical answer to the dialect. Pure codecs.

The canonical form is OpenAI's chat completions with `reasoning_content`.
"""

from __future__ import annotations

from services.ingress.dialects.anthropic import AnthropicMessages
from services.ingress.dialects.legacy_functions import ChatWithFunctions
from services.ingress.dialects.passthrough import Passthrough
from services.ingress.dialects.responses import OpenAIResponses

CHAT = ChatWithFunctions()
ANTHROPIC = AnthropicMessages()
RESPONSES = OpenAIResponses()
PASSTHROUGH = Passthrough()

__all__ = ["ANTHROPIC", "CHAT", "PASSTHROUGH", "RESPONSES"]
