"""Frameworks in Python. They bring many packages with them, so nothing installs them here.

They are used where MOONTIDE_AGENTS names a folder with `venv`, made by `python -m venv venv` and `venv/bin/pip install
langchain-openai langchain-anthropic 'pydantic-ai-slim[openai,anthropic]' instructor openai-agents 'anthropic<2'`
(pydantic-ai 2.38 can't work with anthropic 2.11, whatever it talks to), and `litellm`, made by `python -m venv litellm`
and `litellm/bin/pip install litellm mcp` (which pins the others' packages); else each test shows that it was not run.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.fixtures.gateway import Gateway

SCRIPT = Path(__file__).parent / "python" / "frameworks.py"
RUN_WITHIN_S = 90
CHAT, MESSAGES, RESPONSES = "chat completions", "Messages", "Responses"
LOOP, STRUCTURED = "streamed tool loop", "a structured answer"

RUNS = [
    ("LangChain", "langchain-openai", CHAT, LOOP, "langchain_openai"),
    ("LangChain", "langchain-openai", RESPONSES, LOOP, "langchain_responses"),
    ("LangChain", "langchain-anthropic", MESSAGES, LOOP, "langchain_anthropic"),
    ("pydantic-ai", "pydantic-ai-slim", CHAT, LOOP, "pydantic_openai"),
    ("pydantic-ai", "pydantic-ai-slim", RESPONSES, LOOP, "pydantic_responses"),
    ("pydantic-ai", "pydantic-ai-slim", MESSAGES, LOOP, "pydantic_anthropic"),
    ("openai-agents", "openai-agents", CHAT, LOOP, "agents_chat"),
    ("openai-agents", "openai-agents", RESPONSES, LOOP, "agents_responses"),
    ("litellm", "litellm", CHAT, LOOP, "litellm_openai"),
    ("litellm", "litellm", RESPONSES, LOOP, "litellm_responses"),
    ("litellm", "litellm", MESSAGES, LOOP, "litellm_anthropic"),
    ("instructor", "instructor", CHAT, STRUCTURED, "instructor_openai"),
    ("instructor", "instructor", MESSAGES, STRUCTURED, "instructor_anthropic"),
]

pytestmark = [pytest.mark.frameworks, pytest.mark.once]


@pytest.mark.parametrize(
    ("name", "package", "what"),
    [
        pytest.param(name, package, what, id=what, marks=pytest.mark.client(name, dialect, does))
        for name, package, dialect, does, what in RUNS
    ],
)
def test_a_framework(
    fresh: Gateway, client_versions: dict[str, str], tmp_path: Path, name: str, package: str, what: str
) -> None:
    venv = "litellm" if package == "litellm" else "venv"
    python = Path(os.environ.get("MOONTIDE_AGENTS", "/nowhere")) / venv / "bin" / "python"
    client_versions.setdefault(name, "-")
    if not python.exists():
        pytest.skip(f"FRAMEWORKS NOT RUN: there is no {venv} below MOONTIDE_AGENTS")
    show = f"from importlib.metadata import version; print(version({package!r}))"
    client_versions[name] = subprocess.run([python, "-c", show], capture_output=True, text=True).stdout.strip()

    done = subprocess.run(
        [python, SCRIPT, what, fresh.url],
        cwd=tmp_path,
        env={"PATH": os.environ["PATH"], "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=RUN_WITHIN_S,
    )

    assert done.returncode == 0, done.stderr[-3000:]
