"""Two answers to one request, side by side."""

from __future__ import annotations

from collections.abc import Iterator
from difflib import unified_diff
from textwrap import wrap

import msgspec

from services.cli.terminal import shortened, visible, width
from shared.records.told import Choice, Told

LABEL_COLUMNS = 14
TEXT_LINES = 12  # of one text; `--json` has all of it


class Account(msgspec.Struct, frozen=True, omit_defaults=True):
    """An answer, and what it cost in time."""

    title: str
    status: int | None
    told: Told
    outcome: str | None = None
    id: str | None = None
    first_byte_s: float | None = None
    total_s: float | None = None
    calls: int | None = None
    repairs: dict[str, int] = {}


def is_same(then: Account, now: Account) -> bool:
    """Whether a client is told the same; times and ids of exchanges don't count."""
    return then.status == now.status and then.told == now.told


def side_by_side(then: Account, now: Account, columns: int) -> list[str]:
    """A row for each fact: its name, then, now."""
    half = max(20, (columns - LABEL_COLUMNS - 4) // 2)
    lines = []
    for label, old, new in _facts(then, now):
        cells = (_cell(old, half), _cell(new, half))
        for at in range(max(map(len, cells))):
            left, right = (cell[at] if at < len(cell) else "" for cell in cells)
            name = label if at == 0 else ""
            lines.append(f"{name:<{LABEL_COLUMNS}}  {left}{' ' * (half - width(left))}  {right}".rstrip())
    return lines


def differences(then: Account, now: Account) -> list[str]:
    """What a client is told, as a unified diff; nothing where it is the same."""
    old, new = (_lines(account) for account in (then, now))
    return [visible(line) for line in unified_diff(old, new, then.title, now.title, lineterm="", n=2)]


def _lines(account: Account) -> list[str]:
    shown = {"status": account.status, **msgspec.to_builtins(account.told)}
    return msgspec.json.format(msgspec.json.encode(shown), indent=2).decode().split("\n")


def _facts(then: Account, now: Account) -> Iterator[tuple[str, str, str]]:
    yield "", then.title, now.title
    yield "exchange", then.id or "-", now.id or "-"
    yield "status", _status(then), _status(now)
    for number in range(max(len(then.told.choices), len(now.told.choices))):
        yield from _choice_facts(_choice(then, number), _choice(now, number))
    for label in ("text", "error", "usage"):
        old, new = (getattr(account.told, label) for account in (then, now))
        if old or new:
            yield label, _text(old), _text(new)
    yield "first byte", _seconds(then.first_byte_s), _seconds(now.first_byte_s)
    yield "total", _seconds(then.total_s), _seconds(now.total_s)
    if then.repairs or now.repairs:
        yield "repairs", _counts(then.repairs), _counts(now.repairs)


def _choice_facts(old: Choice, new: Choice) -> Iterator[tuple[str, str, str]]:
    for label in ("reasoning", "content"):
        texts = (getattr(old, label), getattr(new, label))
        if any(texts):
            yield label, texts[0] or "-", texts[1] or "-"
    for at in range(max(len(old.tool_calls), len(new.tool_calls))):
        yield "tool call", _call(old, at), _call(new, at)
    yield "finish_reason", old.finish_reason or "-", new.finish_reason or "-"


def _choice(account: Account, number: int) -> Choice:
    choices = account.told.choices
    return choices[number] if number < len(choices) else Choice()


def _call(choice: Choice, at: int) -> str:
    if at >= len(choice.tool_calls):
        return "-"
    call = choice.tool_calls[at]
    return f"{call.name}({call.arguments})  {call.id or ''}"


def _status(account: Account) -> str:
    return " ".join(str(part) for part in (account.status, account.outcome) if part) or "-"


def _text(value: object) -> str:
    if value is None:
        return "-"
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def _seconds(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}s"


def _counts(counts: dict[str, int]) -> str:
    return ", ".join(f"{name} {count}" for name, count in counts.items()) or "-"


def _cell(text: str, columns: int) -> list[str]:
    """Lines that fit; wide characters may shorten one."""
    lines = [line for part in text.split("\n") for line in (wrap(visible(part), columns) or [""])]
    if len(lines) > TEXT_LINES:
        lines = [*lines[: TEXT_LINES - 1], f"… {len(lines) - TEXT_LINES + 1} more lines"]
    return [shortened(line, columns) for line in lines]
