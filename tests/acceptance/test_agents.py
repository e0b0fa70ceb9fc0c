"""Real coding agents, non-interactively: each is given a command to run by the model and reports what it printed.

They are large, so nothing installs them here. They are used where they are on the PATH, or below MOONTIDE_AGENTS after

    npm install @anthropic-ai/claude-code @openai/codex opencode-ai @moonshot-ai/kimi-code node@22
    npm install-scripts approve opencode-ai node && npm rebuild
    python -m venv aider && aider/bin/pip install aider-chat
    python3.13 -m venv kimi && kimi/bin/pip install kimi-cli lxml_html_clean 'anthropic<1'

there; else each test shows that it was not run.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.fixtures.gateway import Gateway, Setting, gateway

RUN_WITHIN_S = 120
TASK = "Run the marker command with your shell tool and report what it printed."
COMMAND = "echo INTEROP_$((40+2))"
ANSWER = "It printed INTEROP_42."
SCENARIOS = r"""
scenarios:
  by-bash:
    answers:
      - message:
          role: assistant
          reasoning_content: "I need the shell."
          content: "I will run it."
          tool_calls:
            - {id: "functions.Bash:0", type: function, function: {name: Bash, arguments: 'BASH'}}
        finish_reason: tool_calls
      - deltas: [{content: "It printed "}, {content: "INTEROP_42."}]
        finish_reason: stop
  by-exec:
    answers:
      - message:
          role: assistant
          reasoning_content: "I need the shell."
          tool_calls:
            - {id: "functions.exec_command:0", type: function, function: {name: exec_command, arguments: 'EXEC'}}
        finish_reason: tool_calls
      - deltas: [{content: "It printed "}, {content: "INTEROP_42."}]
        finish_reason: stop
  by-shell:
    answers:
      - message:
          role: assistant
          reasoning_content: "I need the shell."
          tool_calls:
            - {id: "functions.Shell:0", type: function, function: {name: Shell, arguments: 'BASH'}}
        finish_reason: tool_calls
      - deltas: [{content: "It printed "}, {content: "INTEROP_42."}]
        finish_reason: stop
  by-small-bash:
    answers:
      - message:
          role: assistant
          reasoning_content: "I need the shell."
          tool_calls:
            - {id: "functions.bash:0", type: function, function: {name: bash, arguments: 'BASH'}}
        finish_reason: tool_calls
      - deltas: [{content: "It printed "}, {content: "INTEROP_42."}]
        finish_reason: stop
  by-edit:
    answers:
      - deltas: [{reasoning_content: "A file."}, {content: "interop.txt\n```\n<<<<<<< SEARCH\n"},
                 {content: "=======\nINTEROP_42\n>>>>>>> REPLACE\n```\n"}]
        finish_reason: stop
  hello: sim/text
"""
BASH = json.dumps({"command": COMMAND, "description": "Prints a marker"})
EXEC = json.dumps({"cmd": COMMAND})

pytestmark = [pytest.mark.node, pytest.mark.once]


@pytest.fixture(scope="module")
def agents(nats_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    setting = Setting(scenarios=SCENARIOS.replace("BASH", BASH).replace("EXEC", EXEC))
    with gateway(nats_url, str(tmp_path_factory.mktemp("home")), setting) as found:
        yield found


def installed() -> Path:
    """Where the agents are."""
    return Path(os.environ.get("MOONTIDE_AGENTS", "/nowhere"))


def path() -> str:
    """The PATH, with a newer Node in front where there is one: some agents take no older."""
    return os.pathsep.join([str(installed() / "node_modules" / "node" / "bin"), os.environ["PATH"]])


def program(name: str, versions: dict[str, str], client: str, venv: str | None = None) -> str:
    """Where the agent is; skips where it is not."""
    at = installed() / (f"{venv}/bin" if venv else "node_modules/.bin") / name
    found = str(at) if at.exists() else shutil.which(name)
    versions.setdefault(client, "-")
    if found is None:
        pytest.skip(f"AGENT NOT RUN: {name} is neither on the PATH nor below MOONTIDE_AGENTS")
    environ = {**os.environ, "PATH": path()}
    show = [found, "--version"]
    said = subprocess.run(show, env=environ, capture_output=True, text=True, timeout=RUN_WITHIN_S).stdout
    versions[client] = next(iter(re.findall(r"\d+(?:\.\d+)+", said)), "-")
    return found


def run(command: list[str], folder: Path, **environ: str) -> str:
    """What an agent printed, in a home and a folder of its own."""
    kept = {"PATH": path(), "LANG": os.environ.get("LANG", "C.UTF-8")}
    home = folder / "home"
    (folder / "work").mkdir()
    home.mkdir()
    done = subprocess.run(
        command,
        cwd=folder / "work",
        env={**kept, "HOME": str(home), **environ},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=RUN_WITHIN_S,
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    return done.stdout


def check_last_turn(agents: Gateway, name: str) -> None:
    """The command ran, and the model got back what it had thought before."""
    *_, turn, result = [m for m in agents.canonical()[-1]["messages"] if m["role"] in ("assistant", "tool")]
    assert turn["tool_calls"][0]["function"]["name"] == name
    assert turn["reasoning_content"] == "I need the shell."
    assert "INTEROP_42" in str(result["content"])  # one string, or parts


@pytest.mark.client("Claude Code", "Messages", "a task with a shell command, `claude -p`")
def test_claude_code(agents: Gateway, client_versions: dict[str, str], tmp_path: Path) -> None:
    claude = program("claude", client_versions, "Claude Code")
    agents.reset()

    said = run(
        [claude, "-p", TASK, "--model", "by-bash", "--allowedTools", "Bash"],
        tmp_path,
        ANTHROPIC_BASE_URL=agents.url,
        ANTHROPIC_AUTH_TOKEN="sk-client",
        ANTHROPIC_SMALL_FAST_MODEL="hello",
        ANTHROPIC_DEFAULT_HAIKU_MODEL="hello",
        CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC="1",
    )

    assert ANSWER in said
    check_last_turn(agents, "Bash")


@pytest.mark.client("Codex CLI", "Responses", "a task with a shell command, `codex exec`")
def test_codex(agents: Gateway, client_versions: dict[str, str], tmp_path: Path) -> None:
    codex = program("codex", client_versions, "Codex CLI")
    agents.reset()
    provider = f'{{name="moontide", base_url="{agents.url}/v1", env_key="GATEWAY_KEY", wire_api="responses"}}'
    settings = [f"model_providers.moontide={provider}", 'model_provider="moontide"', 'model="by-exec"']

    said = run(
        [codex, "exec", "--skip-git-repo-check", "--dangerously-bypass-approvals-and-sandbox"]
        + [part for setting in settings for part in ("-c", setting)]
        + [TASK],
        tmp_path,
        GATEWAY_KEY="sk-client",
    )

    assert ANSWER in said
    check_last_turn(agents, "exec_command")


Json = dict[str, Any]
SHELL = "a task with a shell command"
CHAT, MESSAGES, RESPONSES = "chat completions", "Messages", "Responses"


def kimi_config(url: str, kind: str, model: str) -> str:
    """As Kimi's two command lines take it; `kind` is theirs of the provider."""
    base_url = url if kind == "anthropic" else f"{url}/v1"
    provider = {"type": kind, "base_url": base_url, "api_key": "sk-client"}
    named = {"provider": "moontide", "model": model, "max_context_size": 262144, "capabilities": ["thinking"]}
    tables = {"providers.moontide": provider, "models.it": named}
    lines = ['default_model = "it"']
    for name, fields in tables.items():
        lines += [f"[{name}]", *(f"{key} = {json.dumps(value)}" for key, value in fields.items())]
    return "\n".join(lines) + "\n"


@pytest.mark.parametrize(
    "kind",
    [
        pytest.param(kind, marks=pytest.mark.client("Kimi Code", dialect, f"{SHELL}, provider type `{kind}`"))
        for kind, dialect in [
            ("kimi", CHAT),
            ("openai", CHAT),
            ("openai_responses", RESPONSES),
            ("anthropic", MESSAGES),
        ]
    ],
)
def test_kimi_code(agents: Gateway, client_versions: dict[str, str], tmp_path: Path, kind: str) -> None:
    kimi = program("kimi", client_versions, "Kimi Code")
    agents.reset()
    settings = tmp_path / "settings"
    settings.mkdir()
    (settings / "config.toml").write_text(kimi_config(agents.url, kind, "by-bash"))

    said = run([kimi, "-p", TASK], tmp_path, KIMI_CODE_HOME=str(settings), KIMI_CODE_NO_AUTO_UPDATE="1")

    assert ANSWER in said
    check_last_turn(agents, "Bash")


@pytest.mark.parametrize(
    "kind",
    [
        pytest.param(kind, marks=pytest.mark.client("kimi-cli", dialect, f"{SHELL}, provider type `{kind}`"))
        for kind, dialect in [
            ("kimi", CHAT),
            ("openai_legacy", CHAT),
            ("openai_responses", RESPONSES),
            ("anthropic", MESSAGES),
        ]
    ],
)
def test_kimi_cli(agents: Gateway, client_versions: dict[str, str], tmp_path: Path, kind: str) -> None:
    kimi = program("kimi-cli", client_versions, "kimi-cli", venv="kimi")
    agents.reset()
    config = tmp_path / "config.toml"
    config.write_text(kimi_config(agents.url, kind, "by-shell"))

    said = run([kimi, "--config-file", str(config), "--quiet", "--thinking", "-p", TASK], tmp_path)

    assert ANSWER in said
    check_last_turn(agents, "Shell")


@pytest.mark.parametrize(
    ("package", "thinks"),
    [
        pytest.param(package, thinks, marks=pytest.mark.client("opencode", dialect, f"{SHELL}, `{package}`"))
        for package, thinks, dialect in [
            ("@ai-sdk/openai-compatible", {"interleaved": {"field": "reasoning_content"}}, CHAT),
            ("@ai-sdk/anthropic", {}, MESSAGES),
        ]
    ],
)
def test_opencode(agents: Gateway, client_versions: dict[str, str], tmp_path: Path, package: str, thinks: Json) -> None:
    opencode = program("opencode", client_versions, "opencode")
    agents.reset()
    provider = {
        "npm": package,
        "options": {"baseURL": f"{agents.url}/v1", "apiKey": "sk-client"},
        "models": {"by-small-bash": {"reasoning": True, **thinks}, "hello": {}},
    }
    config = {
        "provider": {"moontide": provider},
        "small_model": "moontide/hello",  # which makes a session's title
        "autoupdate": False,
        "share": "disabled",
    }

    said = run(
        [opencode, "run", "--pure", "--model", "moontide/by-small-bash", TASK],
        tmp_path,
        OPENCODE_CONFIG_CONTENT=json.dumps(config),
        OPENCODE_DISABLE_MODELS_FETCH="1",
    )

    assert ANSWER in said
    check_last_turn(agents, "bash")


AIDER_FLAGS = ["--no-git", "--yes-always", "--no-check-update", "--analytics-disable", "--no-show-model-warnings"]


@pytest.mark.parametrize(
    ("model", "variables"),
    [
        pytest.param(
            f"{kind}/by-edit", variables, marks=pytest.mark.client("aider", dialect, "an edit of a file, streamed")
        )
        for kind, variables, dialect in [
            ("openai", ("OPENAI_API_BASE", "/v1", "OPENAI_API_KEY"), CHAT),
            ("anthropic", ("ANTHROPIC_API_BASE", "", "ANTHROPIC_API_KEY"), MESSAGES),
        ]
    ],
)
def test_aider(
    agents: Gateway, client_versions: dict[str, str], tmp_path: Path, model: str, variables: tuple[str, str, str]
) -> None:
    aider = program("aider", client_versions, "aider", venv="aider")
    agents.reset()
    base, path, key = variables

    run(
        [aider, "--model", model, "--edit-format", "diff", "--message", "Create interop.txt", *AIDER_FLAGS],
        tmp_path,
        **{base: agents.url + path, key: "sk-client"},
    )

    assert (tmp_path / "work" / "interop.txt").read_text() == "INTEROP_42\n"
