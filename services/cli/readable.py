"""An exchange as a person reads it: in one line, in facts, what was said, what was mended, and when it all happened."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Any

import click

from services.cli.conversation import INDENT, Manner, answer_lines, by_place, request_lines, text_of
from services.cli.inspection import Inspection
from services.cli.mark import told as told_of_marks
from services.cli.terminal import shortened, visible
from shared.records.answers import understood
from shared.records.differences import compared, is_same, lines_of
from shared.records.moments import local_time
from shared.records.queries import Part, Row
from shared.traces import context_of

SHOWN_FACTS = 200  # characters of an event's facts
SHOWN_CHANGES = 12  # lines of what a provider's answer differs in; `diff` has all of them
WELL = ("complete", "stopped")

Fact = tuple[str, str | None]


def readable(inspection: Inspection, columns: int | None = None, shows_all: bool = False) -> str:
    """All of it; `columns` is the width of the terminal, None where there is none."""
    manner = Manner(columns, shows_all)
    whole = inspection.whole
    call = (whole.answering or {}).get("call")
    made = by_place(inspection.tool_calls, call)
    request = whole.canonical_request or inspection.parts.get("client.request")
    answer = whole.canonical_answer if _is_well(inspection.exchange) else None
    sections = (
        ("", [_headline(inspection), *_facts(inspection, manner)]),
        ("Request", request_lines(request, manner)),
        ("Answer", answer_lines(answer or inspection.parts.get("client.response"), manner, made)),
        ("Provider", _provider_side(inspection, manner)),
        ("Timeline", _timeline(inspection, manner)),
    )
    return "\n".join(_section(title, lines) for title, lines in sections if lines)


def _section(title: str, lines: list[str]) -> str:
    return "\n".join([click.style(f"\n== {title}", bold=True)] * bool(title) + lines)


def _is_well(row: Row) -> bool:
    return row["outcome"] in WELL


def _headline(inspection: Inspection) -> str:
    """What happened, at a glance."""
    row = inspection.exchange
    outcome = row["outcome"] if row["state"] == "done" else row["state"]
    total_s = f"in {row['latency_s']:.2f} s" if row["latency_s"] is not None else None
    told = (row["status"], outcome, row["finish_reason"], total_s, _calls(row), _mended(row), _marks(inspection))
    colour = "green" if _is_well(row) else "yellow" if row["state"] == "live" else "red"
    return click.style(visible(_joined(f"#{row['number']}", row["model"], *told)), fg=colour, bold=True)


def _calls(row: Row) -> str | None:
    return f"{row['calls']} calls" if row["calls"] > 1 else None


def _mended(row: Row) -> str | None:
    count = sum((row["repairs"] or {}).values())
    return f"{count} {'repair' if count == 1 else 'repairs'}" if count else None


def _marks(inspection: Inspection) -> str:
    return told_of_marks(inspection.marks)


def _facts(inspection: Inspection, manner: Manner) -> list[str]:
    row = inspection.exchange
    state = row["outcome"] if row["state"] == "done" else row["state"]
    facts: list[Fact] = [
        ("exchange", f"{row['number']}  {row['id']}"),
        ("trace", f"{context_of(row['id'], row['request_headers'] or {}, 1.0).trace_id:032x}"),
        ("requested", f"{local_time(row['at'])}  {row['method'] or '?'} {row['path'] or '?'}"),
        ("client", _joined(row["client"], row["peer"], row["dialect"])),
        ("status", _joined(row["status"], state, row["finish_reason"])),
        ("model", _route(row)),
        ("chatcmpl", row["completion_id"]),
        ("request_id", row["provider_request_id"]),
        ("server timing", row["server_timing"]),
        ("tokens", _tokens(row)),
        ("speed", _speed(row)),
        ("repairs", ", ".join(f"{name} {count}" for name, count in (row["repairs"] or {}).items())),
        ("marks", _marks(inspection)),
        ("error", _joined(row["error_code"], row["error_message"])),
    ]
    return [_fact(name, value, manner) for name, value in facts if value]


def _fact(name: str, value: str, manner: Manner) -> str:
    line = f"{name:<14} {visible(value)}"
    if manner.columns is not None and name not in ("error", "marks"):
        line = shortened(line, manner.columns)
    return click.style(line, fg="red") if name == "error" else line


def _joined(*values: object) -> str:
    return "  ".join(str(value) for value in values if value not in (None, ""))


def _route(row: Row) -> str:
    if not row["provider"]:
        return row["model"] or ""
    way = "stream" if row["streamed"] else "plain"
    return f"{row['model'] or '-'} -> {row['provider']}/{row['provider_model'] or '-'} ({way})"


def _tokens(row: Row) -> str:
    names = ("prompt", "completion", "total", "cached", "reasoning")
    counts = [f"{name} {row[f'{name}_tokens']}" for name in names if row[f"{name}_tokens"]]
    return ", ".join(counts + ([f"${row['cost_usd']:.6f}"] if row["cost_usd"] is not None else []))


def _speed(row: Row) -> str:
    facts = (
        f"ttft {row['first_byte_s']:.3f}s" if row["first_byte_s"] is not None else None,
        f"tpot {row['token_s'] * 1000:.1f}ms" if row["token_s"] else None,
        f"{row['tokens_per_s']:.1f} tokens/s" if row["tokens_per_s"] else None,
        f"total {row['latency_s']:.3f}s" if row["latency_s"] is not None else None,
    )
    return ", ".join(fact for fact in facts if fact)


def _provider_side(inspection: Inspection, manner: Manner) -> list[str]:
    """Each call: how it went, what was changed in the request, and what in the answer."""
    lines: list[str] = []
    whole = inspection.whole
    for call in inspection.calls:
        facts = _joined(call["status"], call["outcome"], call["provider_request_id"], call["error_message"])
        line = f"{call['call']}  {call['provider'] or '-'}/{call['model'] or '-'}  {facts}"
        lines += manner.indented(line, 0, fg=None if call["outcome"] in WELL else "red")
        for name, values in (call["changes"] or {}).items():
            lines += manner.indented(f"{name}: {', '.join(map(str, values))}")
        if whole.answering is call:
            lines += _changes(inspection, inspection.parts.get(f"{call['call']}.raw"), whole.canonical_answer, manner)
    return lines


def _changes(inspection: Inspection, sent: Part | None, got: Part | None, manner: Manner) -> Iterator[str]:
    """Where the client was told something else than what the provider said."""
    one, other = (understood(part.data, part.content_type) if part else None for part in (sent, got))
    if one is None or other is None:
        return
    pairs = compared(lines_of(one), lines_of(other, like=one))
    if is_same(pairs):
        return
    yield f"{INDENT}what it sent differs from what the client got (moontide diff {inspection.exchange['number']}):"
    changed = [pair for pair in pairs if pair.kind not in ("same", "left_out")]
    told = [("-", pair.left, "red") for pair in changed] + [("+", pair.right, "green") for pair in changed]
    lines = ((sign, text, colour) for sign, text, colour in told if text is not None)
    for sign, text, colour in islice(lines, None if manner.shows_all else SHOWN_CHANGES):
        yield from manner.indented(f"{sign} {text}", 2, fg=colour)


def _timeline(inspection: Inspection, manner: Manner) -> list[str]:
    began, row = inspection.exchange["at"], inspection.exchange
    moments: list[tuple[float, str]] = [(began, "accepted")]
    for call in inspection.calls:
        moments += _moments_of(call)
    for event in inspection.events:
        facts: Any = text_of(event["facts"]) if event["facts"] else ""
        moments.append((event["at"], _joined(event["call"], event["name"], facts[:SHOWN_FACTS], event["worker"])))
    if row["latency_s"] is not None:
        moments.append((began + row["latency_s"], f"done, {row['body_bytes'] or 0} bytes"))
    in_order = sorted(moments, key=lambda moment: moment[0])
    lines = [f"{at - began:+9.3f}s  {visible(what)}" for at, what in in_order]
    return [line if manner.columns is None else shortened(line, manner.columns) for line in lines]


def _moments_of(call: Row) -> list[tuple[float, str]]:
    sent, name = call["at"], call["call"]
    if sent is None:
        return []
    moments = [(sent, f"{name}  sent to {call['url'] or call['provider'] or '-'}")]
    if call["first_byte_s"] is not None:
        moments.append((sent + call["first_byte_s"], f"{name}  first byte"))
    if call["latency_s"] is not None:
        size = f"{call['body_bytes'] or 0} bytes, frames: {call['frames'] or 0}"
        moments.append((sent + call["latency_s"], f"{name}  {call['outcome'] or 'no end'}, {size}"))
    return moments
