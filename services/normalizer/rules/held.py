"""What may begin at a text's end, or be all there is at its beginning, and so has to wait."""

from __future__ import annotations

import re

from services.normalizer.rules.grammar import is_id_char
from services.normalizer.rules.offer import ToolOffer
from services.normalizer.rules.spacing import TRIM_CHARS

_ID_CHARS = 100  # the longest call id that is looked for
_PLACEHOLDER = "(no content)"
_PLACEHOLDERS = re.compile(r"\s*(?:\(no content\)\s*)+")
_PLACEHOLDER_CHARS = 256  # how long a run of them is waited for


def is_placeholder(text: str) -> bool:
    """Whether a text is nothing but `(no content)`, once or more."""
    return bool(_PLACEHOLDERS.fullmatch(text))


def may_be_placeholder(text: str) -> bool:
    """Whether a text may be the beginning of one."""
    if len(text) > _PLACEHOLDER_CHARS or not text.strip():
        return False
    found = _PLACEHOLDERS.match(text)
    return _PLACEHOLDER.startswith(text[found.end() :] if found else text.lstrip())


def after_placeholders(text: str) -> tuple[str, int]:
    """The text after the placeholders that it begins with, and how many they are."""
    found = _PLACEHOLDERS.match(text)
    if found is None:
        return text, 0
    return text[len(found.group().rstrip()) :], found.group().count(_PLACEHOLDER)  # the space after it is the seam's


def id_start(text: str, last: str, offer: ToolOffer) -> int:
    """Where a call's id begins that the text may end in, else the text's end; `last` is what stands before the text."""
    if not offer.may_call:
        return len(text)
    end = len(text.rstrip()) if text[-1:].isspace() else len(text)
    start = end
    while start > max(0, end - _ID_CHARS) and is_id_char(text[start - 1]):
        start -= 1
    if not start and is_id_char(last):
        return len(text)  # the word began in text that is out
    word = text[start:end]
    blank = len(text) - end
    if not word or blank > TRIM_CHARS or (blank and not word[-1].isdigit()) or not offer.may_begin_id(word):
        return len(text)
    return start
