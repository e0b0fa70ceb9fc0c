"""Units that are data even where they are all the same: rows of zeros, arrays of nulls, the base64 of zeros.

Nothing tells the array of 200 nulls that was asked for from the one that never ends, so such a unit is given longer.
"""

from __future__ import annotations

import re

PATIENCE = 4
"""Times as long: enough for a matrix of 40 rows, and for two kilobytes of zeros in base64."""
VALUES = re.compile(r"(?:[\d\s,;.\[\](){}+-]|0x|null|true|false|None|True|False|NaN|nil)*")
HAS_VALUE = re.compile(r"\d|null|true|false|None|True|False|NaN|nil")
SEPARATOR = re.compile(r"[,\]\n]")
ZEROS_IN_BASE64 = re.compile(r"\n*A[A\n]*")


def is_data(unit: str) -> bool:
    """Whether one round holds nothing but values, parted by commas or lines; it may begin amid a value."""
    if ZEROS_IN_BASE64.fullmatch(unit):
        return True
    separator = SEPARATOR.search(unit)
    if not separator:
        return False
    whole = unit[separator.end() :] + unit[: separator.end()]
    return bool(VALUES.fullmatch(whole) and HAS_VALUE.search(whole))
