"""`moontide up --demo`: three broken answers from the simulated provider, and what a client gets of them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import anyio
import click

from services.provider_sim.main import demo_scenarios, serve
from shared.config import Settings

TOOL = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The weather of a city",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}
SCENES = (
    ("demo-tool-call", "A tool call in broken markers, inside the text"),
    ("demo-thinking", "Thinking that leaked into the answer"),
    ("demo-cut", "A stream that the provider cuts in the middle"),
)
RECORDED_WITHIN_S = 10.0


@asynccontextmanager
async def provider() -> AsyncIterator[dict[str, Any]]:
    """The simulated provider while the block lasts; gives the settings that name it."""
    async with await serve(scenarios=demo_scenarios()) as simulated:
        sim = {"kind": "openai", "base_url": simulated.base_url}
        yield {"providers": {"sim": sim}, "models": {"*": {"targets": [{"provider": "sim"}]}}}


@dataclass
class _Seen:
    """A streamed answer as a client adds it up."""

    texts: dict[str, str] = field(default_factory=dict)
    calls: list[str] = field(default_factory=list)
    finish_reason: str | None = None
    ended: str = "the connection just closed"

    def take(self, data: str) -> None:
        if data == "[DONE]":
            self.ended = "[DONE]"
            return
        chunk = json.loads(data)
        if "error" in chunk:
            self.ended = f"error event: {chunk['error']['message']}"
        for choice in chunk.get("choices", ()):
            self._delta(choice.get("delta") or {})
            self.finish_reason = choice.get("finish_reason") or self.finish_reason

    def _delta(self, delta: dict[str, Any]) -> None:
        for name in ("reasoning_content", "content"):
            if delta.get(name):
                self.texts[name] = self.texts.get(name, "") + delta[name]
        for call in delta.get("tool_calls") or ():
            said = call["function"]
            if call.get("id"):
                self.calls.append(f"{call['id']} {said.get('name')}")
            if said.get("arguments"):
                self.calls[-1] += f" {said['arguments']}"

    def lines(self) -> list[str]:
        shown = [f"{name:<17} {_short(text)}" for name, text in self.texts.items()]
        shown += [f"{'tool_call':<17} {call}" for call in self.calls]
        return [*shown, f"{'finish_reason':<17} {self.finish_reason}", f"{'ends with':<17} {self.ended}"]


async def show(url: str, settings: Settings) -> None:
    """Each scene as the provider sends it and as a client of Moontide gets it; then their records."""
    async with aiohttp.ClientSession() as session:
        for model, title in SCENES:
            direct = await _ask(session, settings.providers["sim"].base_url, model)
            mended = await _ask(session, f"{url}/v1", model)
            click.echo(f"\n== {title}")
            click.echo("\n".join(["   the provider sends", *(f"     {line}" for line in direct.lines())]))
            click.echo("\n".join(["   a client gets", *(f"     {line}" for line in mended.lines())]))
    click.echo("\n== Their records (moontide list)")
    click.echo(await _recorded(settings))
    names = ", ".join(model for model, _ in SCENES)
    click.echo(f"\n== Ask it yourself at {url}/v1: {names}, or sim/… (docs/provider-sim.md)")


async def _ask(session: aiohttp.ClientSession, base_url: str, model: str) -> _Seen:
    seen = _Seen()
    question = [{"role": "user", "content": "What is the weather in Oslo?"}]
    body = {"model": model, "stream": True, "messages": question, "tools": [TOOL]}
    try:
        async with session.post(f"{base_url}/chat/completions", json=body) as answer:
            async for line in answer.content:
                if line.startswith(b"data:"):
                    seen.take(line[5:].decode().strip())
    except aiohttp.ClientError as error:
        seen.ended = f"the connection broke: {type(error).__name__}"
    return seen


async def _recorded(settings: Settings) -> str:
    """What `moontide list` prints once the recorder has the three."""
    command = [sys.executable, "-m", "services.cli.main", "list", "-n", str(len(SCENES))]
    environ = {**os.environ, "MOONTIDE_HOME": settings.home, "MOONTIDE_RECORDS_URL": settings.records[0].url}
    printed = ""
    with anyio.move_on_after(RECORDED_WITHIN_S):
        while not all(model in printed for model, _ in SCENES) or "live" in printed:
            done = await anyio.run_process(command, env=environ, check=False, stderr=subprocess.STDOUT)
            printed = done.stdout.decode()
    return printed.rstrip()


def _short(text: str) -> str:
    line = json.dumps(text, ensure_ascii=False)
    return line if len(line) <= 100 else f"{line[:60]} … {line[-30:]}"
