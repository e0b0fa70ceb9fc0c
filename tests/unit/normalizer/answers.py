"""What the tests of the normalizer share: answers as providers send them, and what a client reads from the output."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from services.normalizer import RepairSettings, RequestFacts, StreamRepair, repair_completion

CASES = Path(__file__).parents[2] / "cases"
TEXTS = ("content", "reasoning_content", "reasoning")
Cut = Callable[[str], Iterable[str]]
Reading = dict[str, Any]


def load(name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (CASES / name).read_text(encoding="utf-8").splitlines()]


def tool(name: str, required: Iterable[str] = (), **properties: str) -> dict[str, Any]:
    """An offered tool with properties of the given types."""
    declared = {key: {"type": kind} for key, kind in properties.items()}
    schema = {"type": "object", "properties": declared, "required": list(required)}
    return {"type": "function", "function": {"name": name, "parameters": schema}}


BASH = tool("bash", ["command"], command="string", timeout="integer")
GLOB = tool("glob", ["pattern"], pattern="string")
CLOCK = tool("clock")


def facts_of_case(case: dict[str, Any]) -> RequestFacts:
    request = case.get("request") or {}
    return RequestFacts(tools=request.get("tools"), tool_choice=request.get("tool_choice"))


def settings_of_case(case: dict[str, Any], **changes: Any) -> RepairSettings:
    return RepairSettings(thinking=(case.get("request") or {}).get("thinking", "auto"), **changes)


def chunk(delta: dict[str, Any], finish: Any = None, **fields: Any) -> bytes:
    """One event of a stream."""
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    body = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "kimi-k2"}
    return b"data: " + json.dumps({**body, "choices": [choice], **fields}).encode() + b"\n\n"


DONE = b"data: [DONE]\n\n"
ROLE = {"role": "assistant", "content": ""}


def stream_of(deltas: Iterable[dict[str, Any]], finish: Any) -> bytes:
    return b"".join([chunk(ROLE), *map(chunk, deltas), chunk({}, finish), DONE])


def deltas_of(message: dict[str, Any]) -> list[dict[str, Any]]:
    """A whole message as a provider that streams would send it."""
    deltas = [{key: message[key]} for key in (*TEXTS[1:], "content") if message.get(key)]
    if message.get("reasoning_details"):
        deltas.append({"reasoning_details": message["reasoning_details"]})
    for at, call in enumerate(message.get("tool_calls") or []):
        deltas.append({"tool_calls": [{**call, "index": at}]})
    if message.get("function_call"):
        deltas.append({"function_call": message["function_call"]})
    return deltas


def recut(deltas: Iterable[dict[str, Any]], cut: Cut) -> Iterator[dict[str, Any]]:
    """The deltas with their texts cut anew; those that carry more than one text stay as they are."""
    for delta in deltas:
        keys = [key for key, value in delta.items() if value]
        if len(keys) == 1 and keys[0] in TEXTS and isinstance(delta[keys[0]], str):
            yield from ({keys[0]: piece} for piece in cut(delta[keys[0]]))
        else:
            yield delta


def events(out: bytes) -> list[Any]:
    """The events of canonical SSE bytes, `[DONE]` left out."""
    blocks = out.split(b"\n\n")
    assert blocks.pop() == b""
    assert all(block.startswith((b"data: ", b": ")) for block in blocks)
    payloads = [block[6:] for block in blocks if block.startswith(b"data: ")]
    return [json.loads(payload) for payload in payloads if payload != b"[DONE]"]


def read(message: dict[str, Any], finish: str | None) -> Reading:
    """What a client takes from a message: empty texts and absent ones are one."""
    calls = [
        {"name": call["function"]["name"], "arguments": json.loads(call["function"]["arguments"])}
        for call in message.get("tool_calls") or []
    ]
    return {
        "content": message.get("content") or None,
        "reasoning_content": message.get("reasoning_content") or None,
        "tool_calls": calls,
        "finish_reason": finish,
    }


def expected_of(case: dict[str, Any]) -> Reading:
    expected = case["expected"]
    texts = {key: expected[key] or None for key in ("content", "reasoning_content")}
    return {**expected, **texts}


def assembled(out: bytes, choice: int = 0) -> tuple[dict[str, Any], str | None]:
    """The message that a stream's events add up to, and its finish reason."""
    message: dict[str, Any] = {"content": "", "reasoning_content": "", "tool_calls": []}
    finish = None
    for event in events(out):
        for found in event.get("choices", ()):
            if found["index"] != choice:
                continue
            finish = found["finish_reason"] or finish
            add(message, found["delta"])
    return message, finish


def add(message: dict[str, Any], delta: dict[str, Any]) -> None:
    for key in ("content", "reasoning_content"):
        message[key] += delta.get(key) or ""
    for entry in delta.get("tool_calls", ()):
        if "id" in entry:
            call = {"id": entry["id"], "type": entry["type"], "function": dict(entry["function"])}
            message["tool_calls"].append(call)
        else:
            message["tool_calls"][entry["index"]]["function"]["arguments"] += entry["function"]["arguments"]


def streamed(
    data: bytes | Iterable[bytes], facts: RequestFacts, settings: RepairSettings | None = None
) -> tuple[bytes, StreamRepair]:
    """The output for a stream, and the engine that made it."""
    repair = StreamRepair(facts, settings or RepairSettings())
    pieces = [data] if isinstance(data, bytes) else data
    out = b"".join([repair.feed(piece) for piece in pieces])
    return out + repair.finish(), repair


def read_stream(
    deltas: Iterable[dict[str, Any]],
    finish: str | None = "stop",
    facts: RequestFacts | None = None,
    settings: RepairSettings | None = None,
) -> Reading:
    out, _ = streamed(stream_of(deltas, finish), facts or RequestFacts(), settings)
    check_vendor_rules(out)
    return read(*assembled(out))


def completion(message: dict[str, Any], finish: Any) -> bytes:
    choice = {"index": 0, "message": message, "finish_reason": finish}
    body = {"id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "kimi-k2"}
    return json.dumps({**body, "choices": [choice]}).encode()


def repaired(
    message: dict[str, Any],
    finish: str | None = "stop",
    facts: RequestFacts | None = None,
    settings: RepairSettings | None = None,
) -> tuple[dict[str, Any], str | None, dict[str, int]]:
    """A message repaired as a plain answer, its finish reason, and the repairs."""
    body, repairs = repair_completion(
        completion(message, finish), facts or RequestFacts(), settings or RepairSettings()
    )
    choice = json.loads(body)["choices"][0]
    return choice["message"], choice["finish_reason"], repairs


def read_plain(
    message: dict[str, Any],
    finish: str | None = "stop",
    facts: RequestFacts | None = None,
    settings: RepairSettings | None = None,
) -> Reading:
    made, reason, _ = repaired(message, finish, facts, settings)
    return read(made, reason)


def check_vendor_rules(out: bytes, ended: bool = True) -> None:
    """Moonshot's own rules for the streams of its vendors."""
    out.decode("utf-8")
    if ended:
        assert out.endswith(DONE)
        assert out.count(DONE) == 1
    found: dict[int, list[dict[str, Any]]] = {}
    for event in events(out):
        for choice in event.get("choices", ()):
            found.setdefault(choice["index"], []).append(choice)
    for choices in found.values():
        check_choice(choices, ended)


def check_choice(choices: list[dict[str, Any]], ended: bool) -> None:
    assert choices[0]["delta"]["role"] == "assistant"
    calls: dict[int, str] = {}
    for choice in choices:
        delta = choice["delta"]
        assert sum(bool(delta.get(key)) for key in ("content", "reasoning_content", "tool_calls")) <= 1
        for entry in delta.get("tool_calls") or ():
            check_call_entry(entry, calls)
    assert sum(choice["finish_reason"] is not None for choice in choices) == ended
    if ended:
        assert choices[-1]["delta"] == {}
        assert choices[-1]["finish_reason"] in ("stop", "length", "tool_calls", "content_filter")
    for arguments in calls.values():
        assert isinstance(json.loads(arguments), dict)


def check_call_entry(entry: dict[str, Any], calls: dict[int, str]) -> None:
    if entry["index"] not in calls:
        assert entry["index"] == len(calls)
        assert entry["id"]
        assert entry["type"]
        assert entry["function"]["name"]
        assert entry["function"]["arguments"] == ""
        calls[entry["index"]] = ""
    else:
        assert set(entry) == {"index", "function"}
        calls[entry["index"]] += entry["function"]["arguments"]


# one text, for the tests of grammars

OFFERED = RequestFacts(tools=[BASH, GLOB, CLOCK])
LIST = '{"command":"ls"}'
Said = tuple[str, str, list[tuple[str, dict[str, Any]]]]
"""What a text says: the answer, the thoughts, and the calls."""

LS: tuple[str, dict[str, Any]] = ("bash", {"command": "ls"})
TICK: tuple[str, dict[str, Any]] = ("clock", {})


def said(text: str, *, off: tuple[str, ...] = (), facts: RequestFacts = OFFERED, field: str = "content") -> Said:
    """What a text says, however it is cut: in one piece, in two pieces at every place, in characters."""
    settings = RepairSettings(off=off)
    cuts = [[text], list(text), *([text[:at], text[at:]] for at in range(1, len(text)))]
    found = [_said(read_stream([{field: piece} for piece in cut], "stop", facts, settings)) for cut in cuts]
    assert [cut for cut, one in zip(cuts, found, strict=True) if one != found[0]] == []
    return found[0]


def _said(reading: Reading) -> Said:
    calls = [(call["name"], call["arguments"]) for call in reading["tool_calls"]]
    return reading["content"] or "", reading["reasoning_content"] or "", calls
