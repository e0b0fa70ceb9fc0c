"""What a finished request looks like on the operator's screen: one block, as MoonPalace prints it."""

from __future__ import annotations

from datetime import datetime

from shared.contracts import Done, Head, HttpRequest, Usage

SHOWN_HEADERS = ("msh-request-id", "server-timing", "msh-cache", "x-msh-trace-id", "retry-after")
SHORTEST_WRITING_S = 0.01  # an answer that comes all at once has no speed
SHOWN_ERROR_CHARACTERS = 2000


def account(request: HttpRequest, head: Head | None, done: Done) -> str:
    """A block of lines, without a line end after the last one."""
    when = datetime.fromtimestamp(done.at).astimezone().strftime("%Y/%m/%d %H:%M:%S")
    status = str(done.status) if done.outcome == "complete" else f"{done.status} ({done.outcome})"
    lines = [f"{when} {request.method} {request.path} {status} {done.total_s:.2f}s"]
    lines += [f"  {name:<9} {value}" for name, value in _facts(request, head, done)]
    lines += [f"  {'warning':<9} {text}" for text in _warnings(done)]
    return "\n".join(printable(line) for line in lines)


def _facts(request: HttpRequest, head: Head | None, done: Done) -> list[tuple[str, str]]:
    facts = [("request", request.id)]
    if request.model is not None:
        facts.append(("model", _route(request, head)))
    if head is not None:
        shown = [f"{_title(name)}: {head.headers[name]}" for name in SHOWN_HEADERS if name in head.headers]
        facts += [("header", line) for line in shown]
    if done.completion_id is not None:
        facts.append(("answer", done.completion_id))
    if done.usage is not None:
        facts += [("speed", _speed(done, done.usage)), ("tokens", _tokens(done.usage))]
    if done.attempts != 1:
        facts.append(("attempts", str(done.attempts)))
    if done.repairs:
        facts.append(("repaired", ", ".join(f"{name} {count}" for name, count in sorted(done.repairs.items()))))
    if done.fault is not None:
        facts.append(("error", f"{done.fault.code}: {done.fault.message}"[:SHOWN_ERROR_CHARACTERS]))
    return facts


def _route(request: HttpRequest, head: Head | None) -> str:
    way = "stream" if request.stream else "plain"
    if head is None or head.provider is None:
        return f"{request.model} ({way})"
    return f"{request.model} -> {head.provider}/{head.model} ({way})"


def _speed(done: Done, usage: Usage) -> str:
    if done.first_byte_s is None or not usage.completion_tokens:
        return f"total {done.total_s:.3f}s"
    writing_s = done.total_s - done.first_byte_s
    parts = [f"ttft {done.first_byte_s:.3f}s"]
    if writing_s > SHORTEST_WRITING_S and usage.completion_tokens > 1:
        per_token_s = writing_s / (usage.completion_tokens - 1)
        parts += [f"tpot {per_token_s * 1000:.1f}ms", f"{1 / per_token_s:.1f} tokens/s"]
    return ", ".join(parts)


def _tokens(usage: Usage) -> str:
    parts = [f"prompt {usage.prompt_tokens}", f"completion {usage.completion_tokens}", f"total {usage.total_tokens}"]
    if usage.cached_tokens:
        parts.append(f"cached {usage.cached_tokens}")
    if usage.reasoning_tokens:
        parts.append(f"reasoning {usage.reasoning_tokens}")
    return ", ".join(parts)


def _warnings(done: Done) -> list[str]:
    warnings = [f"{done.unmet}: asked for in vain"] if done.unmet not in (None, "loop") else []
    if done.outcome == "stopped":
        return [*warnings, f"finish_reason={done.finish_reason}: the answer ran in a loop and was stopped"]
    if done.finish_reason != "length":
        return warnings
    written = done.usage.completion_tokens if done.usage is not None else 0
    more = f", set more than {written}" if written else ""
    return [*warnings, f"finish_reason=length: max_tokens is too small{more}"]


def _title(header: str) -> str:
    return "-".join(part.capitalize() for part in header.split("-"))


def printable(text: str) -> str:
    """Text from outside on a terminal: control characters show as escapes."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else f"\\x{ord(char):02x}" for char in text)
