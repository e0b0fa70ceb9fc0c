"""The official SDKs for Node.js, and Vercel's. They come from npm; without it, each test shows why it was not run."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.fixtures.gateway import Gateway

SOURCES = Path(__file__).parent / "node"
INSTALLED_WITHIN_S = 90
RUN_WITHIN_S = 30
CLIENTS = {"anthropic-node": "@anthropic-ai/sdk", "openai-node": "openai", "Vercel AI SDK": "ai"}

pytestmark = [pytest.mark.node, pytest.mark.once]


@pytest.fixture(scope="module")
def sdks(tmp_path_factory: pytest.TempPathFactory, client_versions: dict[str, str]) -> Path:
    """A folder with both SDKs installed."""
    npm, folder = shutil.which("npm"), tmp_path_factory.mktemp("node")
    if npm is None or shutil.which("node") is None:
        pytest.skip("NODE SDKS NOT RUN: there is no node and npm on this machine")
    for file in SOURCES.iterdir():
        if file.is_file():
            shutil.copy(file, folder)
    command = [npm, "install", "--no-audit", "--no-fund", "--no-package-lock", "--ignore-scripts", "--loglevel=error"]
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=INSTALLED_WITHIN_S)
    except subprocess.TimeoutExpired:
        pytest.skip(f"NODE SDKS NOT RUN: npm took more than {INSTALLED_WITHIN_S} s")
    if done.returncode:
        pytest.skip(f"NODE SDKS NOT RUN: npm install failed: {done.stderr.strip()[:200]}")
    for name, package in CLIENTS.items():
        manifest = json.loads((folder / "node_modules" / package / "package.json").read_text())
        client_versions[name] = manifest["version"]
    return folder


def run(sdks: Path, fresh: Gateway, what: str, script: str = "sdks.mjs") -> None:
    command = ["node", script, what, fresh.url]
    done = subprocess.run(command, cwd=sdks, capture_output=True, text=True, timeout=RUN_WITHIN_S)
    assert done.returncode == 0, done.stderr


@pytest.mark.client("anthropic-node", "Messages", "tool loop with thinking, `messages.stream`")
def test_anthropics_stream(sdks: Path, fresh: Gateway) -> None:
    run(sdks, fresh, "messages-stream")

    turn = fresh.received[-1]["messages"][1]
    assert turn["reasoning_content"] == "I need the shell."


@pytest.mark.client("anthropic-node", "Messages", "typed errors, also in the middle of a stream")
def test_anthropics_errors(sdks: Path, fresh: Gateway) -> None:
    run(sdks, fresh, "messages-errors")


@pytest.mark.client("openai-node", "chat completions", "tool loop, `chat.completions.stream`")
def test_openais_chat(sdks: Path, fresh: Gateway) -> None:
    run(sdks, fresh, "chat-stream")


@pytest.mark.client("openai-node", "Responses", "tool loop by `previous_response_id`, `responses.stream`")
def test_openais_responses(sdks: Path, fresh: Gateway) -> None:
    run(sdks, fresh, "responses-stream")

    assert fresh.received[-1]["messages"][1]["reasoning_content"] == "I need the shell."


@pytest.mark.parametrize(
    "what",
    [
        pytest.param(
            what, id=what, marks=pytest.mark.client("Vercel AI SDK", dialect, f"streamed tool loop, {through}")
        )
        for what, dialect, through in [
            ("chat", "chat completions", "`@ai-sdk/openai`"),
            ("compatible", "chat completions", "`@ai-sdk/openai-compatible`"),
            ("responses", "Responses", "`@ai-sdk/openai`"),
            ("messages", "Messages", "`@ai-sdk/anthropic`"),
        ]
    ],
)
def test_vercels_loop(sdks: Path, fresh: Gateway, what: str) -> None:
    run(sdks, fresh, what, "vercel.mjs")
