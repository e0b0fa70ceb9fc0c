"""Points in time as people write them: `2h`, `2026-11-20`, `2026-11-20 14:05`, `yesterday`."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

UNIT_S = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
FORMATS = "2h (ago; s, m, h, d, w), 2026-11-20, '2026-11-20 14:05', today, yesterday or Unix seconds"

_AGO = re.compile(r"(\d{1,9}(?:\.\d{1,9})?)([smhdw])", re.ASCII)
_SECONDS = re.compile(r"\d{9,12}(?:\.\d{1,9})?", re.ASCII)
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
_MINUTE = re.compile(r"\d{4}-\d{2}-\d{2}[ T]\d{2}:\d{2}", re.ASCII)
_SECOND = re.compile(r"\d{4}-\d{2}-\d{2}[ T]\d{2}:\d{2}:\d{2}", re.ASCII)


def local_time(at: float) -> str:
    """As the command line shows it: to the second, in this machine's time zone."""
    return datetime.fromtimestamp(at, tz=UTC).astimezone().strftime("%Y-%m-%d %H:%M:%S")


def moment(text: str, now: float) -> float:
    """The Unix seconds that a text names; without a zone it is local time. Raises ValueError."""
    return span(text, now)[0]


def span(text: str, now: float) -> tuple[float, float]:
    """Where the time that a text names begins and ends: a day, a minute, a second, or just a point."""
    text = text.strip()
    if ago := _AGO.fullmatch(text):
        return _point(now - float(ago[1]) * UNIT_S[ago[2]])
    if _SECONDS.fullmatch(text):
        return _point(float(text))
    if text in ("today", "yesterday", "now"):
        local = datetime.fromtimestamp(now, tz=UTC).astimezone().replace(tzinfo=None)
        today = local.replace(hour=0, minute=0, second=0, microsecond=0)
        return _point(now) if text == "now" else _day(today - timedelta(days=text == "yesterday"))
    try:
        named = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(f"{text!r} is no time; write {FORMATS}") from None
    return _named(text, named)


def _named(text: str, named: datetime) -> tuple[float, float]:
    if _DAY.fullmatch(text):
        return _day(named)
    lasts_s = 60 if _MINUTE.fullmatch(text) else 1 if _SECOND.fullmatch(text) else 0
    return named.timestamp(), named.timestamp() + lasts_s


def _day(begins: datetime) -> tuple[float, float]:
    return begins.timestamp(), (begins + timedelta(days=1)).timestamp()


def _point(at: float) -> tuple[float, float]:
    return at, at
